"""Folding: moving journalled spends into the rows, so that the journal stays short."""

import asyncio
import heapq
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice

from latchwork.domains.credits import store
from latchwork.domains.credits.journal import Journal, Spends
from latchwork.kernel.faults import Fault
from latchwork.kernel.sql import ALL_WORKSPACES, Database

_log = logging.getLogger(__name__)

EVERY_S = 10
_PATIENCE_S = 1  # after a failure
_CHUNK = 500  # subjects per write: a spend that comes meanwhile waits for one of them
_RUN = 5_000  # subjects sorted in one go, under a millisecond


class Folding:
    """Moves what the journal holds into the rows, a chunk per write.

    Each chunk also journals its own negation, so that rows and journal together are true at every
    instant; at the end the journal rows that cancel out go in one write. Chunks are in the order of
    ids, which is the order of the rows on disk: that is ten times cheaper than at random.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        parked: Container[str],
        settled: Callable[[str], Awaitable[object]],
        every_s: float = EVERY_S,
    ) -> None:
        self._database = database
        self._journal = journal
        self._parked = parked
        self._settled = settled
        self._every_s = every_s
        self._whole = asyncio.Lock()
        self._chunk = asyncio.Lock()
        self._begun: tuple[int, Spends] | None = None
        self._unfinished = False

    async def keep(self, before: Callable[[], Awaitable[None]]) -> None:
        """Fold whenever it is time, for ever, and call `before` each time."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._journal.full.wait()
            try:
                await before()
                await self.fold()
            except Fault as fault:
                _log.warning("credits could not be folded and will be later: %s", fault.private)
                await asyncio.sleep(min(_PATIENCE_S, self._every_s))

    async def fold(self) -> None:
        """Fold what is journalled now; raises `Unavailable`, after which nothing is lost or half done."""
        async with self._whole:
            await self.pause()
            if not (self._unfinished or self._journal.unfolded or self._journal.in_doubt):
                return
            self._unfinished = True
            cut = await self._journal.cut()
            left, negations = cut.unfolded, list[int]()
            async for ids in _in_order(left):
                await self._fold(ids, left, negations)
            while left:
                await self._settled(next(iter(left)))
                await self._fold(list(left)[:_CHUNK], left, negations)
            await self._database.write(partial(store.drop, up_to=cut.seq, also=negations), ALL_WORKSPACES)
            self._unfinished = False

    async def pause(self) -> None:
        """Wait for the chunk that is being written; one whose outcome is unknown is made certain."""
        async with self._chunk:
            await self._finish_chunk()

    async def _fold(self, ids: list[str], left: Spends, negations: list[int]) -> None:
        """Fold those of `ids` that nobody is rewriting, and take them out of `left`."""
        async with self._chunk:
            spends = {i: left[i] for i in ids if i not in self._parked}
            if not spends:
                return
            seq = self._journal.next_seq()
            self._begun = (seq, spends)
            await self._finish_chunk()
        negations.append(seq)
        for i in spends:
            del left[i]

    async def _finish_chunk(self) -> None:
        if self._begun is not None:
            seq, spends = self._begun
            await self._database.write(partial(store.fold, seq=seq, spends=spends), ALL_WORKSPACES)
            self._journal.account(spends, -1)
            self._begun = None


async def _in_order(subject_ids: Iterable[str]) -> AsyncIterator[list[str]]:
    """The ids in order, a chunk at a time; sorting them never holds the event loop for long."""
    runs, ids = [], iter(subject_ids)
    while run := list(islice(ids, _RUN)):
        run.sort()
        runs.append(run)
        await asyncio.sleep(0)
    merged = heapq.merge(*runs)
    while chunk := list(islice(merged, _CHUNK)):
        yield chunk
