"""One course of events: a cluster, its clients and what befalls it, all drawn from one seed."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from sqlalchemy import Connection, Select, select

from latchwork.domains.credits.tables import balances
from latchwork.domains.jobs.tables import jobs
from latchwork.domains.ratelimits import SLIDING_WINDOW, Counter, LimitCheck, LimitState, counter_key
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql.outbox import outbox
from tests.simulator.faults import FAULTS
from tests.simulator.furniture import FREE, HOUR_MS, KEYS, LIMITED, METERED, WORKSPACES, furnish
from tests.simulator.loop import Host, VirtualLoop
from tests.simulator.network import Network
from tests.simulator.node import WORKSPACE, Node
from tests.simulator.postgres_model import SERVICE, Postgres
from tests.simulator.redis_model import Redis
from tests.simulator.truth import Ask, Known, Purse, Truth, Violation

_START_MS = 1_799_971_200_000 + 60_000
"""A minute into an hour, so that all of it falls into one window of the hourly limit."""
_BUSY_S = 3.0
_LOOKS_S = 0.1
_BACK_WITHIN_S = 3.0
_ANSWERED_WITHIN_S = 5.0
_DONE_WITHIN_S = 400.0


class NodeClock:
    """The clock of a node's host: it goes as time does, but is not set to it."""

    def __init__(self, now_ms: Callable[[], int], chance: Random) -> None:
        self._now_ms = now_ms
        self.ahead_ms = chance.randint(-500, 500)

    def now_ms(self) -> int:
        return self._now_ms() + self.ahead_ms


