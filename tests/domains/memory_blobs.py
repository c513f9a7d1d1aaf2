"""Blobs in memory, which may be away, silent, or refuse to delete."""

import asyncio
from collections.abc import Sequence

from latchwork.domains.audit import Seal
from latchwork.kernel.blobs import BlobsUnavailable, checked_key


class MemoryBlobs:
    """The port `Blobs`; `kept` is what was put."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = ""
        self.is_silent = False
        self.deletions_refused = 0
        self.deletes = True

    async def put(self, key: str, content: bytes) -> bool:
        await self._asked()
        if checked_key(key) in self.kept:
            return False
        self.kept[key] = content
        return True

    async def find(self, key: str) -> bytes | None:
        await self._asked()
        return self.kept.get(checked_key(key))

    async def list(self, folder: str) -> Sequence[str]:
        await self._asked()
        return sorted(key for key in self.kept if key.startswith(f"{checked_key(folder)}/"))

    async def folders(self, folder: str) -> Sequence[str]:
        below = len(folder) + 1
        names = (key[below:].partition("/") for key in await self.list(folder))
        return sorted({name for name, slash, _ in names if slash})

    async def delete(self, keys: Sequence[str]) -> None:
        await self._asked()
        if not self.deletes:
            self.deletions_refused += 1
            raise BlobsUnavailable("The bucket is written once.")
        for key in keys:
            self.kept.pop(checked_key(key), None)

    async def _asked(self) -> None:
        if self.is_silent:
            await asyncio.Event().wait()
        if self.away:
            raise BlobsUnavailable(self.away)


class Left:
    """The port `Inherited`: seals that an earlier version has left."""

    def __init__(self, *seals: Seal) -> None:
        self.seals = list(seals)

    async def all(self) -> list[Seal]:
        return list(self.seals)

    async def forget(self) -> None:
        self.seals.clear()
