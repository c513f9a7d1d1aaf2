"""The serving lock outlives its connection, and whoever has lost it to another writes nothing more."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase
from tests.engines.fault_proxy import FaultProxy


@pytest.fixture
async def first(distant_url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(distant_url)
    await database.open()
    assert await database.serving.take(among_others=False)
    yield database
    await database.close()


@pytest.fixture
async def second(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(postgres_url)
    yield database
    await database.close()


async def _append(database: PostgresDatabase, name: str) -> Exception | None:
    outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    append = database.appender(
        text("INSERT INTO transaction_lanes (lane, seq, seen_ms) VALUES (:lane, 0, 0)")
    )
    append((name,), outcome.set_result)
    return await outcome


@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_a_lost_connection_is_made_anew_with_the_lock(
    first: PostgresDatabase, second: PostgresDatabase, postgres_proxy: FaultProxy, fault: str
) -> None:
    getattr(postgres_proxy, fault)()
    assert isinstance(await _append(first, "a"), Unavailable)
    postgres_proxy.flow()
    assert await _append(first, "b") is None
    assert not await second.serving.take(among_others=False)


async def test_who_has_lost_the_lock_to_another_is_told_and_writes_nothing_more(
    first: PostgresDatabase, second: PostgresDatabase, postgres_proxy: FaultProxy
) -> None:
    lost = asyncio.Event()
    postgres_proxy.refuses = True
    postgres_proxy.cut()
    assert isinstance(await _append(first, "a"), Unavailable)
    async with asyncio.timeout(20):
        while not await second.serving.take(among_others=False):
            second.serving.is_over = False
            await asyncio.sleep(0.05)
        first.serving.watch(lost.set)
        postgres_proxy.refuses = False
        await lost.wait()
    assert isinstance(await _append(first, "b"), Unavailable)
    assert await _append(second, "c") is None
    kept = await second.read(
        lambda c: c.execute(text("SELECT lane FROM transaction_lanes")).scalars().all(), ALL_WORKSPACES
    )
    assert kept == ["c"]


async def test_any_number_serve_among_others_and_none_beside_one_alone(
    first: PostgresDatabase, second: PostgresDatabase, postgres_url: str
) -> None:
    assert not await second.serving.take(among_others=True)
    await first.serving.close()
    third = PostgresDatabase(postgres_url)
    second.serving.is_over = False
    assert await second.serving.take(among_others=True)
    assert await third.serving.take(among_others=True)
    await third.close()


async def test_an_outage_is_told_of_once(
    first: PostgresDatabase,
    postgres_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("latchwork.kernel.sql.serving._LOOKED_EVERY_S", 0.01)
    first.serving.watch(lambda: None)
    for outages in (1, 2):
        tried = postgres_proxy.connections
        postgres_proxy.refuses = True
        postgres_proxy.cut()
        async with asyncio.timeout(20):
            while postgres_proxy.connections < tried + 3:
                await asyncio.sleep(0.01)
            postgres_proxy.refuses = False
            while isinstance(await _append(first, f"after {outages}"), Unavailable):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # some looks that find nothing wrong
        told = [each for each in caplog.messages if "out of reach" in each]
        assert len(told) == outages
