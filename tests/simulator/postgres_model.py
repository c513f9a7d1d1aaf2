"""A model of PostgreSQL: serialisable units over SQLite in memory, locks, and commits whose answer is lost."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from latchwork.compose import platform
from latchwork.domains.credits import store as credits_store
from latchwork.kernel.sql import PostgresDatabase, lane, leading, postgres
from latchwork.kernel.sql.changes import LOOK, SWEEP
from latchwork.kernel.sql.lane import Link
from latchwork.kernel.sql.schema import metadata
from tests.simulator.loop import VirtualLoop
from tests.simulator.network import Network, Wire

assert platform  # with it every table is known
SERVICE = "postgres"
_PATIENCE_S = 2.0  # of statements and of idle transactions, as nodes set it
_POLL_S = 0.005


class ServerError(Exception):
    """What the server says it did not do."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


Script = list[tuple[str, Any]]
"""Statements that change something, and the rows of values that each is said with."""


class _Store:
    """The tables, in memory, for one world after the other."""

    def __init__(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        self.said: Script = []
        event.listen(self.engine, "before_cursor_execute", self._in_its_words, retval=True)
        metadata.create_all(self.engine)
        self.connection = self.engine.connect()
        raw = self.connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self.raw = raw
        self.connection.rollback()
        self.empty = self.raw.serialize()

    def reset(self, txid: Callable[[], int], now_ms: Callable[[], int]) -> None:
        """Begin with nothing in it."""
        self.connection.rollback()
        self.raw.deserialize(self.empty)
        self.raw.create_function("current_txid", 0, txid)
        self.raw.create_function("now_ms", 0, now_ms)

    def _in_its_words(
        self, _c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, is_many: bool
    ) -> tuple[str, Any]:
        """What is said in PostgreSQL's own words only, of which there is little; changes are noted."""
        said = statement.replace("pg_current_xact_id()::text::bigint", "current_txid()")
        said = said.replace("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", "now_ms()")
        if not said.startswith("SELECT"):
            self.said.append((said, parameters if is_many else [parameters]))
        return said, parameters


_store: list[_Store] = []


class Postgres:
    """The server; what it holds is looked at through `query`."""

    def __init__(
        self, loop: VirtualLoop, network: Network, chance: Random, now_ms: Callable[[], int]
    ) -> None:
        if not _store:
            _store.append(_Store())
        self.store = _store[0]
        self.store.reset(lambda: self._writing, now_ms)
        self.loop = loop
        self.network = network
        self.chance = chance
        self.committed: list[Callable[[], None]] = []
        self.slow_commits = 0.0
        self._writing = 0
        self._txid = 100
        self.version = self.takings = 0
        self.active: set[int] = set()
        self.sessions: list[_Session] = []
        network.accept[SERVICE] = self._accept

    def _accept(self, wire: Wire) -> None:
        self.sessions.append(_Session(self, wire))

    def query(self, unit: Callable[[Connection], Any]) -> Any:
        """Run a unit of work at once and commit it."""
        try:
            result = unit(self.store.connection)
            self.store.connection.commit()
            return result
        finally:
            self.store.connection.rollback()

    def restart(self) -> None:
        """End every session, with what was not committed."""
        for session in list(self.sessions):
            session.is_killed = True
            session.wire.close()
            session.end()
        self.active.clear()

    @property
    def serving(self) -> int:
        return sum(session.is_guard for session in self.sessions)

    def attempt(self, txid: int, unit: Callable[[Connection], Any]) -> tuple[Any, Script]:
        """What a unit comes to, which nobody else sees yet, and what it would change."""
        self._writing = txid
        self.store.said = []
        try:
            return unit(self.store.connection), self.store.said
        finally:
            self.store.connection.rollback()

    def commit(self, txid: int, script: Script) -> None:
        """Make it so."""
        self._writing = txid
        raw = self.store.raw
        for statement, rows in script:
            for row in rows:
                raw.execute(statement, row).fetchall()
        raw.commit()
        self.version += 1
        for told in self.committed:
            told()

    def begin(self) -> int:
        self._txid += 1
        self.active.add(self._txid)
        return self._txid

    def horizon(self) -> int:
        return min(self.active, default=self._txid + 1)

    def may_enter(self, mine: "_Session | None", buckets: Sequence[int]) -> bool:
        """Whether no other session keeps these buckets to itself."""
        return not any(s is not mine and s.gates & set(buckets) for s in self.sessions)


@dataclass(frozen=True)
class _Transaction:
    """What was done and not committed: by the state of what, and since when."""

    txid: int
    script: Script
    version: int
    takings: int
    began_s: float

    @property
    def touches_balances(self) -> bool:
        return any("credit_balances" in statement for statement, _ in self.script)


class _Session:
    """A session of the server, with the locks that end with it."""

    def __init__(self, server: Postgres, wire: Wire) -> None:
        self.server = server
        self.wire = wire
        self.gates: set[int] = set()
        self.is_guard = self.leads = self.is_killed = False
        self._transaction: _Transaction | None = None
        self._asked: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._is_busy = False
        wire.server_got = self._got
        wire.server_lost = self.end

    def end(self) -> None:
        if self in self.server.sessions:
            self.server.sessions.remove(self)
        self._roll_back()
        self.gates.clear()

    def _roll_back(self) -> None:
        if self._transaction is not None:
            self.server.active.discard(self._transaction.txid)
            self._transaction = None

    def _got(self, payload: tuple[str, tuple[Any, ...]]) -> None:
        self._asked.append(payload)
        if not self._is_busy:
            self._is_busy = True
            self.server.loop.spawn(None, self._work())

    async def _work(self) -> None:
        """One statement after the other; one that has begun is done though nobody may wait for it."""
        while self._asked:
            what, values = self._asked.popleft()
            await asyncio.sleep(0.0002)
            if self.is_killed:
                return
            try:
                answer = (True, await self._statement(what, values))
            except Exception as error:
                answer = (False, error)
            self.wire.down(answer)
        self._is_busy = False

    async def _statement(self, what: str, values: tuple[Any, ...]) -> Any:
        return await getattr(self, _STATEMENTS[what])(*values)

    # Units of work

    async def read(self, unit: Callable[[Connection], Any]) -> Any:
        return self.server.attempt(0, unit)[0]

    async def run(self, unit: Callable[[Connection], Any]) -> Any:
        server = self.server
        txid = server.begin()
        try:
            result, script = server.attempt(txid, unit)
        except BaseException:
            server.active.discard(txid)
            raise
        self._transaction = _Transaction(txid, script, server.version, server.takings, server.loop.time())
        return result

    async def commit(self) -> None:
        server = self.server
        if server.chance.random() < server.slow_commits:
            await asyncio.sleep(server.chance.random() * 1.5)
        transaction = self._transaction
        try:
            if transaction is None or server.loop.time() - transaction.began_s > _PATIENCE_S:
                raise ServerError("25P03")
            if transaction.version != server.version or (
                transaction.touches_balances and transaction.takings != server.takings
            ):
                raise ServerError("40001")
            server.commit(transaction.txid, transaction.script)
        finally:
            self._roll_back()

    # Statements in PostgreSQL's own words

    async def nothing(self, *_values: Any) -> None:
        return None

    async def guard(self) -> None:
        self.is_guard = True

    async def look(self, start: int) -> list[dict[str, Any]]:
        horizon = self.server.horizon()
        found = self.server.store.raw.execute(
            "SELECT seq, node, tags FROM changes WHERE txid >= ? ORDER BY seq", (start,)
        ).fetchall()
        rows = [{"horizon": horizon, "seq": seq, "node": node, "tags": tags} for seq, node, tags in found]
        return rows or [{"horizon": horizon, "seq": None, "node": None, "tags": None}]

    async def nodes(self) -> int:
        return max(1, self.server.serving)

    async def lead(self) -> bool:
        self.leads = self.leads or not any(session.leads for session in self.server.sessions)
        return self.leads

    async def hold_off(self, _class: int, buckets: list[int]) -> None:
        await self._wait(lambda: self.server.may_enter(self, buckets))
        self.gates |= set(buckets)

    async def let_go(self) -> None:
        self.gates.clear()

    async def arrive(self, name: str) -> None:
        self._say("INSERT INTO transaction_lanes VALUES (?, 0, 0) ON CONFLICT DO NOTHING", name)

    async def leave(self, name: str) -> None:
        self._say("DELETE FROM transaction_lanes WHERE lane = ?", name)

    async def last_of(self, name: str) -> int | None:
        row = self.server.store.raw.execute(
            "SELECT seq FROM transaction_lanes WHERE lane = ?", (name,)
        ).fetchone()
        return None if row is None else row[0]

    async def take(
        self, seq: int, name: str, subjects: list[str], costs: list[int], buckets: list[int], _class: int
    ) -> list[tuple[str | None, int | None, bool]]:
        if self.server.chance.random() < self.server.slow_commits:
            await asyncio.sleep(self.server.chance.random() * 1.5)
        await self._wait(lambda: self.server.may_enter(None, buckets))
        if self.is_killed:
            raise ServerError("57P01")
        found = []
        for subject, cost in zip(subjects, costs, strict=True):
            row = self.server.store.raw.execute(
                "SELECT remaining FROM credit_balances WHERE subject_id = ?", (subject,)
            ).fetchone()
            if row is not None:
                found.append((subject, row[0], cost))
        do_all = all(left >= cost for _, left, cost in found)
        if do_all:
            self.server.takings += any(costs)
            for subject, _, cost in found:
                self._say(
                    "UPDATE credit_balances SET remaining = remaining - ? WHERE subject_id = ?", cost, subject
                )
            self._say("UPDATE transaction_lanes SET seq = ? WHERE lane = ?", seq, name)
        return [(subject, left, do_all) for subject, left, _ in found] or [(None, None, do_all)]

    def _say(self, statement: str, *values: Any) -> None:
        self.server.store.raw.execute(statement, values)
        self.server.store.raw.commit()

    async def _wait(self, may: Callable[[], bool]) -> None:
        end_s = self.server.loop.time() + _PATIENCE_S
        while not may():
            if self.server.loop.time() > end_s:
                raise ServerError("55P03")
            await asyncio.sleep(_POLL_S)


_READ, _RUN, _COMMIT, _GUARD = "read", "run", "commit", "guard"
_STATEMENTS = {
    _READ: "read",
    _RUN: "run",
    _COMMIT: "commit",
    _GUARD: "guard",
    LOOK: "look",
    SWEEP: "nothing",
    postgres.NODES: "nodes",
    lane._SETTINGS: "nothing",
    lane._ARRIVE: "arrive",
    lane._SWEEP: "nothing",
    lane._COMMITTED: "last_of",
    lane._LEAVE: "leave",
    credits_store.TAKE: "take",
    credits_store.HOLD_OFF: "hold_off",
    credits_store.LET_GO: "let_go",
    leading._TAKE: "lead",
    leading._STILL: "nothing",
}


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


class VirtualPostgres(PostgresDatabase):
    """The real database of a node, but for its connections."""

    def __init__(self, network: Network) -> None:
        super().__init__("postgresql://model/latchwork")
        self._network = network

    async def open(self) -> None:
        await Driver(await self._network.dial(SERVICE)).fetch(_GUARD)

    @asynccontextmanager
    async def transaction(self, isolation: str, workspace_id: str) -> AsyncIterator[Any]:
        wire = await self._network.dial(SERVICE)
        driver = Driver(wire)
        try:
            kind = _RUN if isolation == "SERIALIZABLE" else _READ
            yield _Connection(driver, kind)
            if kind == _RUN:
                await driver.fetch(_COMMIT)
        except ServerError as error:
            raise DBAPIError("the model", None, error) from error
        finally:
            wire.leave()

    async def link(self) -> Link:
        driver = Driver(await self._network.dial(SERVICE))
        return Link(driver, driver.terminate)
