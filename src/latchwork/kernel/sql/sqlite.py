"""SQLite: one writer thread with group commit, readers beside it."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, TextClause, create_engine, event
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.sql import migrate
from latchwork.kernel.sql.database import Append, DatabaseUnreachable, Done, Unit
from latchwork.kernel.sql.writer import AppendJob, Job, UnitJob, Writer

T = TypeVar("T")
_READERS = 4


class SqliteDatabase:
    """One file in WAL mode; every acknowledged write has reached the disk (`synchronous=FULL`)."""

    def __init__(self, path: str | Path, invalidations: Invalidations | None = None) -> None:
        self.invalidations = invalidations or Invalidations()
        self.path = Path(path)
        self.url = f"sqlite:///{self.path}"
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._open)

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise DatabaseUnreachable(f"{self.path} cannot be opened: {error.strerror}") from error
        self._engine = _engine(self.path, "BEGIN IMMEDIATE", read_only=False, pool_size=1)
        self._reader = _engine(self.path, "BEGIN", read_only=True, pool_size=_READERS)
        try:
            migrate.upgrade(self._engine)
        except DBAPIError as error:
            raise DatabaseUnreachable(f"{self.path} cannot be opened: {error.orig}") from error
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._writer = Writer(self._engine)
        self._writer.start()

    async def close(self) -> None:
        if self._writer is None or self._readers is None:
            return
        self._writer.finish()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.join)
        self._readers.shutdown(wait=True)
        await loop.run_in_executor(None, self._dispose)

    def _dispose(self) -> None:
        self._reader.dispose()
        self._engine.dispose()

    async def write(self, unit: Unit[T], workspace_id: str) -> T:
        job = UnitJob(unit, self.invalidations, asyncio.get_running_loop())
        self._queue(job)
        result: T = await asyncio.shield(job.future)
        return result

    def appender(self, statement: TextClause) -> Append:
        sql = str(statement.compile(dialect=SQLiteDialect_pysqlite(paramstyle="qmark")))

        def append(row: tuple[Any, ...], done: Done) -> None:
            self._queue(AppendJob(sql, row, done, asyncio.get_running_loop()))

        return append

    def _queue(self, job: Job) -> None:
        if self._writer is None:
            raise Unavailable(private="the database is not open")
        self._writer.put(job)

    async def read(self, unit: Unit[T], workspace_id: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, unit)

    def _read(self, unit: Unit[T]) -> T:
        try:
            with self._reader.connect() as connection:
                return unit(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise Unavailable(private=f"{type(error).__name__}: {error}") from error


def _engine(path: Path, begin: str, *, read_only: bool, pool_size: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": 5.0, "cached_statements": 512},
    )
    event.listen(engine, "connect", _prepare(read_only))
    event.listen(engine, "begin", lambda connection: _raw(connection).execute(begin))
    return engine


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


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
