"""One course of events: a cluster, its clients and what befalls it, all drawn from one seed."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from latchwork.domains.ratelimits import LimitCheck, LimitState
from tests.simulator.clients import ask_something
from tests.simulator.connection import Script
from tests.simulator.endings import settle
from tests.simulator.faults import FAULTS
from tests.simulator.furniture import KEYS, MIDNIGHT_MS, WITH_CREDITS, furnish, make_different
from tests.simulator.loop import Host, VirtualLoop
from tests.simulator.network import Network
from tests.simulator.node import Node
from tests.simulator.postgres_model import SERVICE, Postgres
from tests.simulator.redis_model import Redis
from tests.simulator.truth import Ask, Known, Purse, Truth
from tests.simulator.violation import Violation

_START_MS = MIDNIGHT_MS - 2_000
_BUSY_S = 3.0
_LOOKS_S = 0.1
_BACK_WITHIN_S = 3.0


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
        self.truth = Truth()
        self.redis = Redis(self.now_ms, self._took, self.truth.admissions.forget)
        self.network.accept["redis"] = self.redis.accept
        self.postgres = Postgres(self.loop, self.network, self.chance, self.now_ms, furnish)
        self.postgres.slow_commits = self.chance.choice((0.0, 0.02, 0.1))
        self.postgres.watches += (self._watch_keys, self._watch_refills)
        self.versions: dict[bytes, int] = {}
        self.limit = self.chance.randint(10, 80)
        self.nodes: list[Node] = []
        self.clocks: list[NodeClock] = []
        self.asks: dict[Ask, None] = {}
        self.working: dict[object, Node] = {}
        self._failure: BaseException | None = None
        self.loop.set_exception_handler(self._wrong)

    def now_ms(self) -> int:
        return _START_MS + int((self.loop.time() - 1_000.0) * 1_000)

    def latest_ms(self) -> int:
        """The time by the clock that is most ahead."""
        return self.now_ms() + max(0, *(clock.ahead_ms for clock in self.clocks))

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
        await self.until(self.are_together, 1.0)
        ends_s = self.loop.time() + _BUSY_S
        faults = [
            self.loop.spawn(None, self._befall(self.chance.random() * (_BUSY_S - 1)))
            for _ in range(self.chance.randint(0, 6))
        ]
        while self.loop.time() < ends_s:
            await self.pass_(self.chance.random() * 0.08)
            for _ in range(self.chance.choice((1, 1, 2, 12))):
                ask_something(self)
        await self.until(lambda: all(fault.done() for fault in faults), _BUSY_S + 1)
        await self._heal()
        await settle(self)

    async def pass_(self, seconds: float) -> None:
        """Let time pass, unless something has gone wrong."""
        await asyncio.sleep(seconds)
        if self._failure is not None:
            raise self._failure

    async def until(self, is_so: Callable[[], bool], longest_s: float) -> bool:
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
        self.spawn(node, node.live, self.versions)
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
        if not await self.until(self.are_together, _BACK_WITHIN_S):
            away = [node.host.name for node in self.nodes if not node.is_together]
            raise Violation(f"{away} do not come back to the others")

    def are_together(self) -> bool:
        return all(node.is_together for node in self.nodes)

    # Around it

    def _furnish(self) -> None:
        """What differs from seed to seed."""
        for digest in KEYS:
            self.truth.keys[digest] = Known()
            self.versions[digest] = 1
        credits = {digest: self.chance.randint(0, 80) for digest in WITH_CREDITS}
        for digest, some in credits.items():
            self.truth.purses[digest] = Purse(some, some)
        self.postgres.query(partial(make_different, limit=self.limit, credits=credits))

    def spawn(self, node: Node, work: Callable[..., Awaitable[None]], *given: Any) -> None:
        mark = object()
        self.working[mark] = node

        async def careful() -> None:
            try:
                await work(*given)
            except Exception as error:
                self._failure = self._failure or error
            finally:
                del self.working[mark]

        self.loop.spawn(node.host, careful())

    def is_quiet(self) -> bool:
        """Whether nobody waits for anything that was asked of a node that lives."""
        return not any(node.host.is_alive for node in self.working.values())

    # What is looked at when it happens

    def _counted(self, node: Node, checks: Sequence[LimitCheck], states: list[LimitState]) -> None:
        self._careful(lambda: self.truth.counted(node, checks, states))

    def _took(self, check: LimitCheck, now_ms: int) -> None:
        self._careful(lambda: self.truth.admissions.took(check, now_ms))

    def _watch_keys(self, script: Script) -> Callable[[], None] | None:
        return self._keys_changed if any("UPDATE keys" in said for said, _ in script) else None

    def _keys_changed(self) -> None:
        for digest, version, enabled in self.postgres.store.raw.execute(
            "SELECT digest, name, enabled FROM keys"
        ):
            self.versions[digest] = int(version)
            self.truth.keys[digest].enabled[int(version)] = bool(enabled)

    def _watch_refills(self, script: Script) -> Callable[[], None] | None:
        if any("refill_due_at_ms=" in said for said, _ in script):
            return partial(self._refilled, self._balances())
        return None

    def _refilled(self, before: dict[str, tuple[int, int]]) -> None:
        for subject, (left, due_ms) in self._balances().items():
            had, was_due_ms = before[subject]
            if due_ms != was_due_ms:
                self.note(subject[:4], "refilled", left - had, "to", left)
                look = partial(self.truth.refilled, subject.encode(), left - had, left, self.latest_ms())
                self._careful(look)

    def _balances(self) -> dict[str, tuple[int, int]]:
        rows = self.postgres.store.raw.execute(
            "SELECT subject_id, remaining, refill_due_at_ms FROM credit_balances"
        )
        return {subject: (left, due_ms) for subject, left, due_ms in rows}

    def _careful(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Violation as violation:
            self._failure = self._failure or violation

    def _wrong(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = self._failure or context.get("exception") or Violation(context["message"])
