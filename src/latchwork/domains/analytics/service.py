"""The analytics' verbs: record, flush, count."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal, TypeVar

from latchwork.domains.analytics import charts, rules, series
from latchwork.domains.analytics.batches import Batch
from latchwork.domains.analytics.faults import AnalyticsNotConfigured, AnalyticsUnavailable
from latchwork.domains.analytics.ports import AnalyticsStore, BadBatch
from latchwork.domains.analytics.quotas import Quotas
from latchwork.domains.analytics.recorder import TICK_S, Recorder
from latchwork.domains.analytics.records import Counts, Health, Usage, VerificationsQuestion
from latchwork.domains.analytics.spool import Spool
from latchwork.domains.analytics.sql.answers import rendered
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.tables import Family
from latchwork.domains.analytics.sql.tree import Question
from latchwork.kernel.clock import Clock

T = TypeVar("T")
_RETRY_S = 1.0
_STORE_S = 10.0  # for which a question waits until what came before it is stored
_QUERY_S = 10.0
_QUESTIONS = 2  # of each kind asked at the same time; the others wait
_DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


class Analytics:
    """Records events and counts them. Without a store it records nothing and refuses questions.

    `verifications` and `ratelimits` are appended to by the hot path itself. Whatever is in them reaches
    the spool within a tenth of a second and the store with its batch; a question makes both happen first.

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
        queries_per_hour: int = 1_000,
        why_off: str = "",
    ) -> None:
        self._recorder = Recorder(spool, most_buffered, store.batch_s if store else 0.0)
        self.verifications = self._recorder.verifications
        self.ratelimits = self._recorder.ratelimits
        self.uses = self._recorder.uses
        self._store = store
        self._why_off = why_off
        self._spool = spool
        self._clock = clock
        self._retention_ms = retention_days * _DAY_MS
        self._shorter_ms: dict[str, int] = {}  # by workspace
        self._quotas = Quotas(queries_per_hour)
        self._pruned_ms = 0
        self._open = False
        self._failing = False
        self._flushed_s = 0.0
        self._flushing = asyncio.Lock()
        self._storing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._storer = ThreadPoolExecutor(1, thread_name_prefix="analytics-store")
        self._askers = ThreadPoolExecutor(_QUESTIONS, thread_name_prefix="analytics-ask")
        self._readers = ThreadPoolExecutor(_QUESTIONS, thread_name_prefix="analytics-sql")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to record; the store is opened beside it, so that a start need not wait for it."""
        if self._store is None:
            return
        await self._recorder.open()
        self._tasks = [asyncio.create_task(self._keep_recording()), asyncio.create_task(self._keep_storing())]

    async def stop(self) -> None:
        """Flush what is buffered and close."""
        if not self._tasks:
            return
        self._stopping.set()
        self._recorder.sealed.set()  # whoever waits for a batch need not any more
        _, stuck = await asyncio.wait(self._tasks, timeout=_STORE_S)
        for task in stuck:
            task.cancel()
        self._tasks = []
        await self._recorder.write(seal=True)
        with suppress(AnalyticsUnavailable):  # what is not stored waits in the spool for the next start
            if not stuck:
                await self._store_in_time()
                await self._run(self._storer, self._close)
        self._recorder.close()
        self._storer.shutdown(wait=False)
        self._askers.shutdown()
        self._readers.shutdown()

    async def flush(self) -> None:
        """Make everything recorded so far countable; raises `AnalyticsUnavailable` when the store fails."""
        if self._store is None:
            raise AnalyticsNotConfigured
        asked_s = asyncio.get_running_loop().time()
        async with self._flushing:
            if self._flushed_s <= asked_s:  # else another question has done it meanwhile
                begun_s = asyncio.get_running_loop().time()
                await self._recorder.write(seal=True)
                await self._store_in_time()
                self._flushed_s = begun_s
        if self._failing:
            raise AnalyticsUnavailable

    async def get_verifications(self, question: VerificationsQuestion) -> list[Counts]:
        """Count verifications; raises `BadQuestion`, `AnalyticsNotConfigured`, `QueryTimeout`."""
        rules.check(question)
        await self.flush()
        store = self._store
        assert store is not None
        found = await self._run(self._askers, lambda: store.count(question, _QUERY_S))
        return rules.arranged(question, found)

    async def get_chart(self, question: VerificationsQuestion) -> list[Counts]:
        """Count verifications in whole buckets of time, see `charts`; raises what `get_verifications` does."""
        rules.check(question)
        await self.flush()
        store, asked = self._store, charts.counted(question)
        assert store is not None
        found: list[Counts] = []
        if asked is not None:
            found = await self._run(self._askers, lambda: store.count(asked, _QUERY_S))
        return charts.drawn(question, found)

    async def get_series(self, question: series.SeriesQuestion) -> series.Series:
        """Count an identity's verifications over time; raises what `get_verifications` does, and
        `RangeExceedsRetention`."""
        asked = series.counted(question, self._kept_ms(question.workspace_id))
        return series.series_of(question, asked, await self.get_verifications(asked))

    async def usage(self, workspace_id: str, start_ms: int, end_ms: int) -> Usage:
        """Count a workspace's operations in [start, end); raises `AnalyticsNotConfigured`, `QueryTimeout`."""
        await self.flush()
        store = self._store
        assert store is not None
        return await self._run(self._askers, lambda: store.usage(workspace_id, start_ms, end_ms, _QUERY_S))

    async def ask(
        self, text: str, *, family: Family, workspace_id: str, spaces: Sequence[str] | None
    ) -> bytes:
        """Answer a query in ClickHouse's SQL over a workspace's events; the rows as a JSON list of objects.

        `spaces` are the only keyspaces or namespaces that may be seen, `None` means all. Raises
        `InvalidQuery`, `InvalidQueryType`, `InvalidTable`, `InvalidFunction`, `RangeExceedsRetention`,
        `QueryTimeout`, `QueryMemoryExceeded`, `QueryRowsExceeded`, `QueryQuotaExceeded`,
        `AnalyticsNotConfigured`, `AnalyticsUnavailable`.
        """
        store = self._store
        if store is None:
            raise AnalyticsNotConfigured
        now_ms = self._clock.now_ms()
        self._quotas.count(workspace_id, now_ms)
        allowed = None if spaces is None else tuple(spaces)
        fence = Fence(family, workspace_id, allowed, now_ms - self._kept_ms(workspace_id), now_ms)
        async with self._quotas.turn(workspace_id):
            question = await self._run(self._readers, lambda: _read(text, fence))
            await self.flush()
            return await self._run(self._readers, lambda: _answer(store, question))

    async def keys_tagged(self, workspace_id: str, tag: str) -> list[str]:
        """Ids of the keys that were verified with `tag`, as far back as events are kept.

        Raises `BadQuestion` for more than `rules.MOST_KEYS`, `AnalyticsNotConfigured`, `QueryTimeout`.
        """
        await self.flush()
        store, most = self._store, rules.MOST_KEYS + 1
        assert store is not None
        found = await self._run(self._askers, lambda: store.keys_tagged(workspace_id, tag, most, _QUERY_S))
        rules.check_keys(found)
        return found

    def keep(self, workspace_id: str, days: int | None) -> None:
        """Keep a workspace's events no longer than so many days; `None` for as long as all others."""
        self._shorter_ms.pop(workspace_id, None)
        if days is not None:
            self._shorter_ms[workspace_id] = days * _DAY_MS
            self._pruned_ms = 0

    def _kept_ms(self, workspace_id: str) -> int:
        return min(self._retention_ms, self._shorter_ms.get(workspace_id, self._retention_ms))

    def health(self) -> Health:
        """How it fares."""
        if self._store is None:
            return Health("off", 0, 0, 0, why_off=self._why_off)
        spooled = self._spool.size_bytes if self._spool else 0
        lost = self._recorder.dropped + (self._spool.dropped if self._spool else 0)
        oldest_ms = self._spool.oldest_ms if self._spool else None
        state: Literal["ok", "failing"] = "failing" if self._failing else "ok"
        return Health(state, self._recorder.buffered, lost, spooled, oldest_ms)

    async def _keep_recording(self) -> None:
        while not await self._stopped_within(TICK_S):
            await self._recorder.write()

    async def _keep_storing(self) -> None:
        while not self._stopping.is_set():
            self._recorder.sealed.clear()
            await self._store_sealed()
            if not self._failing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._recorder.sealed.wait(), _RETRY_S)
            elif await self._stopped_within(_RETRY_S):
                return

    async def _store_in_time(self) -> None:
        """Store what is sealed now; raises `AnalyticsUnavailable` when that takes too long or has for others."""
        if self._storing is not None and not self._storing.done():
            raise AnalyticsUnavailable(private="An earlier attempt to store events has not ended yet.")
        self._storing = asyncio.create_task(self._store_sealed())
        await asyncio.wait([self._storing], timeout=_STORE_S)
        if not self._storing.done():
            self._failing = True
            raise AnalyticsUnavailable(private=f"Events could not be stored in {_STORE_S:g} s.")

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _store_sealed(self) -> None:
        """Store every sealed batch; a failure is kept for health and the next try."""
        spool = self._spool
        assert spool is not None
        if self._open and not spool.waiting and not self._is_prunable():
            return
        try:
            await self._run(self._storer, self._work)
            self._failing = False
        except Exception:  # noqa: BLE001 - whatever failed, health tells and the next turn tries again
            if not self._failing:
                _log.exception("Events cannot be stored right now; they wait in the spool.")
            self._failing = True

    def _work(self) -> None:
        store, spool = self._store, self._spool
        assert store is not None and spool is not None
        if not self._open:
            store.open()
            self._open = True
        try:
            if self._is_prunable():
                self._prune(store, spool)
            while (batch := spool.next()) is not None:
                self._ingest(store, spool, batch)
        except Exception:
            self._close()  # a store that failed may be good again when it is opened again
            raise

    def _ingest(self, store: AnalyticsStore, spool: Spool, batch: Batch) -> None:
        try:
            store.ingest(batch)
        except BadBatch:
            _log.exception("A batch of events cannot be read; it is set aside.")
            spool.set_aside(max(1, batch.events))
            return
        if batch.damaged:
            _log.error("The batch %s is damaged; what could not be read is set aside.", batch.name)
            spool.set_aside(1)
        else:
            spool.done()

    def _is_prunable(self) -> bool:
        return self._clock.now_ms() - self._pruned_ms > _DAY_MS

    def _prune(self, store: AnalyticsStore, spool: Spool) -> None:
        now_ms = self._clock.now_ms()
        spool.settle()
        store.forget(spool.waiting)
        store.prune(now_ms - self._retention_ms)
        for workspace_id, kept_ms in list(self._shorter_ms.items()):
            store.prune(now_ms - kept_ms, workspace_id)
        self._pruned_ms = now_ms

    def _close(self) -> None:
        if self._open and self._store is not None:
            self._open = False
            self._store.close()

    @staticmethod
    async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _read(text: str, fence: Fence) -> Question:
    from latchwork.domains.analytics.sql.reading import read  # with the parser, which is large

    return read(text, fence)


def _answer(store: AnalyticsStore, question: Question) -> bytes:
    rows = store.ask(question, _QUERY_S)
    try:
        return rendered(question, rows)
    finally:
        rows.close()
