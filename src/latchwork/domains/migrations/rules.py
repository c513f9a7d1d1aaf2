"""Hashes of other systems, and what of a foreign key may be shown."""

import hashlib
from base64 import b64decode, urlsafe_b64decode
from binascii import Error, unhexlify
from typing import NamedTuple

from latchwork.domains.migrations.faults import MalformedKey

_DIGEST_BYTES = 32
_HEX_CHARS = 2 * _DIGEST_BYTES
_START_CHARS = 4
_LONGEST_PREFIX = 16
_HIDDEN_CHARS = 16  # what must stay unknown of a key whose parts have no known meaning


class Parts(NamedTuple):
    """A prefixed API key: the SHA-256 of its secret part, and what may be shown of it."""

    digest: bytes
    start: str


def digest_of_hash(text: str) -> bytes | None:
    """The 32 bytes of a SHA-256 in hex or base64 (padded or not, URL-safe or not); `None` if it is none."""
    try:
        if len(text) == _HEX_CHARS:
            return unhexlify(text)
        padded = text + "=" * (-len(text) % 4)
        plain = urlsafe_b64decode(padded) if set("-_") & set(text) else b64decode(padded, validate=True)
    except (Error, ValueError):
        return None
    return plain if len(plain) == _DIGEST_BYTES else None


def parts_of(key: str) -> Parts:
    """The parts of `<prefix>_<short>_<long>`; raises `MalformedKey`. The prefix may hold underscores."""
    prefix, separator, rest = key.rpartition("_")[0].rpartition("_")
    if not separator:
        raise MalformedKey
    shown = f"{rest}_{key.rpartition('_')[2]}"[:_START_CHARS]
    return Parts(hashlib.sha256(key.rpartition("_")[2].encode()).digest(), f"{prefix}_{shown}")


def start_of(key: str) -> str:
    """What may be shown of a key whose make is not known: 4 characters, behind what looks like a prefix.

    At least 16 characters, or three quarters of a short key, stay hidden.
    """
    prefix, separator, rest = key.partition("_")
    if separator and len(prefix) <= _LONGEST_PREFIX and len(rest) >= _START_CHARS + _HIDDEN_CHARS:
        return f"{prefix}_{rest[:_START_CHARS]}"
    return key[: min(_START_CHARS, len(key) // 4)]
