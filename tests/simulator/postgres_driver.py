"""A node's side of PostgreSQL: the program's own database, whose connections are the network's."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from sqlalchemy.exc import DBAPIError

from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.sql import PostgresDatabase
from latchwork.kernel.sql.lane import Link
from tests.simulator.network import Network, Wire
from tests.simulator.postgres_model import COMMIT, GUARD, READ, RUN, SERVICE, ServerError


class Driver:
    """What a node has of a session: asks, and waits for the answers in their order."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting: deque[asyncio.Future[Any]] = deque()
        wire.client_got = self._got
        wire.client_lost = self._lost

    def _got(self, answer: tuple[bool, Any]) -> None:
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(answer[1]) if answer[0] else future.set_exception(answer[1])

    def _lost(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionResetError("the server is gone"))
        self._waiting.clear()

    async def fetch(self, statement: str, *values: Any) -> Any:
        if not self._wire.client_open:
            raise ConnectionResetError("the server is gone")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wire.up((statement, values))
        return await future

    execute = fetchval = fetch

    async def terminate(self) -> None:
        self._wire.leave()


class _Connection:
    """What `AsyncConnection` is to `PostgresDatabase`."""

    def __init__(self, driver: Driver, kind: str) -> None:
        self._driver = driver
        self._kind = kind

    async def run_sync(self, unit: Callable[..., Any], *given: Any) -> Any:
        return await self._driver.fetch(self._kind, lambda connection: unit(connection, *given))


@cache
def _pristine() -> PostgresDatabase:
    """What every node's database is at first: to make its engines takes longer than all else at a node's start."""
    return PostgresDatabase("postgresql://model/latchwork")


class VirtualPostgres(PostgresDatabase):
    """The real database of a node, but for its connections."""

    def __init__(self, network: Network) -> None:
        self.__dict__.update(_pristine().__dict__)
        self.invalidations = Invalidations()
        self._lane = asyncio.Lock()
        self._appends = set()
        self._network = network

    async def open(self) -> None:
        await Driver(await self._network.dial(SERVICE)).fetch(GUARD)

    @asynccontextmanager
    async def transaction(self, isolation: str, workspace_id: str) -> AsyncIterator[Any]:
        wire = await self._network.dial(SERVICE)
        driver = Driver(wire)
        try:
            kind = RUN if isolation == "SERIALIZABLE" else READ
            yield _Connection(driver, kind)
            if kind == RUN:
                await driver.fetch(COMMIT)
        except ServerError as error:
            raise DBAPIError("the model", None, error) from error
        finally:
            wire.leave()

    async def link(self) -> Link:
        driver = Driver(await self._network.dial(SERVICE))
        return Link(driver, driver.terminate)
