"""The second fence: what PostgreSQL shows and lets change, however little a statement asks."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from latchwork.compose import platform
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.directory.tables import key_uses
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.root_keys.tables import root_permissions
from latchwork.domains.workspaces import OPERATOR_ID
from latchwork.domains.workspaces.tables import workspaces
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase, metadata
from latchwork.kernel.sql.fence import spanning
from tests.engines.postgres import SUPERUSER, Postgres

assert platform  # with it every table is known
NOBODYS = {"changes", "transaction_lanes"}
"""Tables that hold of tenants no more than ids, which units of every workspace write."""
SEARCHED = {"key_texts", "identity_search_texts"}
"""Tables of texts, of which nothing is shown but what ids lead to: a policy would keep PostgreSQL from trigrams."""
FENCED = [table for table in metadata.sorted_tables if table.name not in NOBODYS | SEARCHED]
TENANTS = ("ws_acme", "ws_other")
ROOT = {"workspace_id": OPERATOR_ID, "keyspace_id": f"keyspaces {OPERATOR_ID}"}
SHARED = {"keyspaces", "key_counts"}
"""That root keys have a keyspace, and how many they are, every tenant may see: its units write there."""
OF_ROOT_KEYS = {"keys", "key_uses", "root_permissions"}


def value_of(column: Column[Any], owner: str, number: int) -> Any:
    """Something that the column takes, unlike that of any other owner; ids as rows of one owner refer to them."""
    if column.name == "workspace_id":
        return owner
    kind = column.type
    if isinstance(kind, BigInteger | Integer):
        return number
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, LargeBinary):
        return f"{column.table.name} {owner}".encode()
    meant = {"key_id": "keys", "keyspace_id": "keyspaces", "run_id": "import_runs"}.get(column.name)
    if column.table is workspaces and column.name == "id":
        return owner
    return f"{meant or column.table.name} {owner}"


def row_of(table: Table, owner: str, number: int) -> dict[str, Any]:
    needed = (each for each in table.columns if not each.nullable)
    return {each.name: value_of(each, owner, number) for each in needed}


def fill(connection: Connection) -> None:
    """A row of each table for each tenant and the operator, and a root key of each tenant."""
    connection.execute(text("SET session_replication_role = replica"))  # foreign keys are no matter here
    for number, owner in enumerate((*TENANTS, OPERATOR_ID), 1):
        for table in FENCED:
            connection.execute(insert(table).values(row_of(table, owner, number)))
    for number, owner in enumerate(TENANTS, 10):
        root = f"root {owner}"
        mine = {"id": root, "key_id": root, "for_workspace_id": owner, "seq": number}
        for table in (keys, key_uses, root_permissions):
            row = row_of(table, owner, number) | ROOT | mine | {"digest": root.encode()}
            connection.execute(insert(table).values({c.name: row[c.name] for c in table.c if c.name in row}))


@pytest.fixture
async def db(postgres: Postgres, postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    """A database with something of everybody's in each table."""
    name = make_url(postgres_url).database or ""
    above = make_url(postgres.url(name, SUPERUSER)).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(above)
    async with engine.begin() as connection:
        await connection.run_sync(fill)
    await engine.dispose()
    opened = PostgresDatabase(postgres_url)
    await opened.open()
    yield opened
    await opened.close()


def everything(connection: Connection) -> dict[str, list[str]]:
    """What statements that forget to say whose rows they want are shown, by table."""
    return {table.name: sorted(map(repr, connection.execute(select(table)).all())) for table in FENCED}


def counts(shown: dict[str, list[str]]) -> set[int]:
    return {len(rows) for rows in shown.values()}


async def test_every_table_of_a_tenant_is_fenced_in(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)"
    )
    await connection.close()
    assert {row["relname"] for row in rows} == NOBODYS | SEARCHED | {"alembic_version"}


