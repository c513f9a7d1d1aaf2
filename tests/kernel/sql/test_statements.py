"""Statements that are built once, on both databases."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text, create_engine, select

from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.statements import OF, among, updating

things = Table("things", MetaData(), Column("id", Text, primary_key=True), Column("name", Text))
NAMES = ["plain", 'with "quotes"', "with 'others'", "a,b", "ü€😀", "", "{}", "null"]
BY_ID = select(things.c.name).where(among(things.c.id)).order_by(things.c.name)


@pytest.mark.parametrize("asked", [[], NAMES[:1], NAMES, [*NAMES, "unknown"], NAMES * 500])
async def test_among_finds_every_text_of_the_list_and_no_other(database: Database, asked: list[str]) -> None:
    def unit(connection: Connection) -> list[str]:
        things.create(connection)
        connection.execute(things.insert(), [{"id": name, "name": name} for name in [*NAMES, "never"]])
        return list(connection.execute(BY_ID, {"among": asked}).scalars())

    assert sorted(await database.write(unit, ALL_WORKSPACES)) == sorted(set(asked) & set(NAMES))


async def test_a_list_is_looked_up_by_an_index(sqlite_path: Path) -> None:
    statement = str(BY_ID.compile(dialect=create_engine("sqlite://").dialect))
    connection = sqlite3.connect(sqlite_path)
    connection.execute("CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT)")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("[]",)).fetchall()
    connection.close()
    assert any("SEARCH things USING INDEX" in step[3] for step in plan), plan


async def test_updating_changes_the_named_columns_of_one_row(database: Database) -> None:
    def unit(connection: Connection) -> dict[str, str]:
        things.create(connection)
        connection.execute(things.insert(), [{"id": "a", "name": "old"}, {"id": "b", "name": "old"}])
        connection.execute(updating(things.c.id, ("name",)), {OF: "a", "name": "new"})
        return {row.id: row.name for row in connection.execute(select(things))}

    assert await database.write(unit, ALL_WORKSPACES) == {"a": "new", "b": "old"}
