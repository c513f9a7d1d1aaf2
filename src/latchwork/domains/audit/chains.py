"""Going through the chains, and sealing them: noting outside of the database where they end."""

import asyncio
import logging
from contextlib import suppress

from latchwork.domains.audit import store
from latchwork.domains.audit.ports import Seals
from latchwork.domains.audit.records import Checked
from latchwork.kernel.clock import Clock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

EVERY_S = 3600.0

_log = logging.getLogger(__name__)


class Chains:
    """Checks the chains of all workspaces, and seals them when it starts, every hour and when it stops."""

    def __init__(self, db: Database, seals: Seals, clock: Clock) -> None:
        self._db = db
        self._seals = seals
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def check(self, workspace_id: str) -> Checked:
        """The workspace's chain gone through, also against its seals."""
        kept = await asyncio.to_thread(self._seals.all)
        sealed = {seal.seq: seal.digest for seal in kept if seal.workspace_id == workspace_id}
        return await self._db.read(
            lambda connection: store.checked(connection, workspace_id, sealed), workspace_id
        )

    async def seal(self) -> int:
        """Note the ends of the chains that have grown; how many there were."""
        now_ms = self._clock.now_ms()
        heads = await self._db.read(lambda connection: store.heads(connection, now_ms), ALL_WORKSPACES)
        kept = await asyncio.to_thread(self._seals.all)
        known = {(seal.workspace_id, seal.seq, seal.digest) for seal in kept}
        fresh = [head for head in heads if (head.workspace_id, head.seq, head.digest) not in known]
        if fresh:
            await asyncio.to_thread(self._seals.keep, fresh)
        return len(fresh)

    def start(self) -> None:
        """Begin to seal."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Seal once more, and end."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._try_to_seal()

    async def _keep_on(self) -> None:
        while True:
            await self._try_to_seal()
            await asyncio.sleep(EVERY_S)

    async def _try_to_seal(self) -> None:
        try:
            await self.seal()
        except Exception:  # noqa: BLE001 - the log goes on without a seal, and the next turn tries again
            _log.exception("The audit log could not be sealed.")
