"""The seals of the audit log that an earlier version kept in files of the data directory: one line of JSON each."""

import asyncio
from collections import defaultdict

import msgspec

from latchwork.compose.data_dir import DataDir
from latchwork.domains.audit import Chains, Seal
from latchwork.domains.audit.seals import KEPT
from latchwork.surfaces.agent_service.health import Part


class SealFiles:
    """The port `Inherited`. A line that cannot be read, such as the last after a crash, is none."""

    def __init__(self, directory: DataDir) -> None:
        self._directory = directory

    async def all(self) -> list[Seal]:
        """The latest of each workspace."""
        return await asyncio.to_thread(self._read)

    async def forget(self) -> None:
        """Remove the files."""
        await asyncio.to_thread(self._remove)

    def _read(self) -> list[Seal]:
        by_workspace: dict[str, list[Seal]] = defaultdict(list)
        for path in self._directory.inherited_seals():
            for line in path.read_bytes().splitlines():
                if (seal := _seal(line)) is not None:
                    by_workspace[seal.workspace_id].append(seal)
        every = (sorted(of_one, key=lambda seal: seal.time_ms)[-KEPT:] for of_one in by_workspace.values())
        return [seal for latest in every for seal in latest]

    def _remove(self) -> None:
        for path in self._directory.inherited_seals():
            path.unlink(missing_ok=True)


def seals_part(chains: Chains) -> Part:
    """How sealing fares, for the health surface."""
    sealing = chains.sealing
    if sealing.failing_since_ms:
        return Part("failing", {"sinceMs": sealing.failing_since_ms, "reason": sealing.reason})
    return Part("ok", {"sealedAt": sealing.sealed_ms} if sealing.sealed_ms else {})


def _seal(line: bytes) -> Seal | None:
    try:
        return msgspec.json.decode(line, type=Seal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
