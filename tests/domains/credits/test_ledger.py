"""The ledger: exact under concurrency, across folds, failures and restarts."""

import asyncio
from typing import Any

import pytest

from latchwork.domains.credits import Balance, Change, Ledger, Refill, store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest, Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Database

SUBJECT = "key_1"


@pytest.fixture
async def workspace_id(database: Database) -> str:
    return (await Workspaces(database, ManualClock()).create("acme")).id


async def _opened(database: Database, workspace_id: str, remaining: int) -> Ledger:
    await database.write(
        lambda c: store.open_balances(c, workspace_id, {SUBJECT: Balance(remaining)}, 0), ALL_WORKSPACES
    )
    ledger = Ledger(database)
    await ledger.open()
    return ledger


async def _reopened(database: Database) -> Ledger:
    """What the next process sees after this one was killed: only the database."""
    ledger = Ledger(database)
    await ledger.open()
    return ledger


async def _abandon(ledger: Ledger) -> None:
    """Die without folding."""
    assert ledger._keeping is not None
    ledger._keeping.cancel()


async def _rewrite(ledger: Ledger, database: Database, workspace_id: str, change: Change) -> Balance | None:
    async with ledger.rewriting(SUBJECT) as unfolded:
        after = await database.write(
            lambda c: store.rewrite(c, workspace_id, SUBJECT, unfolded, change, 0), ALL_WORKSPACES
        )
        ledger.put(SUBJECT, None if after is None else after.remaining)
    return after


async def test_a_hundred_credits_are_spent_a_hundred_times(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 100)
    done = await asyncio.gather(*(ledger.spend(SUBJECT, 1) for _ in range(64 * 3)))
    assert done.count(True) == 100
    await ledger.close()
    assert (await database.read(lambda c: store.find(c, [SUBJECT]), ALL_WORKSPACES))[SUBJECT].remaining == 0


async def test_what_was_acknowledged_survives_a_kill(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 100)
    await asyncio.gather(*(ledger.spend(SUBJECT, 2) for _ in range(10)))
    await _abandon(ledger)
    again = await _reopened(database)
    assert await again.settled(SUBJECT) == 80
    await again.close()


async def test_folding_changes_nothing(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 100)
    for _ in range(3):
        await ledger.spend(SUBJECT, 5)
        await ledger.fold()
        await ledger.spend(SUBJECT, 1)
    assert ledger.available(SUBJECT) == 82
    await _abandon(ledger)
    again = await _reopened(database)
    assert await again.settled(SUBJECT) == 82
    await again.close()


async def test_a_cost_of_nothing_passes_at_nothing(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 0)
    assert await ledger.spend(SUBJECT, 0) is True
    assert await ledger.spend(SUBJECT, 1) is False
    assert await ledger.spend("key_unlimited", 7) is True
    await ledger.close()


async def test_spends_wait_for_a_rewriting_and_meet_the_new_balance(
    database: Database, workspace_id: str
) -> None:
    ledger = await _opened(database, workspace_id, 1)
    await ledger.settled(SUBJECT)
    async with ledger.rewriting(SUBJECT) as unfolded:
        assert ledger.try_spend(SUBJECT, 1) is None
        waiting = asyncio.ensure_future(ledger.spend(SUBJECT, 5))
        change = Change(remaining=5)
        await database.write(
            lambda c: store.rewrite(c, workspace_id, SUBJECT, unfolded, change, 0), ALL_WORKSPACES
        )
        ledger.put(SUBJECT, 5)
    assert await waiting is True
    assert ledger.available(SUBJECT) == 0
    await ledger.close()


async def test_a_rewriting_that_fails_changes_nothing(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 10)
    await ledger.spend(SUBJECT, 3)
    with pytest.raises(BadRequest):
        await _rewrite(ledger, database, workspace_id, Change(remaining=-1))
    assert await ledger.settled(SUBJECT) == 7
    await ledger.close()


