"""The runner: begins what is due, brings it forward portion by portion, and goes on after a restart."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from latchwork.domains.jobs import store
from latchwork.domains.jobs.ports import Kind
from latchwork.domains.jobs.records import Job, Portion, State
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault, Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.database import Unit

_AT_ONCE = 4
_MOST_ATTEMPTS = 8  # of one portion
_FIRST_PAUSE_MS = 1_000  # doubled for each further attempt: two minutes before the last
_WHILE_AWAY_S = 0.2  # between looks at a database that does not answer
_KEPT_MS = 30 * 24 * 60 * 60 * 1000
_FORGOTTEN_AT_ONCE = 100

_log = logging.getLogger(__name__)


class Runner:
    """Works on jobs, a few at once and one of a workspace; nothing is polled while nothing is due.

    There must be no other runner on the same database: a running job that is not in its hands was left
    behind, by a process that is gone or by a commit whose answer was lost.
    """

    def __init__(self, db: Database, clock: Clock, kinds: Iterable[Kind]) -> None:
        self._db = db
        self._clock = clock
        self._kinds = {kind.name: kind for kind in kinds}
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._writing: set[asyncio.Task[Job]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._looked_ms = 0

    def start(self) -> None:
        """Begin to work."""
        self._loop = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Stop, when what is being written is written; unfinished jobs go on at the next start."""
        ending = [self._loop, *self._running.values()] if self._loop is not None else []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.gather(*self._writing, return_exceptions=True)

    def wake(self) -> None:
        """Look for something to do."""
        self._idle.clear()
        self._woken.set()

    async def settled(self) -> None:
        """Wait until nothing is running and nothing is due."""
        self.wake()
        await self._idle.wait()

    async def _keep_on(self) -> None:
        while True:
            self._woken.clear()
            while len(self._running) < _AT_ONCE and (job := await self._insist(self._claim)) is not None:
                self._begin(job)
            due_ms = await self._insist(self._next_due_ms) if len(self._running) < _AT_ONCE else None
            if not self._running and not self._woken.is_set():
                self._idle.set()
            await self._wait(due_ms)

    def _claim(self, connection: Connection) -> Job | None:
        """The next job; where there is none, there is time to forget old ones."""
        now_ms = self._looked_ms = self._clock.now_ms()
        job = store.claim(connection, self._kinds, self._running, now_ms)
        if job is None:
            store.forget(connection, now_ms - _KEPT_MS, _FORGOTTEN_AT_ONCE)
        return job

    def _next_due_ms(self, connection: Connection) -> int | None:
        """When there may be a next job; one that was due already waits for that of its workspace which runs."""
        return store.next_due_ms(connection, self._kinds, self._looked_ms)

    def _begin(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._work(job))
        self._running[job.id] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._running[job.id]
            self.wake()

        task.add_done_callback(ended)

    async def _wait(self, due_ms: int | None) -> None:
        """Until somebody wakes us, as a job that ends does, or until the next job is due."""
        timeout_s = None if due_ms is None else (due_ms - self._clock.now_ms()) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()

    async def _work(self, job: Job) -> None:
        """Bring a job forward until it is over."""
        while job.state is State.RUNNING:
            try:
                job = await self._advance(job)
            except Exception as error:  # noqa: BLE001 - whatever a kind raises, the others must go on
                await self._insist(self._failed(job, error))
                return

    async def _advance(self, job: Job) -> Job:
        unit = await self._kinds[job.kind].prepare(job)
        writing = asyncio.get_running_loop().create_task(self._write(job, unit))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return await asyncio.shield(writing)

    async def _write(self, job: Job, unit: Unit[Portion]) -> Job:
        def step(connection: Connection) -> Job:
            portion = unit(connection)
            _must_advance(job, portion)
            return store.advance(connection, job, portion, self._clock.now_ms())

        return await self._db.write(step, job.who.workspace_id)

    def _failed(self, job: Job, error: Exception) -> Callable[[Connection], None]:
        """What to write of a portion that failed: a fault ends the job, anything else is tried again."""
        now_ms = self._clock.now_ms()
        if isinstance(error, Fault) and not isinstance(error, Unavailable):
            detail = error.detail
            return lambda connection: store.fail(connection, job, detail, now_ms)
        _log.error("job %s (%s) failed at item %d", job.id, job.kind, job.position, exc_info=error)
        if job.attempts + 1 >= _MOST_ATTEMPTS:
            told = f"It failed {_MOST_ATTEMPTS} times; the server's log says why."
            return lambda connection: store.fail(connection, job, told, now_ms)
        due_ms = now_ms + _FIRST_PAUSE_MS * 2**job.attempts
        return lambda connection: store.put_back(connection, job, due_ms)

    async def _insist(self, unit: Callable[[Connection], Any]) -> Any:
        """Write `unit`, waiting for the database where it does not answer."""
        while True:
            with suppress(Unavailable):
                return await self._db.write(unit, ALL_WORKSPACES)
            await asyncio.sleep(_WHILE_AWAY_S)


def _must_advance(job: Job, portion: Portion) -> None:
    if not job.position < portion.position <= job.total:
        raise ValueError(f"a portion of {job.kind} went from {job.position} to {portion.position}")
