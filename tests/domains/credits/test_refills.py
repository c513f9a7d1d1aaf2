"""Refills: at their moment, once, never downwards, whatever is being spent meanwhile."""

import asyncio
import calendar
import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.credits import Balance, Change, Ledger, Refill, Refills, store
from latchwork.domains.credits.rules import DAY_MS, next_refill_ms
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.credits.flaky import FlakyDatabase, abandon

SUBJECT = "key_1"
DAILY = Refill("daily", 50)


def _ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("day", "after", "due"),
    [
        (None, (2027, 1, 15, 8), (2027, 1, 16)),
        (None, (2027, 1, 15), (2027, 1, 16)),
        (None, (2027, 12, 31, 23, 59), (2028, 1, 1)),
        (15, (2027, 1, 14, 23), (2027, 1, 15)),
        (15, (2027, 1, 15), (2027, 2, 15)),
        (31, (2027, 1, 31), (2027, 2, 28)),
        (31, (2028, 1, 31), (2028, 2, 29)),
        (30, (2027, 2, 28), (2027, 3, 30)),
        (29, (2027, 2, 27), (2027, 2, 28)),
        (31, (2027, 4, 1), (2027, 4, 30)),
        (31, (2027, 12, 31, 1), (2028, 1, 31)),
        (1, (2027, 12, 1, 0, 0, 1), (2028, 1, 1)),
    ],
)
def test_a_refill_is_due_at_the_midnight_that_the_calendar_says(
    day: int | None, after: tuple[int, ...], due: tuple[int, ...]
) -> None:
    refill = DAILY if day is None else Refill("monthly", 1, day)
    assert next_refill_ms(refill, _ms(*after)) == _ms(*due)


@given(after_ms=st.integers(0, _ms(2200, 1, 1)), day=st.none() | st.integers(1, 31))
def test_it_is_due_once_a_day_or_once_a_month(after_ms: int, day: int | None) -> None:
    refill = Refill("daily", 1) if day is None else Refill("monthly", 1, day)
    due_ms = next_refill_ms(refill, after_ms)
    assert due_ms > after_ms and due_ms % DAY_MS == 0
    following = next_refill_ms(refill, due_ms)
    date = datetime.fromtimestamp(due_ms / 1000, UTC)
    if day is None:
        assert (due_ms - after_ms <= DAY_MS) and following == due_ms + DAY_MS
    else:
        assert date.day == min(day, calendar.monthrange(date.year, date.month)[1])
        after = datetime.fromtimestamp(following / 1000, UTC)
        assert (after.year * 12 + after.month) - (date.year * 12 + date.month) == 1


class Bench:
    """A subject with 100 credits that a daily refill raises to 50, the evening before."""

    def __init__(self, database: Database, workspace_id: str) -> None:
        self.database = database
        self.workspace_id = workspace_id
        self.clock = ManualClock(_ms(2027, 1, 15, 20))
        self.ledger = Ledger(database)
        self.refills = Refills(database, self.ledger, self.clock)

    async def give(self, subject_id: str, remaining: int, refill: Refill | None = DAILY) -> None:
        opened = {subject_id: Balance(remaining, refill)}
        now_ms = self.clock.now_ms()
        await self.database.write(
            lambda c: store.open_balances(c, self.workspace_id, opened, now_ms), ALL_WORKSPACES
        )

    async def change(self, change: Change) -> None:
        now_ms = self.clock.now_ms()
        async with self.ledger.rewriting(SUBJECT) as unfolded:
            after = await self.database.write(
                lambda c: store.rewrite(c, self.workspace_id, SUBJECT, unfolded, change, now_ms),
                ALL_WORKSPACES,
            )
            self.ledger.put(SUBJECT, None if after is None else after.remaining)

    async def balance(self) -> Balance:
        found = await self.database.read(lambda connection: store.find(connection, [SUBJECT]), ALL_WORKSPACES)
        return found[SUBJECT]

    async def entries(self) -> list[list[dict[str, Any]]]:
        """The resources of every audit row of a refill."""
        question = select(audit_log.c.resources).where(audit_log.c.event == "credits.refill")
        rows = await self.database.read(
            lambda c: c.execute(question.order_by(audit_log.c.seq)).scalars().all(), ALL_WORKSPACES
        )
        return list(rows)


