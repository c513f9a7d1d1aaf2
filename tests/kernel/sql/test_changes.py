"""What a unit of work says has changed is announced when it is committed, and only then."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.sql import ALL_WORKSPACES, Database, PostgresDatabase, SqliteDatabase
from latchwork.kernel.sql.changes import changed

ONE: Tag = ("key", b"1" * 32)
OTHER: Tag = ("api", "api_1")


def heard_by(database: Database) -> list[Tag]:
    """Every tag that is announced from now on."""
    heard: list[Tag] = []
    database.invalidations.listen(heard.extend)
    return heard


async def test_what_changed_is_announced_before_the_write_is_acknowledged(database: Database) -> None:
    heard = heard_by(database)

    def unit(connection: Connection) -> int:
        changed(connection, ONE)
        changed(connection, OTHER)
        return len(heard)

    assert (await database.write(unit, ALL_WORKSPACES), heard) == (0, [ONE, OTHER])


async def test_a_unit_that_fails_announces_nothing(database: Database) -> None:
    heard = heard_by(database)

    def failing(connection: Connection) -> None:
        changed(connection, ONE)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(failing, ALL_WORKSPACES)
    outcomes = await asyncio.gather(
        database.write(lambda connection: changed(connection, OTHER), ALL_WORKSPACES),
        database.write(failing, ALL_WORKSPACES),
        database.write(lambda connection: changed(connection, OTHER), ALL_WORKSPACES),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), LookupError, type(None)]
    assert heard == [OTHER, OTHER]


async def test_a_unit_that_changes_nothing_announces_nothing(database: Database) -> None:
    calls: list[object] = []
    database.invalidations.listen(calls.append)
    await database.write(lambda connection: changed(connection), ALL_WORKSPACES)
    assert calls == []


async def test_a_commit_of_sqlite_that_fails_announces_nothing(sqlite_path: str) -> None:
    database = SqliteDatabase(sqlite_path)
    await database.open()
    heard, ran = heard_by(database), []

    def unit(connection: Connection) -> None:
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        connection.execute(text("INSERT INTO key_roles VALUES ('key_none', 'role_none', 'ws_none')"))
        changed(connection, ONE)
        ran.append("to its end")

    with pytest.raises(Unavailable):
        await database.write(unit, ALL_WORKSPACES)
    assert (heard, ran) == ([], ["to its end"])
    await database.close()


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(postgres_url)
    await database.open()
    yield database
    await database.close()


async def test_a_unit_that_is_run_again_announces_what_it_said_the_last_time(
    postgres_database: PostgresDatabase,
) -> None:
    heard, runs = heard_by(postgres_database), [ONE, OTHER]

    def unit(connection: Connection) -> None:
        changed(connection, runs.pop(0))
        if runs:
            collision = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$"
            connection.execute(text(collision))

    await postgres_database.write(unit, ALL_WORKSPACES)
    assert (heard, runs) == ([OTHER], [])


async def test_a_commit_whose_answer_is_lost_is_announced_for_it_may_have_happened_and_is_not_repeated(
    postgres_database: PostgresDatabase,
) -> None:
    def break_commits(connection: Connection) -> None:
        for statement in (
            "CREATE TABLE fragile (id int)",
            "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER breaks AFTER INSERT ON fragile DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION hang_up()",
        ):
            connection.execute(text(statement))

    await postgres_database.write(break_commits, ALL_WORKSPACES)
    heard, runs = heard_by(postgres_database), 0

    def unit(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        connection.execute(text("INSERT INTO fragile VALUES (1)"))
        changed(connection, ONE)

    with pytest.raises(Unavailable):
        await postgres_database.write(unit, ALL_WORKSPACES)
    assert (heard, runs) == ([ONE], 1)
