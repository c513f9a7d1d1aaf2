"""Holds: granted = available + held + spent, whatever happens in whatever order."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.domains.credits import Change, Holds, Ledger, store
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest, NotFound
from latchwork.kernel.sql import Database, SqliteDatabase

SUBJECT = "key_1"


class Bank:
    """One subject's credits and a record of what ought to be true of them."""

    def __init__(self, database: Database, workspace_id: str, clock: ManualClock) -> None:
        self.database, self.workspace_id, self.clock = database, workspace_id, clock
        self.who = operator(workspace_id)
        self.granted = self.spent = 0
        self.held: dict[str, tuple[int, int]] = {}

    async def open(self) -> None:
        self.ledger = Ledger(self.database)
        await self.ledger.open()
        self.holds = Holds(self.database, self.ledger, self.clock)
        await self.holds.sweep()

    async def crash(self) -> None:
        assert self.ledger._keeping is not None
        self.ledger._keeping.cancel()
        await self.open()

    async def change(self, amount: int) -> None:
        async with self.ledger.rewriting(SUBJECT) as unfolded:
            change = Change(add=amount)
            after = await self.database.write(
                lambda c: store.rewrite(c, self.workspace_id, SUBJECT, unfolded, change)
            )
            assert after is not None
            before = self.granted - self.spent - sum(amount for amount, _ in self.held.values())
            self.granted += after.remaining - before
            self.ledger.put(SUBJECT, after.remaining)

    async def do(self, what: str, amount: int) -> None:
        if what == "spend":
            self.spent += amount * await self.ledger.spend(SUBJECT, amount)
        elif what == "many":
            done = await asyncio.gather(*(self.ledger.spend(SUBJECT, 1) for _ in range(amount)))
            self.spent += sum(done)
        elif what == "fold":
            await self.ledger.fold()
        elif what in ("add", "take"):
            await self.change(amount if what == "add" else -amount)
        elif what == "crash":
            await self.crash()
        elif what == "wait":
            self.clock.advance(amount * 100)
            await self.holds.sweep()
            self.held = {i: h for i, h in self.held.items() if h[1] > self.clock.now_ms()}
        elif what == "reserve":
            await self.reserve(amount)
        elif self.held:
            await self.settle(what, amount)

    async def reserve(self, amount: int) -> None:
        try:
            made = await self.holds.reserve(self.who, SUBJECT, amount + 1, 500)
        except Exception:
            return
        self.held[made.hold.id] = (amount + 1, made.hold.expires_ms)

    async def settle(self, what: str, amount: int) -> None:
        hold_id, (size, _) = next(iter(self.held.items()))
        if what == "commit":
            settled = await self.holds.commit(self.who, hold_id, min(amount, size))
            self.spent += settled.spent
        else:
            settled = await self.holds.release(self.who, hold_id)
        assert settled.spent + settled.released == size
        del self.held[hold_id]
        with pytest.raises(NotFound):
            await self.holds.release(self.who, hold_id)

    async def check(self) -> None:
        available = await self.ledger.settled(SUBJECT)
        assert available is not None
        assert available + sum(amount for amount, _ in self.held.values()) + self.spent == self.granted


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["spend", "many", "fold", "add", "take", "crash", "wait", "reserve", "commit", "release"]
        ),
        st.integers(0, 12),
    ),
    max_size=14,
)


async def _bank(database: Database) -> Bank:
    clock = ManualClock()
    workspace = await Workspaces(database, clock).create("acme")
    await database.write(lambda c: store.open_balance(c, workspace.id, SUBJECT, 0))
    bank = Bank(database, workspace.id, clock)
    await bank.open()
    return bank


@settings(max_examples=40, deadline=None)
@given(steps)
def test_granted_is_available_and_held_and_spent(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, int]]
) -> None:
    path: Path = tmp_path_factory.mktemp("bank") / "latchwork.db"

    async def story() -> None:
        database = SqliteDatabase(path)
        await database.open()
        bank = await _bank(database)
        await bank.do("add", 20)
        for what, amount in asked:
            await bank.do(what, amount)
            await bank.check()
        await bank.ledger.close()
        await database.close()

    asyncio.run(story())


async def test_the_holds_of_others_are_unknown(database: Database) -> None:
    bank = await _bank(database)
    await bank.change(10)
    made = await bank.holds.reserve(bank.who, SUBJECT, 4, 1000)
    other = operator((await Workspaces(database, bank.clock).create("other")).id)
    for verb in (bank.holds.release(other, made.hold.id), bank.holds.commit(other, made.hold.id, 1)):
        with pytest.raises(NotFound):
            await verb
    with pytest.raises(BadRequest):
        await bank.holds.commit(bank.who, made.hold.id, 5)
    assert (await bank.holds.find(bank.who, made.hold.id)).amount == 4
    await bank.ledger.close()


async def test_sizes_and_times_have_bounds(database: Database) -> None:
    bank = await _bank(database)
    bad: list[tuple[int, Any]] = [(0, 1000), (1, 0), (1, 10**12)]
    for amount, ttl_ms in bad:
        with pytest.raises(BadRequest):
            await bank.holds.reserve(bank.who, SUBJECT, amount, ttl_ms)
    await bank.ledger.close()
