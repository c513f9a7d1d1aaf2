"""Granted = available + held + spent, of a key and of its identity, which pay together or not at all."""

import asyncio
from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from latchwork.domains.audit.tables import audit_log
from latchwork.domains.credits import (
    Balance,
    Change,
    HoldNotFound,
    Holds,
    Ledger,
    Refill,
    Refills,
    TooFewCredits,
    store,
)
from latchwork.domains.credits.rules import DAY_MS
from latchwork.domains.verification.purses import Payer, Purse
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.credits.flaky import FlakyDatabase, abandon

TTL_MS = 1_000
REFILL = Refill("daily", 25)
BOTH, ALONE = "a key with credits of its own", "a key without"
KEYS = st.sampled_from([BOTH, ALONE])
STEPS = st.one_of(
    st.tuples(st.just("spend"), st.lists(st.tuples(KEYS, st.integers(0, 5)), min_size=1, max_size=6)),
    st.tuples(st.just("fail"), st.booleans()),
    st.tuples(st.just("change"), st.tuples(st.booleans(), st.integers(-15, 15))),
    st.tuples(st.just("reserve"), st.tuples(KEYS, st.integers(1, 12))),
    st.tuples(st.just("commit"), st.integers(0, 12)),
    st.tuples(st.just("pass_"), st.integers(1, TTL_MS)),
    st.tuples(st.sampled_from(["day", "fold", "release", "crash", "forget", "race"]), st.just(0)),
)
_numbers = count()