async def test_changes_count_from_what_is_true_now(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 10)
    await ledger.spend(SUBJECT, 4)
    assert await _rewrite(ledger, database, workspace_id, Change(add=10)) == Balance(16)
    assert await _rewrite(ledger, database, workspace_id, Change(add=-100)) == Balance(0)
    refill = Refill("monthly", 5, 31)
    assert await _rewrite(ledger, database, workspace_id, Change(remaining=3, refill=refill)) == Balance(
        3, refill
    )
    assert await _rewrite(ledger, database, workspace_id, Change(remaining=None)) is None
    with pytest.raises(BadRequest):
        await _rewrite(ledger, database, workspace_id, Change(add=1))
    with pytest.raises(BadRequest):
        await _rewrite(ledger, database, workspace_id, Change(remaining=2**53))
    await ledger.close()


class Breaking:
    """A database whose journal can be told to fail; everything else is the real one's."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def appender(self, statement: Any) -> Any:
        append = self._real.appender(statement)

        def maybe(row: Any, done: Any) -> None:
            if self.broken:
                asyncio.get_running_loop().call_soon(done, Unavailable(private="broken"))
            else:
                append(row, done)

        return maybe


async def test_a_journal_that_fails_gives_everything_back(database: Database, workspace_id: str) -> None:
    breaking = Breaking(database)
    await database.write(
        lambda c: store.open_balances(c, workspace_id, {SUBJECT: Balance(10)}, 0), ALL_WORKSPACES
    )
    ledger = Ledger(breaking)
    await ledger.open()
    await ledger.spend(SUBJECT, 1)
    breaking.broken = True
    failures = await asyncio.gather(*(ledger.spend(SUBJECT, 1) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(failure, Unavailable) for failure in failures)
    assert ledger.available(SUBJECT) == 9
    breaking.broken = False
    assert await ledger.spend(SUBJECT, 9) is True
    await ledger.close()


async def test_what_is_forgotten_is_read_again(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 10)
    await ledger.spend(SUBJECT, 4)
    assert ledger.forget(SUBJECT) is False, "its row does not say it yet"
    await ledger.fold()
    assert ledger.forget(SUBJECT) is True
    assert ledger.available(SUBJECT) is None
    assert await ledger.settled(SUBJECT) == 6
    await ledger.close()


async def test_both_balances_pay_or_neither(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 5)
    await database.write(
        lambda c: store.open_balances(c, workspace_id, {"id_1": Balance(2)}, 0), ALL_WORKSPACES
    )
    for subject in (SUBJECT, "id_1"):
        await ledger.settled(subject)
    assert ledger.try_spend_both(SUBJECT, "id_1", 2) is True
    assert ledger.try_spend_both(SUBJECT, "id_1", 1) is False
    assert (ledger.available(SUBJECT), ledger.available("id_1")) == (3, 0)
    assert ledger.try_spend_both(SUBJECT, "key_absent", 1) is None
    await ledger.close()


class Refusing:
    """A database that does not even take a row of the journal, as one that is closing."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def appender(self, statement: Any) -> Any:
        append = self._real.appender(statement)

        def maybe(row: Any, done: Any) -> None:
            if self.refuses:
                raise Unavailable(private="closing")
            append(row, done)

        return maybe


async def test_a_row_that_is_not_even_taken_gives_everything_back(
    database: Database, workspace_id: str
) -> None:
    refusing = Refusing(database)
    await database.write(
        lambda c: store.open_balances(c, workspace_id, {SUBJECT: Balance(10)}, 0), ALL_WORKSPACES
    )
    ledger = Ledger(refusing)
    await ledger.open()
    await ledger.settled(SUBJECT)
    refusing.refuses = True
    outcomes = await asyncio.gather(*(ledger.spend(SUBJECT, 3) for _ in range(2)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert ledger.available(SUBJECT) == 10
    refusing.refuses = False
    assert await ledger.spend(SUBJECT, 10)
    await ledger.close()


async def test_a_fold_waits_for_the_row_that_is_on_its_way(database: Database, workspace_id: str) -> None:
    ledger = await _opened(database, workspace_id, 100)
    await ledger.spend(SUBJECT, 5)
    assert ledger.try_spend(SUBJECT, 7)
    on_its_way = ledger.commit_of_now()
    await asyncio.sleep(0)
    assert not on_its_way.settled and ledger.commit_of_now().settled, "it is being written"
    await ledger.fold()
    assert on_its_way.settled
    assert (await database.read(lambda c: store.find(c, [SUBJECT]), ALL_WORKSPACES))[SUBJECT].remaining == 88
    await ledger.close()