async def test_the_owner_of_the_tables_who_says_nothing_sees_nothing(
    db: PostgresDatabase, postgres_url: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    found = [await connection.fetchval(f"SELECT count(*) FROM {table.name}") for table in FENCED]
    await connection.close()
    assert found == [0] * len(FENCED)
    async with db.transaction("READ COMMITTED", "") as nobodys:
        assert counts(await nobodys.run_sync(everything)) == {0}


async def test_a_unit_sees_what_is_its_workspaces_and_no_more(db: PostgresDatabase) -> None:
    everybodys = await db.read(everything, ALL_WORKSPACES)
    assert min(counts(everybodys)) == 3
    for tenant in TENANTS:
        for name, rows in (await db.read(everything, tenant)).items():
            if name == "credit_journal":  # a row is of several workspaces
                assert rows == [], name
                continue
            of_all = OPERATOR_ID if name in SHARED else tenant
            assert rows == [row for row in everybodys[name] if tenant in row or of_all in row], name
            assert len(rows) == (2 if name in SHARED | OF_ROOT_KEYS else 1), name


async def test_a_root_key_is_shown_to_the_workspace_for_which_it_acts(db: PostgresDatabase) -> None:
    shown = await db.read(everything, TENANTS[0])
    assert all(f"root {TENANTS[0]}" in "".join(shown[name]) for name in OF_ROOT_KEYS)


async def test_what_a_unit_forgets_to_condition_changes_nothing_of_others(db: PostgresDatabase) -> None:
    def delete_all(connection: Connection) -> None:
        for table in reversed(FENCED):
            if table not in (audit_log, workspaces):  # the log guards itself, and what it refers to
                connection.execute(delete(table))

    before = await db.read(everything, TENANTS[1])
    await db.write(delete_all, TENANTS[0])
    after = await db.read(everything, TENANTS[1])
    assert [name for name in before if after[name] != before[name] and name != "key_counts"] == []
    assert len(after["keyspaces"]) == 2


async def test_a_unit_can_make_no_row_of_another_workspace(db: PostgresDatabase) -> None:
    for table in FENCED:
        row = row_of(table, TENANTS[1], 77)
        with pytest.raises(Unavailable) as refused:
            await db.write(lambda c, t=table, r=row: c.execute(insert(t).values(r)), TENANTS[0])  # type: ignore[misc]
        assert "row-level security" in str(refused.value.private), table.name


async def test_what_a_transaction_may_see_ends_with_it(db: PostgresDatabase) -> None:
    for workspace_id in (ALL_WORKSPACES, TENANTS[0], TENANTS[1], TENANTS[0]):
        found = await db.read(lambda c: c.scalars(select(apis.c.workspace_id)).all(), workspace_id)
        assert len(found) == (3 if workspace_id == ALL_WORKSPACES else 1)
        async with db.transaction("READ COMMITTED", "") as nobodys:
            assert await nobodys.scalar(select(func.count()).select_from(apis)) == 0


@pytest.mark.parametrize("odd", ["", "'", "\\'", "ws_acme'; SET latchwork.workspace_id = '*", "**", "\0"])
async def test_what_is_no_id_of_a_workspace_shows_nothing(db: PostgresDatabase, odd: str) -> None:
    assert counts(await db.read(everything, odd)) == {0}


async def test_a_question_may_span_workspaces_and_the_unit_goes_on_in_its_own(db: PostgresDatabase) -> None:
    def seen(connection: Connection) -> Sequence[str]:
        return connection.scalars(select(apis.c.workspace_id).order_by(apis.c.workspace_id)).all()

    def unit(connection: Connection) -> list[Sequence[str]]:
        found = [seen(connection)]
        with spanning(connection):
            found.append(seen(connection))
        with pytest.raises(LookupError), spanning(connection):
            raise LookupError
        return [*found, seen(connection)]

    assert await db.write(unit, TENANTS[0]) == [
        [TENANTS[0]],
        [TENANTS[0], OPERATOR_ID, TENANTS[1]],
        [TENANTS[0]],
    ]


async def test_upkeep_on_a_connection_of_its_own_sees_everything(db: PostgresDatabase) -> None:
    link = await db.link()
    assert await link.driver.fetchval("SELECT count(*) FROM apis") == 3
    await link.drop()


@pytest.mark.parametrize(
    ("table", "order", "condition"),
    [
        ("keys", "name_order", "name_order > 'a' AND deleted_at_ms IS NULL"),
        ("keys", "expiry_order", "expiry_order > 5 AND deleted_at_ms IS NULL"),
        ("key_uses", "used_at_ms", "used_at_ms > 5"),
        ("key_texts", "", "text ~~ '%abcdef%'"),
        ("identity_search_texts", "", "text ~~ '%abcdef%'"),
    ],
)
async def test_lists_and_searches_are_answered_by_an_index_behind_the_fence(
    db: PostgresDatabase, table: str, order: str, condition: str
) -> None:
    """Were a condition one that could tell of foreign rows, it would be held against each row of all workspaces."""

    def plan(connection: Connection) -> list[str]:
        for unwanted in ("enable_seqscan", "enable_sort"):
            connection.execute(text(f"SET LOCAL {unwanted} = off"))
        asked = f"EXPLAIN SELECT * FROM {table} WHERE workspace_id = 'ws_acme' AND {condition}"
        return list(connection.scalars(text(f"{asked} ORDER BY {order}" if order else asked)))

    conditions = [line for line in await db.read(plan, TENANTS[0]) if "Index Cond" in line]
    assert any(" ".join(condition.split()[:2]) in line for line in conditions), conditions
