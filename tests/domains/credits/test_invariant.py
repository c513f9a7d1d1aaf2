"""Granted = available + held + spent, whatever happens in whatever order."""

import asyncio
from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latchwork.domains.credits import Balance, Change, HoldNotFound, Holds, Ledger, TooFewCredits, store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.credits.flaky import FlakyDatabase, abandon

TTL_MS = 1_000
STEPS = st.one_of(
    st.tuples(st.just("spend"), st.lists(st.integers(0, 5), min_size=1, max_size=6)),
    st.tuples(st.just("fail"), st.booleans()),
    st.tuples(st.just("set"), st.integers(0, 40)),
    st.tuples(st.just("add"), st.integers(-15, 15)),
    st.tuples(st.just("reserve"), st.integers(1, 12)),
    st.tuples(st.just("commit"), st.integers(0, 12)),
    st.tuples(st.just("pass"), st.integers(1, TTL_MS)),
    st.tuples(st.sampled_from(["fold", "release", "crash", "forget", "race"]), st.just(0)),
)
_numbers = count()


@dataclass
class World:
    """One subject, and beside it what must be true of it."""

    database: FlakyDatabase
    who: Principal
    subject: str
    clock: ManualClock = field(default_factory=ManualClock)
    granted: int = 30
    spent: int = 0
    held: dict[str, int] = field(default_factory=dict)
    in_doubt: int = 0

    async def start(self) -> None:
        """Start a process: only the database knows what was."""
        self.ledger = Ledger(self.database)
        self.holds = Holds(self.database, self.ledger, self.clock)
        await self.ledger.open()

    @property
    def available(self) -> int:
        return self.granted - self.spent - sum(self.held.values())

    async def check(self) -> None:
        assert await self.ledger.settled(self.subject) == self.available

    async def spend(self, costs: list[int]) -> None:
        spends = (self.ledger.spend(self.subject, cost) for cost in costs)
        outcomes = await asyncio.gather(*spends)
        self.spent += sum(cost for cost, done in zip(costs, outcomes, strict=True) if done)
        assert outcomes == _in_turn(costs, self.available + sum(_paid(costs, outcomes)))
        self.in_doubt = 0 if any(_paid(costs, outcomes)) else self.in_doubt

    async def fail(self, answer_lost: bool) -> None:
        """A journal row that cannot be written, or of which it is not known."""
        await self.ledger.settled(self.subject)
        if self.available == 0:
            return
        self.database.fail_at(1, answer_lost=answer_lost)
        try:
            await self.ledger.spend(self.subject, 1)
        except Unavailable:
            self.in_doubt = int(answer_lost) or self.in_doubt

    async def set(self, remaining: int) -> None:
        await self._change(Change(remaining=remaining))
        self.granted += remaining - self.available

    async def add(self, amount: int) -> None:
        await self._change(Change(add=amount))
        self.granted += max(amount, -self.available)

    async def _change(self, change: Change) -> None:
        async with self.ledger.rewriting(self.subject) as unfolded:
            after = await self.database.write(
                lambda c: store.rewrite(c, self.who.workspace_id, self.subject, unfolded, change, 0),
                ALL_WORKSPACES,
            )
            assert after is not None
            self.ledger.put(self.subject, after.remaining)

    async def reserve(self, amount: int) -> None:
        try:
            made = await self.holds.reserve(self.who, self.subject, amount, TTL_MS)
        except TooFewCredits:
            assert amount > self.available
            return
        self.held[made.hold.id] = amount
        assert made.remaining == self.available

    async def commit(self, amount: int) -> None:
        if self.held:
            hold_id, held = next(iter(self.held.items()))
            settled = await self.holds.commit(self.who, hold_id, min(amount, held))
            del self.held[hold_id]
            self.spent += settled.spent

    async def release(self, _nothing: int) -> None:
        if self.held:
            hold_id = next(iter(self.held))
            await self.holds.release(self.who, hold_id)
            del self.held[hold_id]

    async def pass_(self, duration_ms: int) -> None:
        """Time passes, and what is then due returns."""
        self.clock.advance(duration_ms)
        await self.holds.sweep()
        for hold_id in list(self.held):
            try:
                await self.holds.find(self.who, hold_id)
            except HoldNotFound:
                del self.held[hold_id]

    async def fold(self, _nothing: int) -> None:
        await self.ledger.fold()
        self.in_doubt = 0

    async def forget(self, _nothing: int) -> None:
        self.ledger.forget(self.subject)

    async def race(self, _nothing: int) -> None:
        """Everything at once; each part tells what it did."""
        before = self.available
        change = Change(add=7)
        spends = [self.ledger.spend(self.subject, 1) for _ in range(20)]
        outcomes = asyncio.gather(*spends)
        await asyncio.gather(self._change(change), self.ledger.fold(), self.holds.sweep())
        done = (await outcomes).count(True)
        assert done == min(20, before) or before < 20
        self.granted += 7
        self.spent += done
        self.in_doubt = 0

    async def crash(self, _nothing: int) -> None:
        abandon(self.ledger)
        await self.start()
        found = await self.ledger.settled(self.subject)
        assert found in (self.available, self.available - self.in_doubt)
        self.spent += self.available - found
        self.in_doubt = 0


def _in_turn(costs: list[int], available: int) -> list[bool]:
    """Which of `costs` are paid one after the other."""
    outcomes = []
    for cost in costs:
        outcomes.append(cost <= available)
        available -= cost if outcomes[-1] else 0
    return outcomes


def _paid(costs: list[int], outcomes: list[bool]) -> list[int]:
    return [cost for cost, done in zip(costs, outcomes, strict=True) if done]


async def _world(database: Database) -> World:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    who = Principal(workspace.id, "key_root", None, frozenset({"*"}), "127.0.0.1", "", "req_000000000")
    world = World(FlakyDatabase(database), who, f"key_{next(_numbers)}")
    await database.write(
        lambda c: store.open_balances(c, workspace.id, {world.subject: Balance(world.granted)}, 0),
        ALL_WORKSPACES,
    )
    await world.start()
    return world


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25))
async def test_granted_is_available_and_held_and_spent(
    database: Database, steps: list[tuple[str, int | bool | list[int]]]
) -> None:
    world = await _world(database)
    for name, argument in steps:
        await getattr(world, "pass_" if name == "pass" else name)(argument)
        await world.check()
    await world.crash(0)
    await world.ledger.close()
    found = await database.read(lambda connection: store.find(connection, [world.subject]), ALL_WORKSPACES)
    assert found[world.subject].remaining == world.available
