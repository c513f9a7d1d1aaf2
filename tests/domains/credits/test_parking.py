"""Rewriting beside spending: who waits for whom, and what an interruption leaves."""

import asyncio
from typing import Any

import pytest

from latchwork.domains.credits import Balance, Change, Ledger, store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.credits.flaky import FlakyDatabase, abandon

SUBJECT = "key_1"


class Bench:
    """A subject with 10 credits."""

    def __init__(self, database: Database, workspace_id: str) -> None:
        self.database = FlakyDatabase(database)
        self.workspace_id = workspace_id
        self.ledger = Ledger(self.database)

    async def add(self, amount: int) -> Balance | None:
        async with self.ledger.rewriting(SUBJECT) as unfolded:
            return await self._rewrite(unfolded, amount)

    async def _rewrite(self, unfolded: int, amount: int) -> Balance | None:
        change = Change(add=amount)
        after = await self.database.write(
            lambda c: store.rewrite(c, self.workspace_id, SUBJECT, unfolded, change, 0), ALL_WORKSPACES
        )
        self.ledger.put(SUBJECT, None if after is None else after.remaining)
        return after

    async def stored(self) -> Balance:
        return (await self.database.read(lambda c: store.find(c, [SUBJECT]), ALL_WORKSPACES))[SUBJECT]


@pytest.fixture
async def bench(database: Database) -> Bench:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    await database.write(
        lambda c: store.open_balances(c, workspace.id, {SUBJECT: Balance(10)}, 0), ALL_WORKSPACES
    )
    bench = Bench(database, workspace.id)
    await bench.ledger.open()
    await bench.ledger.settled(SUBJECT)
    return bench


async def test_a_rewriting_waits_for_the_spends_before_it(bench: Bench) -> None:
    for _ in range(3):
        assert bench.ledger.try_spend(SUBJECT, 1)
    assert await bench.add(5) == Balance(12)
    assert bench.ledger.available(SUBJECT) == 12
    await bench.ledger.close()
    assert await bench.stored() == Balance(12)


async def test_a_spend_that_fails_beneath_a_rewriting_is_refunded_first(bench: Bench) -> None:
    bench.database.fail_at(1)
    assert bench.ledger.try_spend(SUBJECT, 4)
    assert await bench.add(5) == Balance(15)
    assert bench.ledger.available(SUBJECT) == 15
    await bench.ledger.close()


async def test_rewritings_and_spends_of_one_subject_take_turns(bench: Bench) -> None:
    spends = [bench.ledger.spend(SUBJECT, 1) for _ in range(64)]
    changes = [bench.add(5) for _ in range(8)]
    outcomes = await asyncio.gather(*spends)
    await asyncio.gather(*changes)
    assert bench.ledger.available(SUBJECT) == 50 - outcomes.count(True)
    await bench.ledger.close()
    assert (await bench.stored()).remaining == bench.ledger.available(SUBJECT)


async def test_what_is_being_rewritten_still_shows_its_balance(bench: Bench) -> None:
    await bench.ledger.spend(SUBJECT, 3)
    async with bench.ledger.rewriting(SUBJECT):
        assert bench.ledger.available(SUBJECT) == 7
        assert bench.ledger.remaining_of(SUBJECT, 10) == 7
        assert bench.ledger.load(SUBJECT, 99)
        assert not bench.ledger.forget(SUBJECT)
    assert bench.ledger.available(SUBJECT) == 7
    assert bench.ledger.remaining_of("key_absent", 4) == 4
    await bench.ledger.close()


async def test_a_rewriting_whose_caller_went_away_is_read_again(bench: Bench) -> None:
    async def interrupted() -> None:
        async with bench.ledger.rewriting(SUBJECT) as unfolded:
            await bench._rewrite(unfolded, 5)
            await asyncio.Event().wait()

    task = asyncio.ensure_future(interrupted())
    while (await bench.stored()).remaining != 15:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert bench.ledger.try_spend(SUBJECT, 1) is None
    assert await bench.ledger.spend(SUBJECT, 15)
    await bench.ledger.close()


