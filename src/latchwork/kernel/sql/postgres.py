"""PostgreSQL through asyncpg: serialisable writes, run again when they collide."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import TextClause, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import NullPool

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.sql import fence, migrate
from latchwork.kernel.sql.changes import News, collected, kept
from latchwork.kernel.sql.database import Append, DatabaseUnreachable, Done, Unit
from latchwork.kernel.sql.lane import Lane, Link
from latchwork.kernel.sql.serving import LOCK, Serving

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")
_COLLISIONS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: units ask first, so another was quicker, and the next try sees its row
}
_TRIES = 12
SERVING = f"""
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32 | objid::bigint) = ({LOCK}::bigint & -1)
"""  # noqa: S608 - a constant
"""The sessions that hold the serving lock."""
NODES = f"SELECT greatest(1, count(*)) FROM ({SERVING}) AS serving"  # noqa: S608 - a constant
"""How many processes serve the database."""
# A node that falls silent within a transaction must not keep rows from others for as long as they have patience.
_SERVER_SETTINGS = {"idle_in_transaction_session_timeout": "2s", "tcp_user_timeout": "2s"}
_INTRODUCTION = f"{fence.OPEN}; SET application_name = '{migrate.CALLED}{migrate.HEAD}'"
PATIENCE_S = 5.0
"""How long a unit of work may take where several nodes share a database that may go silent."""


class PostgresDatabase:
    """A database of a PostgreSQL server (15 or newer).

    The writes of one process queue in one lane: units of one workspace extend one audit chain, so
    running them side by side would only make them collide.
    """

    def __init__(self, url: str, invalidations: Invalidations | None = None) -> None:
        from sqlalchemy.ext.asyncio import (
            create_async_engine,  # with it comes the ORM, which SQLite does without
        )

        self.invalidations = invalidations or Invalidations()
        parsed = make_url(url)
        self.url = parsed.render_as_string(hide_password=True)
        self._engine: AsyncEngine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            pool_size=8,
            max_overflow=0,
            connect_args={
                "server_settings": _SERVER_SETTINGS,
                "connection_class": fence.connection_class(),
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _is_open)
        self._apart: AsyncEngine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"), poolclass=NullPool
        )
        self._node: str | None = None
        self._patience_s: float | None = None
        self._publish: Callable[[News], None] = lambda news: None
        self._lane = asyncio.Lock()
        self._appends: set[asyncio.Task[None]] = set()
        self.serving = Serving(self.link)

    async def open(self) -> None:
        try:
            async with self.transaction("READ COMMITTED", fence.ALL_WORKSPACES) as connection:
                await connection.run_sync(migrate.upgrade_on)
        except (OSError, DBAPIError) as error:
            raise DatabaseUnreachable(f"{self.url} cannot be opened: {_reason(error)}") from error

    async def close(self) -> None:
        await asyncio.gather(*self._appends)
        await self.serving.close()
        await self._engine.dispose()
        await self._apart.dispose()

    async def write(self, unit: Unit[T], workspace_id: str) -> T:
        return await self._in_time(self._write_in_turn(unit, workspace_id))

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, or `Unavailable` once the time it may take is over; it may still be done then."""
        if self._patience_s is None:
            return await work
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait([task], timeout=self._patience_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()  # and not waited for: a connection that says nothing would not let go either
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise Unavailable(private=f"PostgreSQL did not answer in {self._patience_s:g} s")
        return task.result()

    async def _write_in_turn(self, unit: Unit[T], workspace_id: str) -> T:
        async with self._lane:
            for attempt in range(_TRIES):
                try:
                    return await self._write(unit, workspace_id)
                except DBAPIError as error:
                    had_ended = attempt == 0 and _had_ended(error)
                    if not had_ended and _state(error) not in _COLLISIONS:
                        raise Unavailable(private=_reason(error)) from error
                except OSError as error:
                    raise Unavailable(private=_reason(error)) from error
                await asyncio.sleep(random.random() * 0.002 * 2**attempt)  # noqa: S311 - jitter
        raise Unavailable(private=f"gave up after {_TRIES} collisions")

    async def read(self, unit: Unit[T], workspace_id: str) -> T:
        return await self._in_time(self._read(unit, workspace_id))

    async def _read(self, unit: Unit[T], workspace_id: str) -> T:
        try:
            try:
                return await self._read_once(unit, workspace_id)
            except DBAPIError as error:
                if not _had_ended(error):
                    raise
            return await self._read_once(unit, workspace_id)
        except (OSError, DBAPIError) as error:
            raise Unavailable(private=_reason(error)) from error

    async def _read_once(self, unit: Unit[T], workspace_id: str) -> T:
        async with self.transaction("REPEATABLE READ", workspace_id) as connection:
            return await connection.run_sync(unit)

    async def _write(self, unit: Unit[T], workspace_id: str) -> T:
        news = News(0, [])
        try:
            async with self.transaction("SERIALIZABLE", workspace_id) as connection:
                if self._node is None:
                    result, tags = await connection.run_sync(collected, unit)
                    news = News(0, tags)
                else:
                    result, news = await connection.run_sync(kept, unit, self._node)
        finally:  # a commit whose answer is lost may have happened, and to forget too much does no harm
            if news.tags:
                self.invalidations.announce(*news.tags)
                self._publish(news)
        return result

    @asynccontextmanager
    async def transaction(self, isolation: str, workspace_id: str) -> "AsyncIterator[AsyncConnection]":
        """A transaction of that isolation level, which sees that workspace, committed at the end."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level=isolation)
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.workspace_id = workspace_id
            try:
                async with connection.begin():
                    yield connection
            finally:
                driver.workspace_id = ""

    def appender(self, statement: TextClause) -> Append:
        sql = str(statement.compile(dialect=self._engine.dialect))

        def append(row: tuple[Any, ...], done: Done) -> None:
            task = asyncio.get_running_loop().create_task(self._append(sql, row, done))
            self._appends.add(task)
            task.add_done_callback(self._appends.discard)

        return append

    async def _append(self, sql: str, row: tuple[Any, ...], done: Done) -> None:
        """Execute as who serves the database: another process could spend the same credits."""
        outcome: Exception | None = None
        try:
            await self.serving.execute(sql, *row)
        except Unavailable as error:
            outcome = error
        done(outcome)

    def share(self, node: str, publish: Callable[[News], None]) -> None:
        """Keep what units of work change for other nodes to read, as told by `node`; `publish` it after commits."""
        self._node, self._publish, self._patience_s = node, publish, PATIENCE_S

    def lane(self) -> Lane:
        """A connection of its own for statements whose outcome must be known; see `Lane`."""
        return Lane(self.link)

    async def link(self) -> Link:
        """A connection of its own, whose driver runs each statement as a transaction unless told otherwise.

        It sees all workspaces.
        """
        connection = await self._apart.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None

        async def drop() -> None:
            driver.terminate()
            await connection.invalidate()
            await connection.close()

        try:
            await driver.execute(_INTRODUCTION)
        except BaseException:
            await drop()
            raise
        return Link(driver, drop)


def _is_open(connection: Any, *_: object) -> None:
    """Have the pool replace a connection that has ended. To ask the server would take three round trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _had_ended(error: DBAPIError) -> bool:
    """Whether a statement found its connection ended, so that all of it can be done again on another one.

    A commit, which may have been done, is no statement.
    """
    return error.connection_invalidated and error.statement is not None


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)


def _reason(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    return f"{type(origin).__name__}: {origin}"
