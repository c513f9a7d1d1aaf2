"""How many sessions there may be, and how expired ones go, on both databases."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from latchwork.adapters.memory import MemoryCounters
from latchwork.domains.keys import Apis
from latchwork.domains.portals import Guard, NewPortal, NewSession, Portals, Sessions, Sweeper
from latchwork.domains.portals.tables import portal_sessions
from latchwork.domains.ratelimits import LocalTally
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import PreconditionFailed
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database, SqliteDatabase

HOUR_MS = 3_600_000


class Lobby:
    """A portal whose limits are small."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = ManualClock()
        guard = Guard(LocalTally(MemoryCounters()), self.clock)
        self.sessions = Sessions(
            db, self.clock, guard, "https://x.test", most_of_a_user=2, most_of_a_portal=3
        )
        self.who: Principal

    async def open(self) -> None:
        workspace = await Workspaces(self.db, self.clock).create("acme")
        self.who = operator(workspace.id)
        api = await Apis(self.db, self.clock).create(self.who, name="api")
        wanted = NewPortal("portal", "x", keyspace_id=api.keyspace_id)
        await Portals(self.db, self.clock).create(self.who, wanted)

    async def mint(self, user: str) -> None:
        await self.sessions.create(self.who, NewSession("portal", user, ("keys:read",)))

    async def kept(self) -> list[str]:
        return await self.db.read(_users, ALL_WORKSPACES)


def _users(connection: Connection) -> list[str]:
    rows = connection.execute(portal_sessions.select().order_by(portal_sessions.c.id))
    return [row.external_id for row in rows]


@pytest.fixture
async def lobby(database: Database) -> Lobby:
    lobby = Lobby(database)
    await lobby.open()
    return lobby


async def test_a_portal_has_only_so_many_live_sessions(lobby: Lobby) -> None:
    for user in ("a", "b", "c"):
        await lobby.mint(user)
    with pytest.raises(PreconditionFailed, match="3 live sessions"):
        await lobby.mint("d")
    assert await lobby.kept() == ["a", "b", "c"]
    lobby.clock.advance(HOUR_MS)
    await lobby.mint("d")
    assert await lobby.kept() == ["d"]


async def test_an_end_user_who_has_enough_makes_room_for_themselves(lobby: Lobby) -> None:
    for user in ("a", "a", "a", "b", "a"):
        await lobby.mint(user)
    assert await lobby.kept() == ["a", "b", "a"]


async def test_expired_sessions_are_swept_and_live_ones_stay(lobby: Lobby) -> None:
    await lobby.mint("a")
    await lobby.mint("b")
    sweeper = Sweeper(lobby.sessions)
    assert await sweeper.sweep() == 0
    lobby.clock.advance(HOUR_MS)
    assert await sweeper.sweep() == 2
    assert await lobby.kept() == []


@pytest.fixture
async def closed(sqlite_path: str) -> AsyncIterator[Database]:
    """A database that answers no more."""
    database = SqliteDatabase(sqlite_path)
    await database.open()
    await database.close()
    yield database


async def test_a_database_that_is_away_is_tried_again_later(
    closed: Database, caplog: pytest.LogCaptureFixture
) -> None:
    sweeper = Sweeper(Lobby(closed).sessions)
    with caplog.at_level(logging.WARNING):
        sweeper.start()
        while not caplog.records:
            await asyncio.sleep(0)  # let the sweeper have a turn
        await sweeper.stop()
    assert "could not be swept" in caplog.text


async def test_what_never_began_can_be_stopped(database: Database) -> None:
    await Sweeper(Lobby(database).sessions).stop()