@dataclass
class World:
    """A key and its identity, another key of that identity, and beside them what must be true."""

    database: FlakyDatabase
    who: Principal
    key: str
    identity: str
    clock: ManualClock = field(default_factory=ManualClock)
    granted: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    held: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)
    in_doubt: bool = False
    refilled: int = 0

    async def start(self) -> None:
        """Start a process: only the database knows what was."""
        self.ledger = Ledger(self.database)
        self.holds = Holds(self.database, self.ledger, self.clock)
        self.refills = Refills(self.database, self.ledger, self.clock)
        await self.ledger.open()

    def payers(self, which: str) -> tuple[str, ...]:
        return (self.key, self.identity) if which == BOTH else (self.identity,)

    def available(self, subject: str) -> int:
        held = sum(amount for payers, amount in self.held.values() if subject in payers)
        return self.granted[subject] - self.spent[subject] - held

    async def check(self) -> None:
        for subject in self.granted:
            assert await self.ledger.settled(subject) == self.available(subject)

    async def pay(self, which: str, cost: int) -> bool:
        """What a verification does."""
        key = None if which == ALONE else Payer(self.key, 0)
        purse = Purse(key, Payer(self.identity, 0))
        while (done := purse.spend(self.ledger, cost)) is None:
            for payer in purse.payers:
                await self.ledger.settled(payer)
        if done:
            await self.ledger.commit_of_now()
        return done

    def enter(self, which: str, cost: int) -> None:
        for payer in self.payers(which):
            self.spent[payer] += cost
        self.in_doubt = self.in_doubt and not cost

    async def spend(self, uses: list[tuple[str, int]]) -> None:
        outcomes = await asyncio.gather(*(self.pay(*use) for use in uses))
        for (which, cost), done in zip(uses, outcomes, strict=True):
            if done:
                assert all(self.available(payer) >= cost for payer in self.payers(which))
                self.enter(which, cost)

    async def fail(self, answer_lost: bool) -> None:
        """A journal row with a spend from both that cannot be written, or of which it is not known."""
        await self.check()
        if min(self.available(subject) for subject in self.granted) == 0:
            return
        self.database.fail_at(1, answer_lost=answer_lost)
        try:
            await self.pay(BOTH, 1)
        except Unavailable:
            self.in_doubt = answer_lost or self.in_doubt

    async def change(self, what: tuple[bool, int]) -> None:
        of_key, amount = what
        subject = self.key if of_key else self.identity
        before = self.available(subject)
        await self._add(subject, amount)
        self.granted[subject] += max(amount, -before)

    async def _add(self, subject: str, amount: int) -> None:
        async with self.ledger.rewriting(subject) as unfolded:
            after = await self.database.write(
                lambda c: store.rewrite(c, self.who.workspace_id, subject, unfolded, Change(add=amount), 0),
                ALL_WORKSPACES,
            )
            assert after is not None
            self.ledger.put(subject, after.remaining)

    async def reserve(self, what: tuple[str, int]) -> None:
        which, amount = what
        subject, beside = (self.key, self.identity) if which == BOTH else ("key_unlimited", self.identity)
        try:
            made = await self.holds.reserve(self.who, subject, amount, TTL_MS, with_id=beside)
        except TooFewCredits:
            assert amount > min(self.available(payer) for payer in self.payers(which))
            return
        self.held[made.hold.id] = (made.hold.payers, amount)
        assert set(made.hold.payers) == set(self.payers(which))
        assert made.remaining == min(self.available(payer) for payer in self.payers(which))

    async def commit(self, amount: int) -> None:
        if self.held:
            hold_id, (payers, held) = next(iter(self.held.items()))
            settled = await self.holds.commit(self.who, hold_id, min(amount, held))
            del self.held[hold_id]
            for payer in payers:
                self.spent[payer] += settled.spent

    async def release(self, _nothing: int) -> None:
        if self.held:
            hold_id = next(reversed(self.held))
            await self.holds.release(self.who, hold_id)
            del self.held[hold_id]

    async def pass_(self, duration_ms: int) -> None:
        """Time passes, and what is then due returns."""
        self.clock.advance(duration_ms)
        await self.holds.sweep()
        await self.look_at_holds()

    async def look_at_holds(self) -> None:
        for hold_id in list(self.held):
            try:
                await self.holds.find(self.who, hold_id)
            except HoldNotFound:
                del self.held[hold_id]

    async def day(self, _nothing: int) -> None:
        """The refill of the identity becomes due; the holds of yesterday do not stand any more."""
        self.clock.advance(DAY_MS)
        await self.refills.sweep()
        await self.look_at_refills()
        await self.pass_(0)
        assert self.available(self.identity) >= REFILL.amount or self.held

    async def look_at_refills(self) -> None:
        """What the audit log says was added; sweeps also refill what other worlds left in the database."""
        mine = (audit_log.c.workspace_id == self.who.workspace_id, audit_log.c.event == "credits.refill")
        rows = await self.database.read(
            lambda c: c.execute(select(audit_log.c.resources).where(*mine)).scalars().all(), ALL_WORKSPACES
        )
        added = sum(resource["meta"]["added"] for row in rows for resource in row)
        self.granted[self.identity] += added - self.refilled
        self.refilled = added

    async def fold(self, _nothing: int) -> None:
        await self.ledger.fold()
        self.in_doubt = False

    async def forget(self, _nothing: int) -> None:
        for subject in self.granted:
            self.ledger.forget(subject)

    async def race(self, _nothing: int) -> None:
        """Everything at once, on a new day; each part tells what it did."""
        self.clock.advance(DAY_MS)
        uses = [(BOTH if number % 3 else ALONE, 1) for number in range(20)]
        paying = asyncio.gather(*(self.pay(*use) for use in uses))
        holding = asyncio.gather(
            *(self.reserve((which, 2)) for which in (BOTH, ALONE, BOTH)), return_exceptions=True
        )
        refilling = asyncio.gather(self.refills.sweep(), self.refills.sweep())
        changes = (self._add(self.identity, 7), self._add(self.key, 3))
        await asyncio.gather(*changes, self.ledger.fold(), self.holds.sweep())
        self.granted[self.identity] += 7
        await refilling
        await self.look_at_refills()
        self.granted[self.key] += 3
        for use, done in zip(uses, await paying, strict=True):
            if done:
                self.enter(*use)
        await holding
        await self.look_at_holds()
        self.in_doubt = False

    async def crash(self, _nothing: int) -> None:
        abandon(self.ledger)
        await self.start()
        lost = {subject: self.available(subject) - (await self._found(subject)) for subject in self.granted}
        assert set(lost.values()) in ({0}, {int(self.in_doubt)}), "both paid, or neither"
        for subject, amount in lost.items():
            self.spent[subject] += amount
        self.in_doubt = False

    async def _found(self, subject: str) -> int:
        found = await self.ledger.settled(subject)
        assert found is not None
        return found


async def _world(database: Database) -> World:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    who = Principal(workspace.id, "key_root", None, frozenset({"*"}), "127.0.0.1", "", "req_000000000")
    number = next(_numbers)
    world = World(FlakyDatabase(database), who, f"key_{number}", f"id_{number}")
    world.granted = {world.key: 30, world.identity: 40}
    world.spent = dict.fromkeys(world.granted, 0)
    opened = {world.key: Balance(30), world.identity: Balance(40, REFILL)}
    await database.write(
        lambda c: store.open_balances(c, workspace.id, opened, 1_700_000_000_000), ALL_WORKSPACES
    )
    await world.start()
    return world


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25))
async def test_granted_is_available_and_held_and_spent_of_both(
    database: Database, steps: list[tuple[str, object]]
) -> None:
    world = await _world(database)
    for name, argument in steps:
        await getattr(world, name)(argument)
        await world.check()
    await world.crash(0)
    await world.ledger.close()
    found = await database.read(
        lambda connection: store.find(connection, list(world.granted)), ALL_WORKSPACES
    )
    assert {subject: found[subject].remaining for subject in world.granted} == {
        subject: world.available(subject) for subject in world.granted
    }
