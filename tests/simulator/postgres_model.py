"""A model of PostgreSQL: serialisable units over SQLite in memory, locks, and commits whose answer is lost."""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from latchwork.compose import platform
from latchwork.domains.credits import store as credits_store
from latchwork.kernel.sql import lane, leading, postgres
from latchwork.kernel.sql.changes import LOOK, SWEEP
from latchwork.kernel.sql.schema import metadata
from tests.simulator.connection import Script, UnitConnection
from tests.simulator.loop import VirtualLoop
from tests.simulator.network import Network, Wire

assert platform  # with it every table is known
SERVICE = "postgres"
_PATIENCE_S = 2.0  # of statements and of idle transactions, as nodes set it


class ServerError(Exception):
    """What the server says it did not do."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class _Store:
    """The tables, in memory, for one world after the other."""

    def __init__(self, furnish: Callable[[Connection], Any]) -> None:
        """Every world begins with what `furnish` writes."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(engine)
        connection = engine.connect()
        furnish(connection)
        connection.commit()
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self.engine = engine  # whose connection it stays
        self.raw = raw
        self.units = UnitConnection(raw)
        self.connection = cast(Connection, self.units)
        self._begun = sqlite3.connect(":memory:")
        raw.backup(self._begun)

    def reset(self, txid: Callable[[], int], seq: Callable[[], int], now_ms: Callable[[], int]) -> None:
        """Begin again."""
        self.raw.rollback()
        self._begun.backup(self.raw)
        self.raw.create_function("current_txid", 0, txid)
        self.raw.create_function("change_seq", 0, seq)
        self.raw.create_function("now_ms", 0, now_ms)


_store: list[_Store] = []
Watch = Callable[[Script], Callable[[], None] | None]
"""Sees what is about to be committed, and may ask to be called when it is."""


class Postgres:
    """The server; what it holds is looked at through `query`."""

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        chance: Random,
        now_ms: Callable[[], int],
        furnish: Callable[[Connection], Any],
    ) -> None:
        if not _store:
            _store.append(_Store(furnish))
        self.store = _store[0]
        self.store.reset(lambda: self._writing, self._change_seq, now_ms)
        self.loop = loop
        self.network = network
        self.chance = chance
        self.watches: list[Watch] = []
        self.slow_commits = 0.0
        self.context = copy_context()
        self._writing = 0
        self._newest_change = 0
        self._change_seqs: dict[int, int] = {}
        self._txid = 100
        self.version = self.takings = 0
        self.active: set[int] = set()
        self.sessions: list[_Session] = []
        self.waiting: list[_Session] = []
        network.accept[SERVICE] = self._accept

    def _accept(self, wire: Wire) -> None:
        self.sessions.append(_Session(self, wire))

    def query(self, unit: Callable[[Connection], Any]) -> Any:
        """Run a unit of work at once and commit it."""
        try:
            result = unit(self.store.connection)
            self.store.raw.commit()
            return result
        finally:
            self.store.raw.rollback()

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
        script = self.store.units.script = []
        try:
            return unit(self.store.connection), script
        finally:
            self.store.raw.rollback()

    def commit(self, txid: int, script: Script) -> None:
        """Make it so."""
        if not script:
            return
        self._writing = txid
        raw = self.store.raw
        seen = [look for watch in self.watches if (look := watch(script)) is not None]
        for statement, values in script:
            raw.execute(statement, values).fetchall()
        raw.commit()
        self.version += 1
        self._newest_change = max(self._newest_change, txid)
        for look in seen:
            look()

    def changes_since(self, txid: int) -> list[Any]:
        """What was told by transactions from that one on."""
        if txid > self._newest_change:
            return []
        return self.store.raw.execute(
            "SELECT seq, node, tags FROM changes WHERE txid >= ? ORDER BY seq", (txid,)
        ).fetchall()

    def _change_seq(self) -> int:
        """The number of what this transaction tells: a sequence never gives one twice, whatever is rolled back."""
        return self._change_seqs.setdefault(self._writing, len(self._change_seqs) + 1)

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