class World:
    """Made of a seed; `run` raises `Violation` where something is not true that must be."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Random(seed)
        random.seed(seed)
        self.loop = VirtualLoop()
        self.trace: list[str] = []
        self.network = Network(self.loop, self.chance)
        self.redis = Redis(self.now_ms, self.chance)
        self.network.accept["redis"] = self.redis.accept
        self.postgres = Postgres(self.loop, self.network, self.chance, self.now_ms, furnish)
        self.postgres.slow_commits = self.chance.choice((0.0, 0.02, 0.1))
        self.postgres.committed.append(self._committed)
        self.truth = Truth()
        self.versions: dict[bytes, int] = {}
        self.limit = self.chance.randint(10, 80)
        self.nodes: list[Node] = []
        self.clocks: list[NodeClock] = []
        self.asks: dict[Ask, None] = {}
        self._failure: BaseException | None = None
        self.loop.set_exception_handler(self._wrong)

    def now_ms(self) -> int:
        return _START_MS + int((self.loop.time() - 1_000.0) * 1_000)

    def note(self, *what: object) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.loop.time() - 1_000:.6f} {' '.join(map(str, what))}")

    @property
    def digest(self) -> str:
        """What sums up the trace."""
        return sha256("\n".join(self.trace).encode()).hexdigest()

    def run(self) -> None:
        """Play it all."""
        gc.disable()  # one course of events is over before that much has gathered
        try:
            self.loop.run_until_complete(self._play())
        finally:
            self.loop.bury()
            gc.enable()

    # The course of events

    async def _play(self) -> None:
        self._furnish()
        for number in range(self.chance.randint(2, 4)):
            self.clocks.append(NodeClock(self.now_ms, self.chance))
            self.nodes.append(self.begin(number))
        await self._until(self._are_together, 1.0)
        ends_s = self.loop.time() + _BUSY_S
        faults = [
            self.loop.spawn(None, self._befall(self.chance.random() * (_BUSY_S - 1)))
            for _ in range(self.chance.randint(0, 6))
        ]
        while self.loop.time() < ends_s:
            await self.pass_(self.chance.random() * 0.08)
            for _ in range(self.chance.choice((1, 1, 2, 12))):
                self._ask_something()
        await self._until(lambda: all(fault.done() for fault in faults), _BUSY_S + 1)
        await self._heal()
        await self._settle()

    async def pass_(self, seconds: float) -> None:
        """Let time pass, unless something has gone wrong."""
        await asyncio.sleep(seconds)
        if self._failure is not None:
            raise self._failure

    async def _until(self, is_so: Callable[[], bool], longest_s: float) -> bool:
        """Let time pass until something is so; whether it came to be in that time."""
        ends_s = self.loop.time() + longest_s
        while not is_so():
            if self.loop.time() > ends_s:
                return False
            await self.pass_(_LOOKS_S)
        return True

    def begin(self, number: int) -> Node:
        """Start a process on that host."""
        node = Node(Host(f"node{number}"), self.network, self.clocks[number], self._counted)
        self._spawn(node, node.live, self.versions)
        return node

    def crash(self, number: int) -> None:
        """End it as by `kill -9`."""
        node = self.nodes[number]
        node.host.is_alive = False
        self.network.end(node.host)
        for ask in [ask for ask in self.asks if ask.node is node]:
            del self.asks[ask]
            self.truth.unanswered(ask)

    async def _befall(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        fault = self.chance.choice(FAULTS)
        self.note("fault", fault.__name__)
        await fault(self)

    async def _heal(self) -> None:
        """Put an end to everything that is still wrong, and let everybody come back."""
        for node in self.nodes:
            assert node.host.is_alive and not node.host.is_stopped
            for service in ("redis", SERVICE):
                self.network.way(node.host, service).flow()
        self.postgres.slow_commits = 0.0
        self.network.down.clear()
        if not await self._until(self._are_together, _BACK_WITHIN_S):
            away = [node.host.name for node in self.nodes if not node.is_together]
            raise Violation(f"{away} do not come back to the others")

    def _are_together(self) -> bool:
        return all(node.is_together for node in self.nodes)

    # What clients do

    def _ask_something(self) -> None:
        chance = self.chance
        node = chance.choice(self.nodes)
        if node.verifier is None or not node.host.is_alive:
            return
        kind = chance.random()
        if kind < 0.85:
            self.verify(node, chance.choice((FREE, METERED, LIMITED, LIMITED)))
        elif kind < 0.92:
            self._spawn(node, self._switch, node, FREE)
        elif kind < 0.96:
            self._spawn(node, self._grant, node, METERED, chance.randint(1, 20))
        else:
            self._spawn(node, self._queue, node, chance.choice(WORKSPACES), chance.randint(1, 12))

    def verify(self, node: Node, digest: bytes) -> None:
        """Have a client verify a key."""
        ask = Ask(self.loop.time(), node, digest, node.heard.get(digest, 1))
        self.asks[ask] = None
        self._spawn(node, self._verify, ask)

    async def _verify(self, ask: Ask) -> None:
        try:
            verdict = await ask.node.verify(ask.digest)
        except Unavailable:
            self.note(ask.node.host.name, "cannot verify", ask.digest[:4].decode())
            self.truth.unanswered(ask)
        else:
            self.note(ask.node.host.name, ask.digest[:4].decode(), verdict.outcome)
            self.truth.answered(ask, verdict)
        del self.asks[ask]

    async def _switch(self, node: Node, digest: bytes) -> None:
        try:
            version = await node.switch(digest, self.chance.random() < 0.5)
        except Unavailable:
            return
        self.note(node.host.name, "made version", version)
        self.truth.keys[digest].acknowledged.append((self.loop.time(), version, node))

    async def _grant(self, node: Node, digest: bytes, amount: int) -> None:
        purse = self.truth.purses[digest]
        purse.most += amount
        try:
            await node.grant(digest.decode(), amount)
        except Unavailable:
            return
        purse.least += amount
        self.note(node.host.name, "granted", amount)

    async def _queue(self, node: Node, workspace: str, total: int) -> None:
        try:
            job_id = await node.queue(workspace, total)
        except Unavailable:
            return
        self.note(node.host.name, "queued", total)
        self.truth.jobs[job_id] = total

    def _counted(self, node: Node, checks: Sequence[LimitCheck], states: list[LimitState]) -> None:
        self._careful(lambda: self.truth.counted(node, checks, states))

    def _committed(self) -> None:
        for digest, version, enabled in self.postgres.store.raw.execute(
            "SELECT digest, name, enabled FROM keys"
        ):
            self.versions[digest] = int(version)
            self.truth.keys[digest].enabled[int(version)] = bool(enabled)

    # What must be true at the end

    async def _settle(self) -> None:
        """All that was cut is whole again: what was accepted is done, and everything adds up."""
        for node in self.nodes:
            for digest in KEYS:
                self.verify(node, digest)
        if not await self._until(lambda: not self.asks, _ANSWERED_WITHIN_S):
            raise Violation(f"{len(self.asks)} verifications were never answered")
        if not self._are_together():
            raise Violation("nodes leave each other though nothing is wrong")
        if not await self._until(self._are_done, _DONE_WITHIN_S):
            raise Violation("jobs are not done though nothing is wrong")
        self._jobs_were_done_once()
        self._credits_add_up()
        self._limits_add_up()

    def _are_done(self) -> bool:
        unfinished = "SELECT 1 FROM jobs WHERE state != 'done' LIMIT 1"
        return self.postgres.store.raw.execute(unfinished).fetchone() is None

    def _jobs_were_done_once(self) -> None:
        def unit(connection: Connection) -> dict[str, list[int]]:
            told: dict[str, list[int]] = {
                job_id: [] for job_id in connection.execute(select(jobs.c.id)).scalars()
            }
            for data in connection.execute(select(outbox.c.data).order_by(outbox.c.seq)).scalars():
                told[data["job"]].append(data["item"])
            return told

        told = self.postgres.query(unit)
        for items in told.values():
            if len(set(items)) != len(items):
                raise Violation(f"items of a job were done more than once: {items}")
        for job_id, total in self.truth.jobs.items():
            if sorted(told.get(job_id, ())) != list(range(total)):
                raise Violation(f"of a job of {total} only these were done: {told.get(job_id)}")

    def _credits_add_up(self) -> None:
        for digest, purse in self.truth.purses.items():
            question = select(balances.c.remaining).where(balances.c.subject_id == digest.decode())
            left = self.postgres.query(partial(_one, question))
            least = purse.least - purse.given - purse.unknown
            if not max(0, least) <= left <= purse.most - purse.given:
                raise Violation(f"{left} credits are left of {purse}")

    def _limits_add_up(self) -> None:
        key = counter_key(WORKSPACE, LIMITED.decode(), "hourly")
        counter: Counter = (key, SLIDING_WINDOW, HOUR_MS)
        count, told = self.redis.count_of(counter), self.truth.told[counter]
        unheard = self.redis.unheard.get(counter, 0)
        alone = sum(n for (_, each), n in self.truth.alone.items() if each == counter)
        gone = sum(
            n for (node, each), n in self.truth.alone.items() if each == counter and not node.host.is_alive
        )
        if count > told + unheard:
            raise Violation(f"{count} are counted of {told} that were admitted, {unheard} unheard")
        if not self.redis.losses and count < told - unheard - gone:
            raise Violation(f"only {count} are counted of {told} that were admitted, {unheard} unheard")
        if not self.redis.losses and told > self.limit + alone:
            raise Violation(f"{told} were admitted of {self.limit}, {alone} of them by nodes alone")

    # Around it

    def _furnish(self) -> None:
        """What differs from seed to seed."""
        for digest in KEYS:
            self.truth.keys[digest] = Known()
            self.versions[digest] = 1
        credits = self.chance.randint(5, 80)
        self.truth.purses[METERED] = Purse(credits, credits)
        raw = self.postgres.store.raw
        raw.execute('UPDATE limit_rules SET "limit" = ? WHERE id = ?', (self.limit, "hourly"))
        raw.execute("UPDATE credit_balances SET remaining = ?", (credits,))
        raw.commit()

    def _spawn(self, node: Node, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        async def careful() -> None:
            try:
                await work(*given)
            except Exception as error:
                self._failure = self._failure or error

        self.loop.spawn(node.host, careful())

    def _careful(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Violation as violation:
            self._failure = self._failure or violation

    def _wrong(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = self._failure or context.get("exception") or Violation(context["message"])


def _one(question: Select[Any], connection: Connection) -> Any:
    return connection.execute(question).scalar_one()
