"""Sealing: AES-256-GCM under a fresh nonce, bound to what the sealed thing belongs to."""

import base64
import binascii
import hashlib
import secrets

import msgspec

PREFIX = "lw_kek_"
KEY_BYTES = 32
_NONCE_BYTES = 12  # drawn at random: 2^32 of them under one key collide with a chance below 2^-32
_FORMAT = b"\x01"
_LEAST_DISTINCT = 12  # of 32 random bytes about 30 differ; fewer than 12 are an example or a mistake


class Unopenable(Exception):
    """Sealed by another key, for something else, or changed since."""


class SealingKey:
    """A key that seals and opens. `id` tells keys apart and is no secret; printing it shows no more."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        """Raises `ValueError` unless `key` is 32 bytes that may have been drawn at random."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"must be {KEY_BYTES} bytes, not {len(key)}")
        if len(set(key)) < _LEAST_DISTINCT:
            raise ValueError("is not random")
        self._key = key
        self.id = "kek_" + hashlib.sha256(b"latchwork sealing key\0" + key).hexdigest()[:16]

    @classmethod
    def fresh(cls) -> "SealingKey":
        """A new random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def of_text(cls, text: str) -> "SealingKey":
        """The key that `text` writes in Base64 or hexadecimal, `lw_kek_` before it or not; `ValueError`."""
        return cls(_bytes_of(text.strip().removeprefix(PREFIX)))

    def reveal(self) -> str:
        """The key as text, for whoever keeps it."""
        return PREFIX + base64.urlsafe_b64encode(self._key).decode().rstrip("=")

    def reveal_bytes(self) -> bytes:
        """The key itself, to be sealed by another."""
        return self._key

    def seal(self, plain: bytes, *belongs_to: str) -> bytes:
        """`plain` sealed; only the same `belongs_to` opens it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + AESGCM(self._key).encrypt(nonce, plain, _associated(belongs_to))

    def open(self, sealed: bytes, *belongs_to: str) -> bytes:
        """What was sealed; raises `Unopenable`."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _FORMAT or len(nonce) < _NONCE_BYTES:
            raise Unopenable
        try:
            return AESGCM(self._key).decrypt(nonce, rest, _associated(belongs_to))
        except InvalidTag:
            raise Unopenable from None

    def __repr__(self) -> str:
        return f"SealingKey({self.id})"


def _associated(belongs_to: tuple[str, ...]) -> bytes:
    """The names as one text that no other list of names has."""
    return msgspec.json.encode(belongs_to)


def _bytes_of(text: str) -> bytes:
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        standard = text.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("is neither Base64 nor hexadecimal") from None
