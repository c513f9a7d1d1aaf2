"""Seals as blobs, which whoever changes the database does not reach.

The key of a blob says all that counts, so that one listing is enough to check a log, and that nodes that seal the
same end of a chain keep one blob.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from latchwork.domains.audit.ports import Inherited
from latchwork.domains.audit.records import Seal
from latchwork.kernel.blobs import Blobs

KEPT = 100
"""The latest seals of a workspace; older ones may be deleted."""

_FOLDER = "audit/seals"
_NAME = re.compile(r"(\d{20})-([0-9a-f]{64})\.json")


class Seals:
    """The seals of all workspaces. Raises `BlobsUnavailable`."""

    def __init__(self, blobs: Blobs, inherited: Inherited) -> None:
        self._blobs = blobs
        self._inherited = inherited
        self._taking_over = asyncio.Lock()
        self._has_taken_over = False

    def __str__(self) -> str:
        return f"{self._blobs}/{_FOLDER}"

    async def of(self, workspace_id: str) -> list[tuple[int, str]]:
        """The number and the digest (in hex) of each row of a workspace that was sealed, in order."""
        await self.take_over()
        keys = await self._blobs.list(f"{_FOLDER}/{workspace_id}")
        names = (_NAME.fullmatch(key.rpartition("/")[2]) for key in keys)
        return sorted((int(name[1]), name[2]) for name in names if name is not None)

    async def workspaces(self) -> list[str]:
        """The ids of those that have a folder for seals."""
        await self.take_over()
        return list(await self._blobs.folders(_FOLDER))

    async def keep(self, seal: Seal) -> bool:
        """Keep one durably; whether it is new."""
        key = _key(seal.workspace_id, seal.seq, seal.digest)
        return await self._blobs.put(key, msgspec.json.encode(asdict(seal)))

    async def drop(self, workspace_id: str, sealed: Sequence[tuple[int, str]]) -> None:
        """Delete some of a workspace's."""
        await self._blobs.delete([_key(workspace_id, seq, digest) for seq, digest in sealed])

    async def reach(self) -> None:
        """Only see that they could be kept."""
        await self._blobs.list(f"{_FOLDER}/none")

    async def take_over(self) -> None:
        """Keep what an earlier version has left, once."""
        async with self._taking_over:
            if self._has_taken_over:
                return
            for seal in await self._inherited.all():
                await self.keep(seal)
            await self._inherited.forget()
            self._has_taken_over = True


def _key(workspace_id: str, seq: int, digest: str) -> str:
    return f"{_FOLDER}/{workspace_id}/{seq:020}-{digest}.json"
