"""SQLite's writer: groups commit together, and what fails fails alone."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, TextClause, text

from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, SqliteDatabase
from latchwork.kernel.sql.database import Unit

ADD: TextClause = text("INSERT INTO words (word) VALUES (:word)")


@pytest.fixture
async def opened(sqlite_path: Path) -> SqliteDatabase:
    database = SqliteDatabase(sqlite_path)
    await database.open()
    await database.write(
        lambda c: c.execute(text("CREATE TABLE words (word TEXT PRIMARY KEY)")), ALL_WORKSPACES
    )
    return database


def _add(word: str) -> Unit[Any]:
    return lambda connection: connection.execute(ADD, {"word": word})


async def _words(database: SqliteDatabase) -> list[str]:
    return await database.read(
        lambda c: sorted(c.execute(text("SELECT word FROM words")).scalars()), ALL_WORKSPACES
    )


async def _appended(database: SqliteDatabase, *words: str) -> list[Exception | None]:
    append = database.appender(ADD)
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[Exception | None]] = [loop.create_future() for _ in words]
    for word, future in zip(words, futures, strict=True):
        append((word,), future.set_result)
    return await asyncio.gather(*futures)


def _fail(connection: Connection) -> None:
    _add("half")(connection)
    raise LookupError("of its own")


async def test_a_unit_that_fails_among_others_fails_alone(opened: SqliteDatabase) -> None:
    units = [_add("a"), _fail, _add("a"), _add("b")]
    outcomes = await asyncio.gather(
        *(opened.write(unit, ALL_WORKSPACES) for unit in units), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [
        LookupError,
        Unavailable,
    ]
    assert await _words(opened) == ["a", "b"]
    await opened.close()


async def test_a_unit_that_fails_by_itself_leaves_nothing(opened: SqliteDatabase) -> None:
    with pytest.raises(LookupError):
        await opened.write(_fail, ALL_WORKSPACES)
    assert await _words(opened) == []
    await opened.close()


async def test_appends_are_durable_one_by_one(opened: SqliteDatabase) -> None:
    assert await _appended(opened, "a") == [None]
    outcomes = await _appended(opened, "b", "a", "c")
    assert [type(outcome) for outcome in outcomes] == [type(None), Unavailable, type(None)]
    assert await _words(opened) == ["a", "b", "c"]
    await opened.close()


async def test_when_sqlite_gives_up_a_group_none_of_it_happened(opened: SqliteDatabase) -> None:
    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    units: list[Unit[Any]] = [_add("a"), give_up, _add("b")]
    outcomes = await asyncio.gather(
        *(opened.write(unit, ALL_WORKSPACES) for unit in [_add("first"), *units]), return_exceptions=True
    )
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes[1:])
    assert set(await _words(opened)) <= {"first"}
    await opened.write(_add("later"), ALL_WORKSPACES)
    assert "later" in await _words(opened)
    await opened.close()


async def test_what_was_queued_before_the_close_still_happens(opened: SqliteDatabase) -> None:
    waiting = [asyncio.ensure_future(opened.write(_add(word), ALL_WORKSPACES)) for word in "abc"]
    await asyncio.sleep(0)
    await opened.close()
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable):
        await opened.write(_add("late"), ALL_WORKSPACES)
    await opened.open()
    assert await _words(opened) == ["a", "b", "c"]
    await opened.close()


async def test_a_cancelled_writer_does_not_stop_the_write(opened: SqliteDatabase) -> None:
    task = asyncio.ensure_future(opened.write(_add("a"), ALL_WORKSPACES))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await opened.write(_add("b"), ALL_WORKSPACES)
    assert await _words(opened) == ["a", "b"]
    await opened.close()


async def test_a_database_that_was_never_opened_says_so(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "never.db")
    with pytest.raises(Unavailable):
        await database.write(_add("a"), ALL_WORKSPACES)
    await database.close()
