"""Serving a database: the lock that says who does, and the one connection that holds it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql.lane import Link

LOCK = "hashtext('latchwork')"
_DEADLINE_S = 2.0
_LOOKED_EVERY_S = 1.0
_TRIES, _PAUSE_S = 20, 0.05  # a session that is told to end does so a moment later
_WHO = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"

_log = logging.getLogger(__name__)


class Serving:
    """A connection that holds the serving lock, and whose statements are therefore those of who serves.

    When it is lost it is made anew, with the lock, before another statement; `is_over` from when another process
    is found to hold the lock. Without `take` there is no lock to hold.
    """

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self.is_over = False
        self._connect = connect
        self._take: str | None = None
        self._link: Link | None = None
        self._session: tuple[Any, Any] | None = None  # the server may not know yet that it has ended
        self._turn = asyncio.Lock()
        self._is_cut = False
        self._task: asyncio.Task[None] | None = None

    async def take(self, *, among_others: bool) -> bool:
        """Hold the lock, alone or as one of any number; False when others hold it otherwise."""
        how = "pg_try_advisory_lock_shared" if among_others else "pg_try_advisory_lock"
        self._take = f"SELECT {how}({LOCK})"
        async with self._turn:
            await self._held()
        return not self.is_over

    async def execute(self, sql: str, *row: Any) -> None:
        """Run a statement as a transaction of its own; raises `Unavailable`, after which it may have been done."""
        async with self._turn:
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    driver = await self._held()
                    if driver is None:
                        raise Unavailable(private="another process serves this database")
                    await driver.execute(sql, *row)
            except Exception as error:
                await self._drop()
                raise Unavailable(private=f"{type(error).__name__}: {error}") from error

    def watch(self, lost: Callable[[], None]) -> None:
        """Keep the lock from now on, and call `lost` when it has gone to another process."""
        self._task = asyncio.create_task(self._watch(lost))

    async def close(self) -> None:
        """Leave it to others."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        async with self._turn:
            await self._drop()

    async def _watch(self, lost: Callable[[], None]) -> None:
        while not self.is_over:
            await asyncio.sleep(_LOOKED_EVERY_S)
            async with self._turn:
                try:
                    async with asyncio.timeout(_DEADLINE_S):
                        driver = await self._held()
                        if driver is not None:
                            await driver.execute("SELECT 1")
                except Exception as error:  # noqa: BLE001 - the driver's own, whose module is loaded late
                    if not self._is_cut:
                        _log.warning("The database is out of reach: %s: %s", type(error).__name__, error)
                    self._is_cut = True
                    await self._drop()
                else:
                    self._is_cut = False
        _log.error("Another process has begun to serve this database; this one stops.")
        lost()

    async def _held(self) -> Any:
        """The driver's connection with the lock, or `None` when it is another's."""
        if self._link is None and not self.is_over:
            link = await self._connect()
            try:
                self.is_over = self._take is not None and not await self._locked(link.driver, self._take)
            except BaseException:
                await link.drop()
                raise
            if self.is_over:
                await link.drop()
            else:
                self._link = link
        return None if self._link is None else self._link.driver

    async def _locked(self, driver: Any, take: str) -> bool:
        before = self._session
        if before is not None:
            await driver.execute(_END, *before)
        for _ in range(_TRIES if before is not None else 1):
            if await driver.fetchval(take):
                self._session = tuple(await driver.fetchrow(_WHO))
                return True
            await asyncio.sleep(_PAUSE_S)
        return False

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):
                await link.drop()
