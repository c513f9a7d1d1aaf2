"""The analytics' verbs: buffer, flush, count."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from latchwork.domains.analytics import rules, series
from latchwork.domains.analytics.faults import AnalyticsNotConfigured
from latchwork.domains.analytics.ports import AnalyticsStore, BadBatch
from latchwork.domains.analytics.records import Counts, Health, Row, VerificationsQuestion
from latchwork.domains.analytics.spool import Spool
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Unavailable

T = TypeVar("T")
_FLUSH_S = 0.25
_QUERY_S = 10.0
_DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


class Nowhere(deque[Row]):
    """A buffer that keeps nothing, for a server without analytics."""

    def append(self, row: Row, /) -> None:
        """Forget it."""


class OnlyUses(deque[Row]):
    """The same for verifications, of which the moment is noted all the same."""

    def __init__(self, uses: dict[str, int]) -> None:
        super().__init__()
        self._uses = uses

    def append(self, row: Row, /) -> None:
        """Note when the key was used."""
        self._uses[row[2].key_id] = row[0]


class Analytics:
    """Records events and counts them. Without a store it records nothing and refuses questions.

    The buffers are appended to by the hot path itself. Whatever is in them is spooled every quarter of a
    second and can be counted right after; past `most_buffered` events the newest are dropped and counted.

    `uses` says when keys were used, by id in ms since the epoch: of recorded verifications once they are
    spooled, of all others at once. Whoever keeps it takes it away.
    """

    def __init__(
        self,
        store: AnalyticsStore | None,
        spool: Spool | None,
        clock: Clock,
        *,
        most_buffered: int = 100_000,
        retention_days: int = 90,
    ) -> None:
        self.uses: dict[str, int] = {}
        self.verifications: deque[Row] = deque() if store else OnlyUses(self.uses)
        self.ratelimits: deque[Row] = deque() if store else Nowhere()
        self.dropped = 0
        self._store = store
        self._spool = spool
        self._clock = clock
        self._most = most_buffered
        self._retention_ms = retention_days * _DAY_MS
        self._pruned_ms = 0
        self._open = False
        self._failing = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="analytics")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to flush; the store is opened beside it, so that a start need not wait for it."""
        if self._store is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Flush what is buffered and close."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._step()
        await self._run(self._close)
        self._worker.shutdown()

    async def flush(self) -> None:
        """Make everything recorded so far countable; raises `Unavailable` when the store is failing."""
        if self._store is None:
            raise AnalyticsNotConfigured
        await self._step()
        if self._failing:
            raise Unavailable("Analytics cannot be read right now. Please try again.")

    async def get_verifications(self, question: VerificationsQuestion) -> list[Counts]:
        """Count verifications; raises `BadQuestion`, `AnalyticsNotConfigured`, `QueryTimeout`."""
        rules.check(question)
        await self.flush()
        store = self._store
        assert store is not None
        return rules.arranged(question, await self._run(lambda: store.count(question, _QUERY_S)))

    async def get_series(self, question: series.SeriesQuestion) -> series.Series:
        """Count an identity's verifications over time; raises what `get_verifications` does, and
        `RangeExceedsRetention`."""
        asked = series.counted(question, self._retention_ms)
        return series.series_of(question, asked, await self.get_verifications(asked))

    def health(self) -> Health:
        """How it fares."""
        state = "off" if self._store is None else "failing" if self._failing else "ok"
        spooled = self._spool.size_bytes if self._spool else 0
        lost = self.dropped + (self._spool.dropped if self._spool else 0)
        return Health(state, len(self.verifications) + len(self.ratelimits), lost, spooled)

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self._step()

    async def _step(self) -> None:
        """Spool what is buffered, then store what is spooled; a failure is kept for health and the next try."""
        taken = self._take(self.verifications), self._take(self.ratelimits)
        self.uses |= {row[2].key_id: row[0] for row in taken[0]}
        try:
            await self._run(lambda: self._work(*taken))
            self._failing = False
        except Exception:  # noqa: BLE001 - whatever failed, health tells and the next turn tries again
            if not self._failing:
                _log.exception("Events cannot be stored right now; they wait in the spool.")
            self._failing = True

    def _take(self, buffer: deque[Row]) -> list[Row]:
        waiting = len(buffer)
        taken = [buffer.popleft() for _ in range(min(waiting, self._most))]
        for _ in range(waiting - len(taken)):
            buffer.popleft()
            self.dropped += 1
        return taken

    def _work(self, verifications: list[Row], ratelimits: list[Row]) -> None:
        store, spool = self._store, self._spool
        assert store is not None and spool is not None
        spool.open()
        self._spool_batch(spool, verifications, ratelimits)
        if not self._open:
            store.open()
            self._open = True
        while (batch := spool.next()) is not None:
            try:
                store.ingest(*batch)
            except BadBatch:
                _log.exception("A batch of events cannot be read; it is set aside.")
                spool.set_aside()
            else:
                spool.done()
        self._prune(store)

    def _spool_batch(self, spool: Spool, verifications: list[Row], ratelimits: list[Row]) -> None:
        if not (verifications or ratelimits):
            return
        try:
            spool.put(verifications, ratelimits)
        except OSError:
            self.dropped += len(verifications) + len(ratelimits)
            raise

    def _prune(self, store: AnalyticsStore) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - self._pruned_ms > _DAY_MS:
            self._pruned_ms = now_ms
            store.prune(now_ms - self._retention_ms)

    def _close(self) -> None:
        if self._open and self._store is not None:
            self._store.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