async def test_a_write_whose_answer_was_lost_is_found_out(bench: Bench) -> None:
    bench.database.fail_at(1, answer_lost=True)
    with pytest.raises(Unavailable):
        await bench.add(5)
    assert await bench.ledger.settled(SUBJECT) == 15
    await bench.ledger.close()


async def test_while_the_balance_cannot_be_read_again_nothing_is_spent(bench: Bench) -> None:
    bench.database.fail_at(1)
    with pytest.raises(Unavailable):
        await bench.add(5)
    bench.database.fail_at(1)
    with pytest.raises(Unavailable):
        await bench.ledger.spend(SUBJECT, 1)
    assert await bench.ledger.spend(SUBJECT, 10)
    await bench.ledger.close()


async def test_spends_of_one_turn_share_a_commit(bench: Bench) -> None:
    before = bench.database.writes
    await asyncio.gather(*(bench.ledger.spend(SUBJECT, 1) for _ in range(5)))
    assert bench.database.writes == before + 1
    await bench.ledger.close()


async def test_a_callback_that_fails_keeps_nobody_else_waiting(bench: Bench) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    heard: list[Exception | None] = []

    def fails(_error: Exception | None) -> None:
        raise ValueError("a defect")

    assert bench.ledger.try_spend(SUBJECT, 1)
    commit = bench.ledger.commit_of_now()
    commit.then(fails)
    commit.then(heard.append)
    await commit
    await commit
    commit.then(heard.append)
    assert heard == [None, None]
    assert isinstance(reported[0]["exception"], ValueError)
    await bench.ledger.close()


async def test_a_waiter_that_gave_up_does_not_stop_the_spend(bench: Bench) -> None:
    waiting = asyncio.ensure_future(bench.ledger.spend(SUBJECT, 4))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert bench.ledger.available(SUBJECT) == 6
    await bench.ledger.close()
    assert await bench.stored() == Balance(6)


async def test_the_commit_of_nothing_is_durable(bench: Bench) -> None:
    await bench.ledger.commit_of_now()
    await bench.ledger.close()
    await bench.ledger.close()


async def test_a_long_journal_is_folded_without_being_asked(bench: Bench) -> None:
    ledger = Ledger(bench.database, most_rows=3)
    await ledger.open()
    for _ in range(3):
        await ledger.spend(SUBJECT, 1)
    while (await bench.stored()).remaining != 7:
        await asyncio.sleep(0)
    await ledger.close()


async def test_a_fold_that_fails_in_the_background_is_tried_again(bench: Bench) -> None:
    ledger = Ledger(bench.database, fold_every_s=0.001, most_rows=1)
    await ledger.open()
    await ledger.settled(SUBJECT)
    bench.database.fail_at(2)
    await ledger.spend(SUBJECT, 1)
    while (await bench.stored()).remaining != 9:
        await asyncio.sleep(0)
    await ledger.close()


async def test_a_row_in_doubt_and_a_failing_replacement_leave_the_fold_for_later(bench: Bench) -> None:
    for answer_lost in (True, False):
        bench.database.fail_at(1, answer_lost=answer_lost)
        with pytest.raises(Unavailable):
            await (bench.ledger.spend(SUBJECT, 3) if answer_lost else bench.ledger.fold())
    await bench.ledger.fold()
    abandon(bench.ledger)
    again = Ledger(bench.database.real)
    await again.open()
    assert await again.settled(SUBJECT) == 10
    await again.close()


async def test_a_deleted_subject_leaves_neither_balance_nor_spends(bench: Bench) -> None:
    await bench.ledger.spend(SUBJECT, 3)
    async with bench.ledger.rewriting(SUBJECT):
        await bench.database.write(lambda c: store.close_balances(c, [SUBJECT]), ALL_WORKSPACES)
        bench.ledger.put(SUBJECT, None)
    await bench.ledger.fold()
    assert await bench.ledger.settled(SUBJECT) is None
    await bench.ledger.close()
