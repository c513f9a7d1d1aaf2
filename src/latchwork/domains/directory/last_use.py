"""When keys were last used: noted in memory by whoever verifies, kept in rows that lists can order by."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from latchwork.domains.analytics import Analytics
from latchwork.domains.directory import store
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Database

EVERY_S = 5.0
_CHUNK = 2_000  # rows per write: a spend that comes meanwhile waits for one of them

_log = logging.getLogger(__name__)


class LastUse:
    """Takes what analytics have noted and writes it every few seconds, and when it stops.

    A process that is killed loses the uses of the last seconds; those of a process that fails to write
    wait for the next time.
    """

    def __init__(self, db: Database, analytics: Analytics) -> None:
        self._db = db
        self._noted = analytics.uses
        self._writing: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Write what is noted, and end."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self.try_to_save()

    async def save(self) -> None:
        """Write what is noted now; raises `Unavailable`, and then it is kept for the next time."""
        async with self._turn:
            self._writing |= self._noted
            self._noted.clear()
            for chunk in _chunks(self._writing):
                await self._db.write(partial(store.set_uses, uses=chunk), ALL_WORKSPACES)
            self._writing = {}

    async def try_to_save(self) -> None:
        """Write what is noted now, or else the next time."""
        try:
            await self.save()
        except Unavailable as fault:
            _log.warning("When keys were last used cannot be written now: %s", fault.private)

    def of(self, key_id: str, stored_ms: int | None) -> int | None:
        """When a key was last used whose row says `stored_ms`; `None` for never."""
        known = (stored_ms or 0, self._writing.get(key_id, 0), self._noted.get(key_id, 0))
        return max(known) or None

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.try_to_save()


def _chunks(uses: dict[str, int]) -> list[dict[str, int]]:
    """In the order of ids, which is that of the rows on disk."""
    items = sorted(uses.items())
    return [dict(items[start : start + _CHUNK]) for start in range(0, len(items), _CHUNK)]