@pytest.fixture
async def bench(database: Database) -> Bench:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    bench = Bench(database, workspace.id)
    await bench.ledger.open()
    return bench


async def test_a_balance_rises_to_its_amount_at_its_moment_and_once(bench: Bench) -> None:
    await bench.give(SUBJECT, 20)
    bench.clock.set(_ms(2027, 1, 16) - 1)
    assert await bench.refills.sweep() == 0
    bench.clock.advance(1)
    assert sum(await asyncio.gather(*(bench.refills.sweep() for _ in range(3)))) == 30
    assert await bench.ledger.settled(SUBJECT) == 50
    assert await bench.ledger.spend(SUBJECT, 45)
    bench.clock.set(_ms(2027, 1, 16, 23, 59))
    assert await bench.refills.sweep() == 0
    bench.clock.set(_ms(2027, 1, 17))
    assert await bench.refills.sweep() == 45
    await bench.ledger.close()
    assert await bench.balance() == Balance(50, DAILY, _ms(2027, 1, 17))
    assert (
        await bench.database.read(lambda c: audit.first_break(c, bench.workspace_id), ALL_WORKSPACES) is None
    )


async def test_a_balance_that_is_higher_stays_and_was_not_refilled(bench: Bench) -> None:
    await bench.give(SUBJECT, 51)
    bench.clock.advance(DAY_MS)
    assert await bench.refills.sweep() == 0
    assert await bench.balance() == Balance(51, DAILY, None)
    assert await bench.entries() == []
    await bench.ledger.close()


async def test_what_was_missed_while_nobody_ran_is_made_up_for_once(bench: Bench) -> None:
    await bench.give(SUBJECT, 100, Refill("monthly", 70, 31))
    await bench.ledger.spend(SUBJECT, 90)
    abandon(bench.ledger)
    bench.clock.set(_ms(2027, 6, 5))
    again = Ledger(bench.database)
    await again.open()
    refills = Refills(bench.database, again, bench.clock)
    await refills.open()
    assert await again.settled(SUBJECT) == 70
    assert await again.spend(SUBJECT, 70)
    bench.clock.set(_ms(2027, 6, 29, 23))
    assert await refills.sweep() == 0
    bench.clock.set(_ms(2027, 6, 30))
    assert await refills.sweep() == 70
    await refills.close()
    await again.close()


async def test_nobody_without_a_refill_is_given_anything(bench: Bench) -> None:
    await bench.give(SUBJECT, 5, None)
    bench.clock.advance(400 * DAY_MS)
    assert await bench.refills.sweep() == 0
    assert await bench.refills.ensure([SUBJECT, "key_unlimited"], bench.clock.now_ms()) == {}
    assert await bench.ledger.settled(SUBJECT) == 5
    await bench.ledger.close()


async def test_a_refill_that_is_set_later_is_due_from_then_on(bench: Bench) -> None:
    await bench.give(SUBJECT, 5, None)
    bench.clock.set(_ms(2027, 1, 20, 12))
    await bench.change(Change(refill=DAILY))
    assert await bench.refills.sweep() == 0
    bench.clock.set(_ms(2027, 1, 21))
    assert await bench.refills.sweep() == 45
    await bench.change(Change(refill=None))
    bench.clock.advance(DAY_MS)
    assert await bench.refills.sweep() == 0
    await bench.ledger.close()


async def test_a_change_that_leaves_the_refill_as_it_is_does_not_put_it_off(bench: Bench) -> None:
    await bench.give(SUBJECT, 5)
    bench.clock.set(_ms(2027, 1, 16))
    await bench.change(Change(remaining=7, refill=DAILY))
    assert await bench.refills.sweep() == 43
    await bench.change(Change(add=-50))
    assert (await bench.balance()).refilled_ms == _ms(2027, 1, 16)
    await bench.ledger.close()


