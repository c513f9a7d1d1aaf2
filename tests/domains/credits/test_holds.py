"""Holds: set aside, settled once, never lost."""

import asyncio

import pytest

from latchwork.domains.credits import Balance, Change, HoldNotFound, Holds, Ledger, TooFewCredits, store
from latchwork.domains.credits.rules import MOST
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.credits.flaky import abandon

SUBJECT = "key_1"


def _principal(workspace_id: str) -> Principal:
    return Principal(workspace_id, "key_root", None, frozenset({"*"}), "127.0.0.1", "", "req_000000000")


class Bench:
    """A subject with 100 credits and everything around it."""

    def __init__(self, database: Database, who: Principal, stranger: Principal) -> None:
        self.database = database
        self.who = who
        self.stranger = stranger
        self.clock = ManualClock()
        self.ledger = Ledger(database)
        self.holds = Holds(database, self.ledger, self.clock)

    async def restart(self) -> None:
        """Kill the process and start the next one."""
        abandon(self.ledger)
        self.ledger = Ledger(self.database)
        self.holds = Holds(self.database, self.ledger, self.clock)
        await self.ledger.open()


@pytest.fixture
async def bench(database: Database) -> Bench:
    workspaces = Workspaces(database, ManualClock())
    here, there = await workspaces.create("acme"), await workspaces.create("other")
    bench = Bench(database, _principal(here.id), _principal(there.id))
    await database.write(
        lambda connection: store.open_balances(connection, here.id, {SUBJECT: Balance(100)}, 0),
        ALL_WORKSPACES,
    )
    await bench.ledger.open()
    return bench


async def test_a_hold_takes_from_what_is_available(bench: Bench) -> None:
    await bench.ledger.spend(SUBJECT, 10)
    reservation = await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)
    assert reservation.remaining == 60
    assert reservation.hold.expires_ms == bench.clock.now_ms() + 1_000
    assert not await bench.ledger.spend(SUBJECT, 61)
    await bench.ledger.close()


