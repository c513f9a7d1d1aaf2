"""The text of keys, and what must hold for the fields of a key."""

import hashlib
import ipaddress
import re
import secrets
import zlib
from collections.abc import Iterable

from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import base62

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_START_CHARS = 4
DEFAULT_BYTE_LENGTH = 16
ROOT_PREFIX = "lw_root"
_ROOT_RANDOM_CHARS = 32  # 190 bits
_MINUTE_MS = 60_000
_PREFIX = re.compile(r"[a-zA-Z0-9_]{1,16}")
_CHECKSUM_CHARS = 6  # a CRC-32 in base 62


def mint(prefix: str | None, byte_length: int) -> str:
    """A new key: `byte_length` random bytes in Base58, behind `prefix_` where there is one."""
    text = base58(secrets.token_bytes(byte_length))
    return f"{prefix}_{text}" if prefix else text


def mint_root() -> str:
    """A new root key: `lw_root_`, random characters, and a checksum that tells a typo from a stranger."""
    text = base62(secrets.randbelow(62**_ROOT_RANDOM_CHARS), _ROOT_RANDOM_CHARS)
    return f"{ROOT_PREFIX}_{text}{checksum(text)}"


def checksum(text: str) -> str:
    """The CRC-32 of `text` in 6 base-62 characters; it proves nothing but careful typing."""
    return base62(zlib.crc32(text.encode()), _CHECKSUM_CHARS)


def base58(data: bytes) -> str:
    """`data` in the Base58 alphabet of Bitcoin; leading zero bytes become leading ones."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, rest = divmod(number, 58)
        digits.append(_BASE58[rest])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return _BASE58[0] * zeros + "".join(reversed(digits))


def start_of(key: str, prefix: str | None) -> str:
    """What may be shown of a key: its prefix and the first four characters after it."""
    shown = len(prefix) + 1 + _START_CHARS if prefix else _START_CHARS
    return key[:shown]


def prefix_of(start: str) -> str | None:
    """The prefix of a key that begins so; `None` where it has none, or one that no key issued here may have.

    Random text holds no underscore: the last one ends the prefix, those before belong to it.
    """
    prefix = start.rpartition("_")[0]
    return prefix if _PREFIX.fullmatch(prefix) else None


def ending(now_ms: int, grace_ms: int, expires_ms: int | None) -> int:
    """When a key ends that has `grace_ms` left from now: at a full minute, and never later than it would.

    Without grace it has ended already: its last moment is the one before now.
    """
    end_ms = -(-(now_ms + grace_ms) // _MINUTE_MS) * _MINUTE_MS if grace_ms else now_ms - 1
    return end_ms if expires_ms is None else min(end_ms, expires_ms)


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key's text: the only thing of it that is stored."""
    return hashlib.sha256(key.encode()).digest()


def networks(entries: Iterable[str], field: str = "ipWhitelist") -> tuple[str, ...]:
    """The addresses and networks in canonical form; raises `BadRequest` naming the first wrong one."""
    found = []
    for entry in entries:
        try:
            network = ipaddress.ip_network(entry.strip(), strict=False)
        except ValueError:
            raise BadRequest(
                f"`{field}` holds {entry[:64]!r}; give addresses such as 192.0.2.7 or networks such as 192.0.2.0/24."
            ) from None
        text = str(network.network_address) if network.num_addresses == 1 else str(network)
        found.append(text)
    return tuple(dict.fromkeys(found))
