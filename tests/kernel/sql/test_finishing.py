"""The second half of a migration: left until it is asked for, and refused while an older node would mind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text

from latchwork.compose.platform import opened
from latchwork.compose.verbs import migrate
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase
from latchwork.kernel.sql.finishing import OlderNodes, finish, shortcomings
from latchwork.kernel.sql.migrate import is_finished
from latchwork.kernel.sql.serving import LOCK
from latchwork.settings import Secret, Settings
from tests.engines.postgres import SUPERUSER, Postgres
from tests.kernel.sql.test_upgrading import Old, first_version, upgraded

COUNT = "SELECT count(*) FROM workspaces"


def left_by_the_version_before(connection: Connection) -> None:
    first_version(connection)
    upgraded(connection, "0014")


@pytest.fixture
async def old_url(empty_postgres_url: str, tmp_path: Path) -> str:
    """A database of the version before, with a workspace in it."""
    await Old(tmp_path, empty_postgres_url).fill(left_by_the_version_before)
    return empty_postgres_url


@pytest.fixture
async def db(old_url: str) -> AsyncIterator[PostgresDatabase]:
    """The same, opened by this version."""
    database = PostgresDatabase(old_url)
    await database.open()
    yield database
    await database.close()


async def seen(url: str) -> int:
    """How many workspaces somebody sees who does not say for whom, as older nodes do not."""
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval(COUNT)
    await connection.close()
    return found


async def test_an_older_node_goes_on_seeing_everything_until_all_is_finished(
    db: PostgresDatabase, old_url: str
) -> None:
    assert not await db.read(is_finished, ALL_WORKSPACES)
    assert await seen(old_url) == 1
    await finish(db)
    assert await db.read(is_finished, ALL_WORKSPACES)
    assert await seen(old_url) == 0
    assert await db.read(lambda c: c.scalar(text(COUNT)), ALL_WORKSPACES) == 1
    await finish(db)


async def test_nothing_is_finished_while_an_older_node_serves(db: PostgresDatabase, old_url: str) -> None:
    assert await db.serving.take(among_others=True)
    older = await asyncpg.connect(old_url)
    await older.execute(f"SELECT pg_advisory_lock_shared({LOCK})")
    with pytest.raises(OlderNodes, match="1 of the processes"):
        await finish(db)
    assert await seen(old_url) == 1
    await older.close()
    await finish(db)
    assert await seen(old_url) == 0


async def test_a_table_that_is_in_use_is_waited_for(
    db: PostgresDatabase, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = await asyncpg.connect(old_url)
    transaction = busy.transaction()
    await transaction.start()
    await busy.execute("UPDATE workspaces SET name = 'renamed'")

    tried = 0

    async def pause(_seconds: float) -> None:
        nonlocal tried
        tried += 1
        if tried == 2:
            await transaction.commit()

    monkeypatch.setattr(asyncio, "sleep", pause)
    await finish(db)
    await busy.close()
    assert tried == 2
    assert await db.read(is_finished, ALL_WORKSPACES)


async def test_a_fresh_database_is_finished_from_the_start(empty_postgres_url: str) -> None:
    database = PostgresDatabase(empty_postgres_url)
    await database.open()
    assert await shortcomings(database) == []
    await database.close()


async def test_a_node_says_what_keeps_workspaces_from_being_kept_apart(
    db: PostgresDatabase, old_url: str, postgres: Postgres
) -> None:
    (unfinished,) = await shortcomings(db)
    assert "latchwork migrate --finish" in unfinished
    await finish(db)
    above = PostgresDatabase(postgres.url(old_url.rpartition("/")[2], SUPERUSER))
    (passing,) = await shortcomings(above)
    assert "superuser" in passing
    await above.close()


async def test_the_command_finishes_only_when_told_to(old_url: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(exist_ok=True)
    settings = Settings(data_dir=tmp_path, database_url=Secret(old_url))
    async with opened(settings) as platform:
        assert (await migrate(platform))["finished"] is False
        assert (await migrate(platform, finish=True))["finished"] is True
        assert [each.id for each in await platform.workspaces.all()] == ["ws_acme"]
