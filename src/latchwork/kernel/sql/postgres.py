"""PostgreSQL through asyncpg: serialisable writes, run again when they collide."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import TextClause, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.sql import migrate
from latchwork.kernel.sql.changes import collected
from latchwork.kernel.sql.database import Append, DatabaseUnreachable, Done, Unit

T = TypeVar("T")
_COLLISIONS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: units ask first, so another was quicker, and the next try sees its row
}
_TRIES = 12


class PostgresDatabase:
    """A database of a PostgreSQL server (15 or newer).

    The writes of one process queue in one lane: units of one workspace extend one audit chain, so
    running them side by side would only make them collide.
    """

    def __init__(self, url: str, invalidations: Invalidations | None = None) -> None:
        self.invalidations = invalidations or Invalidations()
        parsed = make_url(url)
        self.url = parsed.render_as_string(hide_password=True)
        self._engine: AsyncEngine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"), pool_size=8, max_overflow=0, pool_pre_ping=True
        )
        self._lane = asyncio.Lock()
        self._guard: AsyncConnection | None = None
        self._appends: set[asyncio.Task[None]] = set()
        self._append_lane = asyncio.Lock()
        self._append_connection: AsyncConnection | None = None

    async def open(self) -> None:
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(migrate.upgrade_on)
        except (OSError, DBAPIError) as error:
            raise DatabaseUnreachable(f"{self.url} cannot be opened: {_reason(error)}") from error

    async def close(self) -> None:
        if self._guard is not None:
            await self._guard.close()
            self._guard = None
        await asyncio.gather(*self._appends)
        await self._drop_append_connection()
        await self._engine.dispose()

    async def write(self, unit: Unit[T]) -> T:
        async with self._lane:
            for attempt in range(_TRIES):
                try:
                    return await self._write(unit)
                except DBAPIError as error:
                    if _state(error) not in _COLLISIONS:
                        raise Unavailable(private=_reason(error)) from error
                except OSError as error:
                    raise Unavailable(private=_reason(error)) from error
                await asyncio.sleep(random.random() * 0.002 * 2**attempt)  # noqa: S311 - jitter
        raise Unavailable(private=f"gave up after {_TRIES} collisions")

    async def read(self, unit: Unit[T]) -> T:
        try:
            async with self._transaction("REPEATABLE READ") as connection:
                return await connection.run_sync(unit)
        except (OSError, DBAPIError) as error:
            raise Unavailable(private=_reason(error)) from error

    async def _write(self, unit: Unit[T]) -> T:
        tags: list[Tag] = []
        try:
            async with self._transaction("SERIALIZABLE") as connection:
                result, tags = await connection.run_sync(collected, unit)
        finally:  # a commit whose answer is lost may have happened, and to forget too much does no harm
            if tags:
                self.invalidations.announce(*tags)
        return result

    @asynccontextmanager
    async def _transaction(self, isolation: str) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level=isolation)
            async with connection.begin():
                yield connection

    def appender(self, statement: TextClause) -> Append:
        sql = str(statement.compile(dialect=self._engine.dialect))

        def append(row: tuple[Any, ...], done: Done) -> None:
            task = asyncio.get_running_loop().create_task(self._append(sql, row, done))
            self._appends.add(task)
            task.add_done_callback(self._appends.discard)

        return append

    async def _append(self, sql: str, row: tuple[Any, ...], done: Done) -> None:
        """Execute over the driver's own connection, which commits a lone statement by itself."""
        outcome: Exception | None = None
        async with self._append_lane:
            try:
                await (await self._append_driver()).execute(sql, *row)
            except Exception as error:  # noqa: BLE001 - the driver's own, whose module is loaded late
                outcome = Unavailable(private=_reason(error))
                await self._drop_append_connection()
        done(outcome)

    async def _append_driver(self) -> Any:
        if self._append_connection is None:
            self._append_connection = await self._engine.connect()
        return (await self._append_connection.get_raw_connection()).driver_connection

    async def _drop_append_connection(self) -> None:
        connection, self._append_connection = self._append_connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()

    async def is_alone(self) -> bool:
        """Take the lock that says "one process without Redis"; false when another process holds it."""
        self._guard = await self._engine.connect()
        held = await self._guard.execute(text("SELECT pg_try_advisory_lock(hashtext('latchwork'))"))
        return bool(held.scalar_one())


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)


def _reason(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    return f"{type(origin).__name__}: {origin}"
