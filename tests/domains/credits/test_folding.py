"""Folding: rows and journal together stay true, whatever fails and wherever."""

import asyncio

import pytest
from sqlalchemy import func, select

from latchwork.domains.credits import Balance, Change, Ledger, store
from latchwork.domains.credits.tables import journal
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from tests.domains.credits.flaky import FlakyDatabase, abandon

SUBJECTS = [f"key_{number:04}" for number in range(1_100)]  # three chunks
WRITES_OF_A_FOLD = 4  # and the one that drops what cancels out


@pytest.fixture
async def workspace_id(database: Database) -> str:
    return (await Workspaces(database, ManualClock()).create("acme")).id


async def _spent_once(database: Database, workspace_id: str) -> Ledger:
    """A ledger in which every subject had 10 and spent 3."""

    def seed(connection: Connection) -> None:
        for subject in SUBJECTS:
            store.open_balances(connection, workspace_id, {subject: Balance(10)}, 0)

    await database.write(seed, ALL_WORKSPACES)
    ledger = Ledger(database)
    await ledger.open()
    for subject in SUBJECTS:
        assert ledger.load(subject, 10, ledger.epoch)
        assert ledger.try_spend(subject, 3)
    await ledger.commit_of_now()
    return ledger


async def _stored(database: Database) -> set[int]:
    found = await database.read(lambda connection: store.find(connection, SUBJECTS), ALL_WORKSPACES)
    return {balance.remaining for balance in found.values()}


async def _rows(database: Database) -> int:
    count = await database.read(
        lambda c: c.execute(select(func.count()).select_from(journal)).scalar_one(), ALL_WORKSPACES
    )
    assert isinstance(count, int)
    return count


async def test_a_fold_moves_everything_and_empties_the_journal(database: Database, workspace_id: str) -> None:
    ledger = await _spent_once(database, workspace_id)
    assert await _stored(database) == {10}
    await ledger.fold()
    assert await _stored(database) == {7}
    assert await _rows(database) == 0
    await ledger.close()


async def test_a_ledger_with_nothing_to_fold_writes_nothing(database: Database) -> None:
    flaky = FlakyDatabase(database)
    ledger = Ledger(flaky)
    await ledger.open()
    before = flaky.writes
    await ledger.fold()
    await ledger.close()
    assert flaky.writes == before


@pytest.mark.parametrize("answer_lost", [False, True], ids=["undone", "answer lost"])
@pytest.mark.parametrize("write", range(1, WRITES_OF_A_FOLD + 1))
async def test_a_kill_within_a_fold_loses_and_doubles_nothing(
    database: Database, workspace_id: str, write: int, answer_lost: bool
) -> None:
    flaky = FlakyDatabase(database)
    ledger = await _spent_once(flaky, workspace_id)
    flaky.fail_at(write, answer_lost=answer_lost)
    with pytest.raises(Unavailable):
        await ledger.fold()
    abandon(ledger)
    again = Ledger(database)
    await again.open()
    assert await _stored(database) == {7}
    assert await _rows(database) == 0
    await again.close()


@pytest.mark.parametrize("answer_lost", [False, True], ids=["undone", "answer lost"])
@pytest.mark.parametrize("write", range(1, WRITES_OF_A_FOLD + 1))
async def test_a_failed_fold_is_finished_by_the_next_one(
    database: Database, workspace_id: str, write: int, answer_lost: bool
) -> None:
    flaky = FlakyDatabase(database)
    ledger = await _spent_once(flaky, workspace_id)
    flaky.fail_at(write, answer_lost=answer_lost)
    with pytest.raises(Unavailable):
        await ledger.fold()
    assert await ledger.spend(SUBJECTS[0], 2)
    await ledger.fold()
    assert await _stored(database) == {7, 5}
    assert await _rows(database) == 0
    await ledger.close()


async def test_a_rewriting_makes_a_chunk_in_doubt_certain_first(
    database: Database, workspace_id: str
) -> None:
    flaky = FlakyDatabase(database)
    ledger = await _spent_once(flaky, workspace_id)
    flaky.fail_at(1, answer_lost=True)
    with pytest.raises(Unavailable):
        await ledger.fold()
    async with ledger.rewriting(SUBJECTS[0]) as unfolded:
        after = await database.write(
            lambda c: store.rewrite(c, workspace_id, SUBJECTS[0], unfolded, Change(add=1), 0), ALL_WORKSPACES
        )
        assert after is not None
        ledger.put(SUBJECTS[0], after.remaining)
    assert after.remaining == 8
    await ledger.close()
    assert await _stored(database) == {7, 8}


async def test_a_fold_leaves_out_a_subject_that_is_being_rewritten_until_it_is_free(
    database: Database, workspace_id: str
) -> None:
    ledger = await _spent_once(database, workspace_id)
    async with ledger.rewriting(SUBJECTS[7]) as unfolded:
        folding = asyncio.ensure_future(ledger.fold())
        while (await _stored(database)) != {7, 10}:
            await asyncio.sleep(0)
        assert unfolded == 3
        await database.write(
            lambda c: store.rewrite(c, workspace_id, SUBJECTS[7], unfolded, Change(remaining=20), 0),
            ALL_WORKSPACES,
        )
        ledger.put(SUBJECTS[7], 20)
    await folding
    assert await _stored(database) == {7, 20}
    assert await _rows(database) == 0
    await ledger.close()


async def test_spends_during_a_fold_stay_journalled(database: Database, workspace_id: str) -> None:
    ledger = await _spent_once(database, workspace_id)
    folding = asyncio.ensure_future(ledger.fold())
    spends = [asyncio.ensure_future(ledger.spend(subject, 1)) for subject in SUBJECTS[::10]]
    await asyncio.gather(folding, *spends)
    abandon(ledger)
    again = Ledger(database)
    await again.open()
    assert await _stored(database) == {7, 6}
    await again.close()


async def test_a_row_that_arrived_though_it_failed_is_replaced_before_it_is_folded(
    database: Database, workspace_id: str
) -> None:
    flaky = FlakyDatabase(database)
    ledger = await _spent_once(flaky, workspace_id)
    flaky.fail_at(1, answer_lost=True)
    with pytest.raises(Unavailable):
        await ledger.spend(SUBJECTS[0], 5)
    assert ledger.available(SUBJECTS[0]) == 7
    await ledger.close()
    assert await _stored(database) == {7}
    assert await _rows(database) == 0


async def test_balances_beyond_the_bound_are_forgotten_once_their_rows_say_the_same(
    database: Database, workspace_id: str
) -> None:
    ledger = await _spent_once(database, workspace_id)
    await ledger.shrink(100)
    assert len(ledger.balances) == len(SUBJECTS), "their spends are only journalled"
    await ledger.fold()
    epoch = ledger.epoch
    await ledger.shrink(100)
    assert len(ledger.balances) == 100
    assert not ledger.load(SUBJECTS[0], 10, epoch), "a row read before may be older than the fold"
    assert await ledger.settled(SUBJECTS[0]) == 7
    await ledger.close()
