"""Following: hearing of every change that other nodes make in a shared database."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from latchwork.kernel.leases import Lease
from latchwork.kernel.sql.changes import LOOK, SWEEP, News, decoded
from latchwork.kernel.sql.lane import Link
from latchwork.kernel.sql.postgres import NODES, PostgresDatabase

DEADLINE_S = 0.5
"""How long a look may take."""
USUAL_S, ALONE_S = 0.075, 0.05
"""From one look to the next: usually, and while nothing else brings news."""
KEPT_MS = 600_000
_SWEPT_EVERY_S = 60
_MOST_HEARD = 100_000

_log = logging.getLogger(__name__)


class Follower:
    """Looks at what was changed again and again, announces it here, and renews the lease with each look.

    `nodes` is how many serve the database, as last counted, which is done while nothing else tells.

    A look that begins after a change was acknowledged finds it: rows are told of by the transactions that make
    them, and looked for from the oldest transaction on that had not ended at the last look.
    """

    def __init__(
        self, database: PostgresDatabase, lease: Lease, node: str, is_alone: Callable[[], bool]
    ) -> None:
        """`is_alone` says whether the database is all there is to hear from."""
        self._database = database
        self._lease = lease
        self._node = node
        self._is_alone = is_alone
        self.nodes = 1
        self._link: Link | None = None
        self._horizon: int | None = None
        self._seen: set[int] = set()
        self._heard: set[int] = set()  # before a look has seen it
        self._swept_s = self._lease.now_s()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Look once, and go on looking."""
        await self._attempt()
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._watch())]

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._drop()

    async def look(self) -> None:
        """Hear of what has changed; raises whatever is wrong with the database."""
        began_s = self._lease.now_s()
        async with asyncio.timeout(DEADLINE_S):
            if self._link is None:
                self._link = await self._database.link()
            # The first look only finds from where on to look: nothing is remembered yet.
            start = 2**62 if self._horizon is None else self._horizon
            rows = await self._link.driver.fetch(LOOK, start)
            if self._is_alone():
                self.nodes = await self._link.driver.fetchval(NODES)
        self._hear(rows)
        self._lease.renew(began_s)

    def hear(self, news: News) -> None:
        """Announce what came another way, so that the next look need not."""
        self._database.invalidations.announce(*news.tags)
        if len(self._heard) < _MOST_HEARD:
            self._heard.add(news.seq)

    def _hear(self, rows: list[Any]) -> None:
        self._horizon = rows[0]["horizon"]
        told = [row for row in rows if row["seq"] is not None]
        seen = self._seen | self._heard
        for row in told:
            if row["seq"] not in seen and row["node"] != self._node:
                self._database.invalidations.announce(*decoded(row["tags"]))
        self._seen = {row["seq"] for row in told}
        self._heard -= self._seen

    async def _attempt(self) -> None:
        try:
            await self.look()
            await self._sweep()
        except Exception as error:  # noqa: BLE001 - the driver's own, whose module is loaded late
            if not self._lease.is_cut:
                _log.warning("The database cannot be followed: %s: %s", type(error).__name__, error)
            self._lease.failed()
            await self._drop()

    async def _sweep(self) -> None:
        if self._lease.now_s() - self._swept_s > _SWEPT_EVERY_S and self._link is not None:
            self._swept_s = self._lease.now_s()
            async with asyncio.timeout(DEADLINE_S):
                await self._link.driver.execute(SWEEP, KEPT_MS)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(ALONE_S if self._lease.is_cut or self._is_alone() else USUAL_S)
            await self._attempt()

    async def _watch(self) -> None:
        """End the lease on time where nobody asks what time it is."""
        while True:
            await asyncio.sleep(ALONE_S)
            self._lease.check()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):
                await link.drop()
