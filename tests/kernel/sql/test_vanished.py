"""Nodes that fall silent keep nobody from anything, and connections that have ended are not used again."""

import asyncio

import pytest
from sqlalchemy import text

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, PostgresDatabase
from tests.engines.fault_proxy import FaultProxy

_COUNT = text("UPDATE transaction_lanes SET seq = seq + 1 WHERE lane = 'counted' RETURNING seq")


def _count(connection: Connection) -> int:
    return int(connection.execute(_COUNT).scalar_one())


async def test_what_a_silent_node_has_locked_is_free_in_time_for_others(
    postgres_url: str, distant_url: str, postgres_proxy: FaultProxy
) -> None:
    near, distant = PostgresDatabase(postgres_url), PostgresDatabase(distant_url)
    for name, database in (("near", near), ("distant", distant)):
        await database.open()
        database.share(name, lambda news: None)
    await near.write(
        lambda connection: connection.execute(
            text("INSERT INTO transaction_lanes (lane, seq, seen_ms) VALUES ('counted', 0, 0)")
        ),
        ALL_WORKSPACES,
    )
    locked = asyncio.Event()

    def fall_silent(connection: Connection) -> None:
        _count(connection)
        postgres_proxy.stall()
        locked.set()
        connection.execute(text("SELECT 1"))

    silent = asyncio.ensure_future(distant.write(fall_silent, ALL_WORKSPACES))
    await locked.wait()
    assert await near.write(_count, ALL_WORKSPACES) == 1
    with pytest.raises(Unavailable):
        await silent
    postgres_proxy.cut()
    postgres_proxy.flow()
    assert await distant.write(_count, ALL_WORKSPACES) == 2
    await distant.close()
    await near.close()


@pytest.mark.parametrize("seen", [True, False], ids=["noticed", "unnoticed"])
async def test_connections_that_have_ended_are_replaced_without_a_failed_question(
    distant_url: str, postgres_proxy: FaultProxy, seen: bool
) -> None:
    database = PostgresDatabase(distant_url)
    await database.open()

    def slow(connection: Connection) -> int:
        return int(connection.execute(text("SELECT 1 FROM pg_sleep(0.05)")).scalar_one())

    async def ask_eight_times_at_once() -> list[int]:
        asked = [database.read(slow, ALL_WORKSPACES) for _ in range(7)]
        return await asyncio.gather(database.write(slow, ALL_WORKSPACES), *asked)

    assert await ask_eight_times_at_once() == [1] * 8
    postgres_proxy.cut()
    if seen:
        await asyncio.sleep(0.2)  # until this process has read that they ended
    assert await ask_eight_times_at_once() == [1] * 8
    await database.close()
