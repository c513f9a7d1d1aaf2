"""The one thread that writes to a SQLite file: groups what is queued into commits."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.sql.changes import collected
from latchwork.kernel.sql.database import Done, Unit

_GROUP = 256  # jobs per commit: more only makes the first one wait longer


class UnitJob:
    """A queued unit of work; what it changed goes to `invalidations`, then its outcome to `future`."""

    __slots__ = ("changes", "error", "future", "invalidations", "loop", "result", "unit")

    def __init__(
        self, unit: Unit[Any], invalidations: Invalidations, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.unit = unit
        self.invalidations = invalidations
        self.loop = loop
        self.changes: list[Tag] = []
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: Exception | None = None

    def run_alone(self, connection: Connection, _raw: sqlite3.Connection) -> None:
        """Run in a transaction of its own; raises what the unit raises, or why the commit failed."""
        with connection.begin():
            self.result, self.changes = collected(connection, self.unit)

    def run_within(self, connection: Connection, raw: sqlite3.Connection) -> None:
        """Run in a savepoint of the group's transaction: a failing unit rolls back alone."""
        raw.execute("SAVEPOINT unit")
        try:
            self.result, self.changes = collected(connection, self.unit)
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK TO unit")
                raw.execute("RELEASE unit")
            raise
        raw.execute("RELEASE unit")

    def settle(self) -> None:
        if self.error is None and self.changes:
            self.invalidations.announce(*self.changes)
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class AppendJob:
    """A queued single statement; its outcome goes to `done`. SQLite undoes a failing statement by itself."""

    __slots__ = ("done", "error", "loop", "row", "sql")

    def __init__(self, sql: str, row: tuple[Any, ...], done: Done, loop: asyncio.AbstractEventLoop) -> None:
        self.sql = sql
        self.row = row
        self.done = done
        self.loop = loop
        self.error: Exception | None = None

    def run_alone(self, _connection: Connection, raw: sqlite3.Connection) -> None:
        """Outside any transaction SQLite commits the statement itself: the fewest calls there are."""
        raw.execute(self.sql, self.row)

    run_within = run_alone

    def settle(self) -> None:
        self.done(self.error)


Job = UnitJob | AppendJob


class Writer:
    """Runs jobs in the order they were put, commits them in groups, then settles them on their loops."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._closing = False
        self._connection: Connection | None = None

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue `job`; raises `Unavailable` once closing."""
        if self._closing:
            raise Unavailable(private="the database is closing")
        self._jobs.put(job)

    def finish(self) -> None:
        """Refuse what is put from now on, and end after what is queued."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)

    def join(self) -> None:
        """Block until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            jobs, going_on = self._next_group()
            if jobs:
                self._run_group(jobs)
                _settle(jobs)
        self._disconnect()

    def _next_group(self) -> tuple[list[Job], bool]:
        """What is queued now, at least one job; and whether more may follow."""
        jobs: list[Job] = []
        job = self._jobs.get()
        try:
            while job is not None:
                jobs.append(job)
                if len(jobs) == _GROUP:
                    return jobs, True
                job = self._jobs.get_nowait()
        except Empty:
            return jobs, True
        return jobs, False

    def _run_group(self, jobs: list[Job]) -> None:
        """Run and commit; what fails outside any one job fails them all, and none of them happened."""
        try:
            connection, raw = self._connect()
            if len(jobs) == 1:
                _run_alone(jobs[0], connection, raw)
            else:
                _run_together(jobs, connection, raw)
        except Exception as error:  # noqa: BLE001 - the jobs' owners are told
            for job in jobs:
                job.error = Unavailable(private=f"{type(error).__name__}: {error}")
            self._disconnect()

    def _connect(self) -> tuple[Connection, sqlite3.Connection]:
        if self._connection is None:
            self._connection = self._engine.connect()
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return self._connection, raw

    def _disconnect(self) -> None:
        """Leave nothing of an unfinished transaction behind."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _run_alone(job: Job, connection: Connection, raw: sqlite3.Connection) -> None:
    try:
        job.run_alone(connection, raw)
    except Exception as error:
        if raw.in_transaction:
            raise
        job.error = _public(error)


def _run_together(jobs: list[Job], connection: Connection, raw: sqlite3.Connection) -> None:
    with connection.begin():
        for job in jobs:
            try:
                job.run_within(connection, raw)
            except Exception as error:
                if not raw.in_transaction:  # SQLite gave up the whole of it, as on a full disk
                    raise
                job.error = _public(error)


def _public(error: Exception) -> Exception:
    if isinstance(error, (DBAPIError, sqlite3.Error)):
        return Unavailable(private=f"{type(error).__name__}: {error}")
    return error


def _settle(jobs: list[Job]) -> None:
    """Tell every loop of its jobs in one call; a loop that is gone has nobody left to tell."""
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, settled in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_all, [job.settle for job in settled])


def _all(settle: list[Callable[[], None]]) -> None:
    for one in settle:
        one()
