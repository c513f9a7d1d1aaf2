"""Leading: what one node at a time does for all, by a lock that ends with its holder's connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from latchwork.kernel.sql.lane import Link
from latchwork.kernel.sql.postgres import PostgresDatabase

_TRIED_EVERY_S = 1.0
_DEADLINE_S = 2.0
_TAKE = "SELECT pg_try_advisory_lock(hashtext('latchwork.leader'))"
_STILL = "SELECT 1"

_log = logging.getLogger(__name__)


class Leader:
    """Begins its duties when this node comes to lead, and ends them before another could have begun.

    The lock is the server's: it goes to another node no sooner than this one's connection has ended, which this
    one sees within some seconds. For so long two may lead, so duties must be right side by side, if not sparing.
    """

    def __init__(
        self,
        database: PostgresDatabase,
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self.is_leading = False
        self._database = database
        self._begin = begin
        self._end = end
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lead, if nobody does, and else as soon as nobody does."""
        await self._attempt()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Leave it to others."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._resign()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_TRIED_EVERY_S)
            await self._attempt()

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                if self._link is None:
                    self._link = await self._database.link()
                if self.is_leading:
                    await self._link.driver.execute(_STILL)
                    return
                leads = await self._link.driver.fetchval(_TAKE)
        except Exception as error:  # noqa: BLE001 - the driver's own, whose module is loaded late
            if self.is_leading:
                _log.warning("This node leads no longer: %s: %s", type(error).__name__, error)
            await self._resign()
            return
        if leads:
            self.is_leading = True
            _log.info("This node leads.")
            await self._begin()

    async def _resign(self) -> None:
        if self.is_leading:
            self.is_leading = False
            await self._end()
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):
                await link.drop()
