"""Every change is heard of, however late its transaction ends and whatever becomes of the connection."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from latchwork.kernel.invalidations import Tag
from latchwork.kernel.leases import Lease
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, PostgresDatabase
from latchwork.kernel.sql.changes import News, changed, encoded, message_of, news_of
from latchwork.kernel.sql.follower import Follower
from latchwork.kernel.sql.leading import Leader
from tests.engines.fault_proxy import FaultProxy


class Node:
    """A database that is shared, and what was announced in it."""

    def __init__(self, database: PostgresDatabase, name: str) -> None:
        self.database = database
        self.lease = Lease()
        self.published: list[News] = []
        self.heard: list[Tag] = []
        database.share(name, self.published.append)
        database.invalidations.listen(self._hear)
        self.follower = Follower(database, self.lease, name, lambda: True)

    def _hear(self, tags: Iterable[Tag]) -> None:
        self.heard += tags

    async def change(self, *tags: Tag) -> None:
        await self.database.write(lambda connection: changed(connection, *tags), ALL_WORKSPACES)


@asynccontextmanager
async def node(url: str, name: str) -> AsyncIterator[Node]:
    database = PostgresDatabase(url)
    await database.open()
    try:
        yield Node(database, name)
    finally:
        await database.close()


@pytest.fixture
async def one(postgres_url: str) -> AsyncIterator[Node]:
    async with node(postgres_url, "one") as opened:
        yield opened


@pytest.fixture
async def other(postgres_url: str) -> AsyncIterator[Node]:
    async with node(postgres_url, "other") as opened:
        await opened.follower.look()
        yield opened
        await opened.follower.close()


async def test_what_one_changes_the_other_hears_of_once_and_itself_at_once(one: Node, other: Node) -> None:
    await one.change(("api", "a"), ("key", b"\x00\xff"))
    assert one.heard == [("api", "a"), ("key", b"\x00\xff")] == one.published[0].tags
    assert other.heard == []
    await other.follower.look()
    await other.follower.look()
    assert other.heard == [("api", "a"), ("key", b"\x00\xff")]
    await other.change(("api", "b"))
    await other.follower.look()
    assert other.heard[2:] == [("api", "b")]


async def test_a_transaction_that_ends_late_is_not_missed(one: Node, other: Node, postgres_url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    late = PostgresDatabase(postgres_url)
    await late.open()
    link = await late.link()

    async def slowly() -> None:
        async with link.driver.transaction():
            await link.driver.execute(
                "INSERT INTO changes (txid, node, tags, time_ms)"
                " VALUES (pg_current_xact_id()::text::bigint, 'late', $1, 0)",
                encoded([("api", "late")]),
            )
            begun.set()
            await go_on.wait()

    slow = asyncio.ensure_future(slowly())
    await begun.wait()
    for name in ("x", "y"):
        await one.change(("api", name))
        await other.follower.look()
    assert other.heard == [("api", "x"), ("api", "y")]
    go_on.set()
    await slow
    await other.follower.look()
    assert other.heard == [("api", "x"), ("api", "y"), ("api", "late")]
    await link.drop()
    await late.close()


async def test_what_came_another_way_is_not_announced_again(one: Node, other: Node) -> None:
    await one.change(("api", "a"))
    await one.change(("api", "b"))
    other.follower.hear(news_of(message_of(one.published[1])))
    assert other.heard == [("api", "b")]
    await other.follower.look()
    await other.follower.look()
    assert other.heard == [("api", "b"), ("api", "a")]


async def test_a_unit_that_fails_tells_nobody(one: Node, other: Node) -> None:
    def unit(connection: Connection) -> None:
        changed(connection, ("api", "a"))
        raise ValueError

    with pytest.raises(ValueError):
        await one.database.write(unit, ALL_WORKSPACES)
    await other.follower.look()
    assert one.heard == other.heard == []


async def test_out_of_reach_the_lease_is_said_to_be_cut_and_a_look_heals_it(
    distant_url: str, postgres_proxy: FaultProxy, one: Node
) -> None:
    async with node(distant_url, "distant") as distant:
        await distant.follower.open()
        assert not distant.lease.is_over
        postgres_proxy.refuses = True
        postgres_proxy.cut()
        await one.change(("api", "a"))
        async with asyncio.timeout(20):
            while not distant.lease.is_out_of_reach:
                await asyncio.sleep(0.01)
            postgres_proxy.refuses = False
            while distant.lease.is_over or not distant.heard:
                await asyncio.sleep(0.01)
        assert distant.heard == [("api", "a")]
        await distant.follower.close()


async def test_one_leads_and_another_when_that_one_has_gone(one: Node, other: Node) -> None:
    log: list[str] = []

    def duties(name: str, what: str) -> "asyncio.Future[None]":
        log.append(f"{name} {what}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    first = Leader(one.database, lambda: duties("first", "begins"), lambda: duties("first", "ends"))
    second = Leader(other.database, lambda: duties("second", "begins"), lambda: duties("second", "ends"))
    await first.open()
    await second.open()
    assert first.is_leading and not second.is_leading
    await first.close()
    async with asyncio.timeout(20):
        while not second.is_leading:
            await asyncio.sleep(0.01)
    await second.close()
    assert log == ["first begins", "first ends", "second begins", "second ends"]


async def test_old_changes_are_swept(one: Node, other: Node) -> None:
    await one.change(("api", "a"))
    await other.database.write(
        lambda connection: connection.execute(text("UPDATE changes SET time_ms = 0")), ALL_WORKSPACES
    )
    other.follower._swept_s -= 1_000
    await other.follower._attempt()
    left = await other.database.read(
        lambda c: c.execute(text("SELECT count(*) FROM changes")).scalar(), ALL_WORKSPACES
    )
    assert left == 0
