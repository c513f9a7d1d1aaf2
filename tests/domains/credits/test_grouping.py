"""Rows of the journal: shared by spends that come together, and never waited for where nothing else comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from latchwork.domains.credits import Balance, Ledger, store
from latchwork.domains.workspaces import Workspaces
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

SUBJECT = "key_1"


class Counting:
    """A database that counts the rows that are appended; everything else is the real one's."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self.appended = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def appender(self, statement: Any) -> Any:
        append = self._real.appender(statement)

        def counted(row: Any, done: Any) -> None:
            self.appended += 1
            append(row, done)

        return counted


@pytest.fixture
async def counting(database: Database) -> Counting:
    return Counting(database)


@pytest.fixture
async def ledger(counting: Counting, database: Database) -> AsyncIterator[Ledger]:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    await database.write(
        lambda c: store.open_balances(c, workspace.id, {SUBJECT: Balance(1_000_000)}, 0), ALL_WORKSPACES
    )
    ledger = Ledger(counting)
    await ledger.open()
    assert await ledger.settled(SUBJECT) == 1_000_000
    yield ledger
    await ledger.close()


async def test_spends_of_neighbouring_turns_share_a_row(counting: Counting, ledger: Ledger) -> None:
    heard: list[Exception | None] = []
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for spends in (2, 1, 1, 1):
        for _ in range(spends):
            assert ledger.try_spend(SUBJECT, 1)
            ledger.commit_of_now().then(heard.append)
        await asyncio.sleep(0)
    in_time = loop.time() - began_s < 0.001  # else a slow machine has had its row written before
    while len(heard) < 5:
        await asyncio.sleep(0)
    assert heard == [None] * 5
    assert counting.appended == 1 or not in_time
    assert ledger.available(SUBJECT) == 1_000_000 - 5


async def test_a_row_is_written_however_many_keep_coming(counting: Counting, ledger: Ledger) -> None:
    heard: list[Exception | None] = []
    spent = 0
    async with asyncio.timeout(60):
        while counting.appended < 3:
            assert ledger.try_spend(SUBJECT, 1)
            ledger.commit_of_now().then(heard.append)
            spent += 1
            await asyncio.sleep(0)
    while len(heard) < spent:
        await asyncio.sleep(0)
    assert heard == [None] * spent
    assert counting.appended < spent


async def test_spends_that_nobody_waits_for_are_written_too(counting: Counting, ledger: Ledger) -> None:
    assert ledger.try_spend(SUBJECT, 7)
    commit = ledger.commit_of_now()
    while not commit.settled:
        await asyncio.sleep(0)
    assert counting.appended == 1
