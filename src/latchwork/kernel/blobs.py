"""Blobs: immutable pieces of bytes outside of the database, by key, such as `audit/seals/ws_1/7.json`."""

import re
from collections.abc import Sequence
from typing import Protocol

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")


class BlobsUnavailable(Exception):
    """The store did not do it, or did not say so in time; the message is one sentence that says why."""


class Blobs(Protocol):
    """Keeps blobs. Every verb ends within a deadline and raises `BlobsUnavailable`.

    Keys are names with slashes between them; a name is letters, digits, `_`, `-` and, but at its beginning, dots.
    Any other raises `ValueError`.
    """

    async def put(self, key: str, content: bytes) -> bool:
        """Keep it durably, unless there is one with that key, which stays as it is; whether it was kept."""
        ...

    async def find(self, key: str) -> bytes | None:
        """The whole content, if there is one with that key."""
        ...

    async def list(self, folder: str) -> Sequence[str]:
        """The keys below a folder, whose name is whole, in their order as text."""
        ...

    async def folders(self, folder: str) -> Sequence[str]:
        """The names of the folders right in a folder, in their order as text; one may have nothing in it."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete those that are there."""
        ...


def checked_key(key: str) -> str:
    """The key, if it is one; raises `ValueError`. Nothing else may reach a file system or a bucket."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no key of a blob.")
    return key


def is_key(text: str) -> bool:
    """Whether it is the key of a blob or of a folder."""
    return _KEY.fullmatch(text) is not None