async def test_a_commit_spends_its_amount_and_releases_the_rest(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    settlement = await bench.holds.commit(bench.who, hold.id, 12)
    assert (settlement.spent, settlement.released, settlement.remaining) == (12, 18, 88)
    assert bench.ledger.available(SUBJECT) == 88
    await bench.ledger.close()


async def test_a_release_gives_everything_back(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    settlement = await bench.holds.release(bench.who, hold.id)
    assert (settlement.spent, settlement.released, settlement.remaining) == (0, 30, 100)
    await bench.ledger.close()


async def test_a_hold_settles_once_however_many_try(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    tries = [bench.holds.release(bench.who, hold.id), bench.holds.commit(bench.who, hold.id, 30)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, HoldNotFound) for outcome in outcomes) == 1
    assert bench.ledger.available(SUBJECT) in (100, 70)
    await bench.ledger.close()


async def test_no_more_than_the_hold_can_be_committed(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    for amount in (31, -1):
        with pytest.raises(BadRequest):
            await bench.holds.commit(bench.who, hold.id, amount)
    assert await bench.holds.find(bench.who, hold.id) == hold
    await bench.ledger.close()


async def test_a_hold_is_unknown_in_another_workspace(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    for verb in (bench.holds.find, bench.holds.release):
        with pytest.raises(HoldNotFound):
            await verb(bench.stranger, hold.id)
    with pytest.raises(HoldNotFound):
        await bench.holds.commit(bench.stranger, hold.id, 1)
    with pytest.raises(BadRequest):
        await bench.holds.reserve(bench.stranger, SUBJECT, 1, 1_000)
    assert await bench.ledger.settled(SUBJECT) == 70
    await bench.ledger.close()


async def test_too_few_credits_hold_nothing(bench: Bench) -> None:
    with pytest.raises(TooFewCredits):
        await bench.holds.reserve(bench.who, SUBJECT, 101, 1_000)
    assert await bench.ledger.settled(SUBJECT) == 100
    await bench.ledger.close()


@pytest.mark.parametrize(("amount", "ttl_ms"), [(0, 1_000), (2**53, 1_000), (1, 0), (1, 86_400_001)])
async def test_a_hold_has_bounds(bench: Bench, amount: int, ttl_ms: int) -> None:
    with pytest.raises(BadRequest):
        await bench.holds.reserve(bench.who, SUBJECT, amount, ttl_ms)
    await bench.ledger.close()


async def test_what_is_unlimited_has_nothing_to_hold(bench: Bench) -> None:
    with pytest.raises(BadRequest):
        await bench.holds.reserve(bench.who, "key_unlimited", 1, 1_000)
    await bench.ledger.close()


async def test_an_abandoned_hold_returns_at_its_moment_and_once(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    bench.clock.advance(999)
    await bench.holds.sweep()
    assert bench.ledger.available(SUBJECT) == 70
    bench.clock.advance(1)
    with pytest.raises(HoldNotFound):
        await bench.holds.commit(bench.who, hold.id, 30)
    await asyncio.gather(bench.holds.sweep(), bench.holds.sweep())
    assert bench.ledger.available(SUBJECT) == 100
    await bench.ledger.close()


async def test_what_expired_while_nobody_ran_returns_at_the_start(bench: Bench) -> None:
    await bench.ledger.spend(SUBJECT, 5)
    await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)
    bench.clock.advance(5_000)
    await bench.restart()
    await bench.holds.open()
    assert await bench.ledger.settled(SUBJECT) == 95
    await bench.holds.close()
    await bench.ledger.close()


async def test_a_nearer_hold_is_returned_without_waiting_for_a_farther_one(bench: Bench) -> None:
    await bench.holds.open()
    await bench.holds.reserve(bench.who, SUBJECT, 30, 80_000_000)
    reserved = await bench.holds.reserve(bench.who, SUBJECT, 20, 1)
    assert reserved.remaining == 50
    bench.clock.advance(1)
    while bench.ledger.available(SUBJECT) != 70:
        await asyncio.sleep(0)
    await bench.holds.close()
    await bench.ledger.close()


async def test_a_hold_of_a_subject_that_became_unlimited_ends_without_a_balance(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    async with bench.ledger.rewriting(SUBJECT) as unfolded:
        change = Change(remaining=None)
        await bench.database.write(
            lambda c: store.rewrite(c, bench.who.workspace_id, SUBJECT, unfolded, change, 0), ALL_WORKSPACES
        )
        bench.ledger.put(SUBJECT, None)
    assert (await bench.holds.release(bench.who, hold.id)).remaining is None
    await bench.ledger.close()


async def test_a_hold_of_two_takes_from_both_or_from_neither(bench: Bench) -> None:
    other = "id_1"
    await bench.database.write(
        lambda c: store.open_balances(c, bench.who.workspace_id, {other: Balance(40)}, 0), ALL_WORKSPACES
    )
    with pytest.raises(TooFewCredits):
        await bench.holds.reserve(bench.who, SUBJECT, 41, 1_000, with_id=other)
    assert (await bench.ledger.settled(SUBJECT), await bench.ledger.settled(other)) == (100, 40)
    reserved = await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000, with_id=other)
    assert (reserved.remaining, set(reserved.hold.payers)) == (10, {SUBJECT, other})
    settlement = await bench.holds.commit(bench.who, reserved.hold.id, 12)
    assert (settlement.spent, settlement.released, settlement.remaining) == (12, 18, 28)
    assert (bench.ledger.available(SUBJECT), bench.ledger.available(other)) == (88, 28)
    await bench.ledger.close()


async def test_what_is_given_back_does_not_rise_beyond_the_highest_balance(bench: Bench) -> None:
    hold = (await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)).hold
    async with bench.ledger.rewriting(SUBJECT) as unfolded:
        change = Change(remaining=MOST - 1)
        await bench.database.write(
            lambda c: store.rewrite(c, bench.who.workspace_id, SUBJECT, unfolded, change, 0), ALL_WORKSPACES
        )
        bench.ledger.put(SUBJECT, MOST - 1)
    assert (await bench.holds.release(bench.who, hold.id)).remaining == MOST
    await bench.ledger.close()


async def test_closing_in_the_moment_of_a_reservation_ends_the_keeping(bench: Bench) -> None:
    await bench.holds.open()
    await bench.holds.reserve(bench.who, SUBJECT, 30, 1_000)
    closing = asyncio.ensure_future(bench.holds.close())
    for _ in range(50):
        await bench.database.read(lambda _connection: None, ALL_WORKSPACES)
    assert closing.done()
    await bench.ledger.close()