class _NotYet(Exception):
    """A statement has to wait: for that long, or for locks."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds


class _Session:
    """A session of the server, with the locks that end with it."""

    def __init__(self, server: Postgres, wire: Wire) -> None:
        self.server = server
        self.wire = wire
        self.gates: set[int] = set()
        self.is_guard = self.leads = self.is_killed = False
        self._transaction: _Transaction | None = None
        self._asked: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._is_waiting = self._was_slow = False
        self._waits_since_s: float | None = None
        wire.server_got = self._got
        wire.server_lost = self.end

    def end(self) -> None:
        if self in self.server.sessions:
            self.server.sessions.remove(self)
        self._roll_back()
        self.let_go()

    def _roll_back(self) -> None:
        if self._transaction is not None:
            self.server.active.discard(self._transaction.txid)
            self._transaction = None

    def _got(self, payload: tuple[str, tuple[Any, ...]]) -> None:
        self._asked.append(payload)
        if not self._is_waiting:
            self._work()

    def _work(self) -> None:
        """One statement after the other; one that has begun is done though nobody may wait for it."""
        self._is_waiting = False
        while self._asked and not self.is_killed:
            what, values = self._asked[0]
            try:
                answer = (True, getattr(self, _STATEMENTS[what])(*values))
            except _NotYet as wait:
                self._is_waiting = True
                if wait.seconds is not None:
                    self.server.loop.call_later(wait.seconds, self._work, context=self.server.context)
                return
            except Exception as error:
                answer = (False, error)
            self._asked.popleft()
            self._was_slow, self._waits_since_s = False, None
            self.wire.down(answer)

    def go_on(self) -> None:
        """Try again what waits for locks."""
        if self._waits_since_s is not None:
            self._work()

    def _may_be_slow(self) -> None:
        """Some statements take a while, once."""
        server = self.server
        if not self._was_slow:
            self._was_slow = True
            if server.chance.random() < server.slow_commits:
                raise _NotYet(server.chance.random() * 1.5)

    def _enter(self, mine: "_Session | None", buckets: list[int]) -> None:
        """Wait until no other session keeps these buckets to itself."""
        server = self.server
        if server.may_enter(mine, buckets):
            return
        now_s = server.loop.time()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
            server.loop.call_later(_PATIENCE_S, self._give_up, self._asked[0], context=server.context)
        elif now_s - self._waits_since_s >= _PATIENCE_S:
            raise ServerError("55P03")
        server.waiting.append(self)
        raise _NotYet

    def _give_up(self, asked: tuple[str, tuple[Any, ...]]) -> None:
        if self._asked and self._asked[0] is asked:
            self.go_on()

    # Units of work

    def read(self, unit: Callable[[Connection], Any]) -> Any:
        return self.server.attempt(0, unit)[0]

    def run(self, unit: Callable[[Connection], Any]) -> Any:
        server = self.server
        txid = server.begin()
        try:
            result, script = server.attempt(txid, unit)
        except BaseException:
            server.active.discard(txid)
            raise
        self._transaction = _Transaction(txid, script, server.version, server.takings, server.loop.time())
        return result

    def commit(self) -> None:
        self._may_be_slow()
        server, transaction = self.server, self._transaction
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

    def nothing(self, *_values: Any) -> None:
        return None

    def guard(self) -> None:
        self.is_guard = True

    def look(self, start: int) -> list[dict[str, Any]]:
        horizon = self.server.horizon()
        found = self.server.changes_since(start)
        rows = [{"horizon": horizon, "seq": seq, "node": node, "tags": tags} for seq, node, tags in found]
        return rows or [{"horizon": horizon, "seq": None, "node": None, "tags": None}]

    def nodes(self) -> int:
        return max(1, self.server.serving)

    def lead(self) -> bool:
        self.leads = self.leads or not any(session.leads for session in self.server.sessions)
        return self.leads

    def hold_off(self, _class: int, buckets: list[int]) -> None:
        self._enter(self, buckets)
        self.gates |= set(buckets)

    def let_go(self) -> None:
        if self.gates:
            self.gates.clear()
            waiting, self.server.waiting = self.server.waiting, []
            for session in waiting:
                session.go_on()

    def arrive(self, name: str) -> None:
        self._say("INSERT INTO transaction_lanes VALUES (?, 0, 0) ON CONFLICT DO NOTHING", name)

    def leave(self, name: str) -> None:
        self._say("DELETE FROM transaction_lanes WHERE lane = ?", name)

    def last_of(self, name: str) -> int | None:
        row = self.server.store.raw.execute(
            "SELECT seq FROM transaction_lanes WHERE lane = ?", (name,)
        ).fetchone()
        return None if row is None else row[0]

    def take(
        self, seq: int, name: str, subjects: list[str], costs: list[int], buckets: list[int], _class: int
    ) -> list[tuple[str | None, int | None, bool]]:
        self._may_be_slow()
        self._enter(None, buckets)
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


READ, RUN, COMMIT, GUARD = "read", "run", "commit", "guard"
_STATEMENTS = {
    READ: "read",
    RUN: "run",
    COMMIT: "commit",
    GUARD: "guard",
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