async def test_spends_beside_a_refill_are_neither_lost_nor_refused(bench: Bench) -> None:
    await bench.give(SUBJECT, 20)
    bench.clock.advance(DAY_MS)
    refilled = asyncio.Event()

    async def pay() -> int:
        """Spend until a refill has been seen to be used up."""
        paid = 0
        while True:
            is_late = refilled.is_set()
            if await bench.ledger.spend(SUBJECT, 1):
                paid += 1
            elif is_late:
                return paid
            await asyncio.sleep(0)

    paying = asyncio.gather(*(pay() for _ in range(8)))
    added = await bench.refills.sweep()
    refilled.set()
    assert 30 <= added <= 50
    assert sum(await paying) == 20 + added
    await bench.ledger.close()
    assert (await bench.balance()).remaining == 0


async def test_many_are_refilled_a_portion_a_write_and_stay_out_of_memory(bench: Bench) -> None:
    many = {f"key_{number:03}": Balance(number, DAILY) for number in range(450)}
    now_ms = bench.clock.now_ms()
    await bench.database.write(
        lambda c: store.open_balances(c, bench.workspace_id, many, now_ms), ALL_WORKSPACES
    )
    await bench.ledger.settled("key_007")
    bench.clock.advance(DAY_MS)
    assert await bench.refills.sweep() == sum(50 - number for number in range(50))
    found = await bench.database.read(lambda c: store.find(c, many), ALL_WORKSPACES)
    assert {each.remaining for each in found.values()} == set(range(50, 450))
    assert set(bench.ledger.balances) == {"key_007"}
    told = {resource["id"] for entry in await bench.entries() for resource in entry}
    assert told == {f"key_{number:03}" for number in range(50)}
    await bench.ledger.close()


async def test_each_workspace_is_told_of_its_own_refills(bench: Bench) -> None:
    other = await Workspaces(bench.database, ManualClock()).create("other")
    await bench.give(SUBJECT, 20)
    opened = {"id_1": Balance(10, DAILY)}
    now_ms = bench.clock.now_ms()
    await bench.database.write(lambda c: store.open_balances(c, other.id, opened, now_ms), ALL_WORKSPACES)
    bench.clock.advance(DAY_MS)
    assert await bench.refills.sweep() == 70
    found = sorted(entry[0]["id"] for entry in await bench.entries())
    assert found == ["id_1", SUBJECT]
    for workspace_id in (bench.workspace_id, other.id):
        holds = partial(audit.first_break, workspace_id=workspace_id)
        assert await bench.database.read(holds, workspace_id) is None
    await bench.ledger.close()


@pytest.mark.parametrize("answer_lost", [False, True], ids=["undone", "answer lost"])
async def test_a_refill_that_fails_is_done_once_by_the_next(database: Database, answer_lost: bool) -> None:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    flaky = FlakyDatabase(database)
    bench = Bench(flaky, workspace.id)
    await bench.ledger.open()
    await bench.give(SUBJECT, 20)
    assert await bench.ledger.spend(SUBJECT, 5)
    bench.clock.advance(DAY_MS)
    flaky.fail_at(1, answer_lost=answer_lost)
    with pytest.raises(Unavailable):
        await bench.refills.sweep()
    assert await bench.ledger.spend(SUBJECT, 1)
    await bench.refills.sweep()
    assert await bench.ledger.settled(SUBJECT) == (49 if answer_lost else 50)
    await bench.ledger.close()


async def test_the_keeper_refills_by_itself_and_tries_again_after_a_failure(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    flaky = FlakyDatabase(database)
    bench = Bench(flaky, workspace.id)
    await bench.ledger.open()
    await bench.give(SUBJECT, 20)
    bench.clock.set(_ms(2027, 1, 16) - 1)
    await bench.refills.open()
    flaky.fail_at(1)
    with caplog.at_level(logging.WARNING):
        bench.clock.advance(1)
        while (await bench.balance()).remaining != 50:
            await asyncio.sleep(0)
    assert "refills of credits are put off" in caplog.text
    await bench.refills.close()
    await bench.ledger.close()
