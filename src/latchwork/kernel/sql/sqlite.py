"""SQLite: one writer thread with group commit, readers beside it."""

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import migrate
from latchwork.kernel.sql.database import DatabaseUnreachable, Unit

T = TypeVar("T")
_READERS = 4
_GROUP = 256  # units per commit: more only makes the first one wait longer


class _Job:
    """One queued unit and where its result goes."""

    __slots__ = ("error", "future", "loop", "result", "unit")

    def __init__(self, unit: Unit[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.unit = unit
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class SqliteDatabase:
    """One file in WAL mode; every acknowledged write has reached the disk (`synchronous=FULL`)."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.url = f"sqlite:///{self.path}"
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._open)
        self._thread = threading.Thread(target=self._write_forever, name="sqlite-writer", daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise DatabaseUnreachable(f"{self.path} cannot be opened: {error.strerror}") from error
        self._writer = _engine(self.path, "BEGIN IMMEDIATE", read_only=False, pool_size=1)
        self._reader = _engine(self.path, "BEGIN", read_only=True, pool_size=_READERS)
        try:
            migrate.upgrade(self._writer)
        except DBAPIError as error:
            raise DatabaseUnreachable(f"{self.path} cannot be opened: {error.orig}") from error
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        loop = asyncio.get_running_loop()
        if self._thread is not None:
            await loop.run_in_executor(None, self._thread.join)
        if self._readers is not None:
            self._readers.shutdown(wait=True)
            await loop.run_in_executor(None, self._dispose)

    def _dispose(self) -> None:
        self._reader.dispose()
        self._writer.dispose()

    async def write(self, unit: Unit[T]) -> T:
        job = _Job(unit, asyncio.get_running_loop())
        with self._wake:
            if self._closing:
                raise Unavailable(private="the database is closing")
            self._jobs.append(job)
            self._wake.notify()
        result: T = await asyncio.shield(job.future)
        return result

    async def read(self, unit: Unit[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, unit)

    def _read(self, unit: Unit[T]) -> T:
        try:
            with self._reader.connect() as connection:
                return unit(connection)
        except DBAPIError as error:
            raise _unavailable(error) from error

    def _write_forever(self) -> None:
        while (jobs := self._next_group()) is not None:
            self._run_group(jobs)
            for loop, settled in _by_loop(jobs):
                _tell(loop, settled)

    def _next_group(self) -> list[_Job] | None:
        with self._wake:
            while not self._jobs:
                if self._closing:
                    return None
                self._wake.wait()
            return [self._jobs.popleft() for _ in range(min(_GROUP, len(self._jobs)))]

    def _run_group(self, jobs: list[_Job]) -> None:
        try:
            with self._writer.connect() as connection, connection.begin():
                for job in jobs:
                    _run_job(connection, job)
        except Exception as error:  # noqa: BLE001 - the commit failed, so no unit of the group happened
            for job in jobs:
                job.error = _unavailable(error)


def _run_job(connection: Connection, job: _Job) -> None:
    """Run one unit in a savepoint of its own: a failing one rolls back alone."""
    try:
        with connection.begin_nested():
            job.result = job.unit(connection)
    except DBAPIError as error:
        job.error = _unavailable(error)
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked for the unit
        job.error = error


def _by_loop(jobs: list[_Job]) -> list[tuple[asyncio.AbstractEventLoop, list[_Job]]]:
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    return list(loops.items())


def _tell(loop: asyncio.AbstractEventLoop, jobs: list[_Job]) -> None:
    def settle() -> None:
        for job in jobs:
            job.settle()

    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)


def _unavailable(error: Exception) -> Exception:
    return Unavailable(private=f"{type(error).__name__}: {error}")


def _engine(path: Path, begin: str, *, read_only: bool, pool_size: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": 5.0, "cached_statements": 512},
    )
    event.listen(engine, "connect", _prepare(read_only))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare(read_only: bool) -> Callable[[sqlite3.Connection, object], None]:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun and ended by us alone
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-16384")
        connection.execute("PRAGMA temp_store=MEMORY")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    return prepare
