"""What rows of the audit log are found by says the same as they do: who takes it away hides rows from who looks."""

from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert

from latchwork.domains import audit
from latchwork.domains.audit import Break, store
from latchwork.domains.audit.tables import audit_terms
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

ROWS = 2_100  # of more than two chunks


@pytest.fixture
async def workspace_id(database: Database) -> str:
    """Of a workspace whose rows are of a key each, of one API, and of themselves twice."""
    workspace = await Workspaces(database, ManualClock()).create("acme")
    entries = [audit.Entry("key.create", "Created a key", _resources(seq)) for seq in range(2, ROWS + 1)]
    await database.write(lambda c: audit.record(c, operator(workspace.id), 5, *entries), ALL_WORKSPACES)
    return workspace.id


def _resources(seq: int) -> tuple[audit.Resource, ...]:
    own = audit.Resource("key", f"key_{seq}", 'say "ü\\"', {"id": "of another"})
    return own, own, audit.Resource("api", "api_Ä:'\"\\\n☃", None)


async def broken(database: Database, workspace_id: str) -> Break | None:
    return await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES)


async def change(database: Database, deed: Any) -> None:
    def unit(connection: Connection) -> None:
        connection.execute(deed)

    await database.write(unit, ALL_WORKSPACES)


async def test_what_the_database_keeps_of_rows_is_what_they_say(
    database: Database, workspace_id: str
) -> None:
    assert await broken(database, workspace_id) is None


@pytest.mark.parametrize("term", ["id:key_1500", "id:api_Ä:'\"\\\n☃", "type:key", "actor:operator"])
async def test_a_row_that_is_hidden_is_told(database: Database, workspace_id: str, term: str) -> None:
    terms = audit_terms.c
    mine = (terms.workspace_id == workspace_id) & (terms.term == term) & (terms.seq >= 1_500)
    await change(database, delete(audit_terms).where(mine))
    assert await broken(database, workspace_id) == Break(1_500, "row 1500 is not found by what it says")


async def test_a_log_without_any_is_told_from_its_first_row(database: Database, workspace_id: str) -> None:
    await change(database, delete(audit_terms))
    checked = await database.read(lambda c: store.checked(c, workspace_id), ALL_WORKSPACES)
    assert (checked.rows, checked.digest) == (0, "00" * 32)
    assert checked.broken == Break(1, "row 1 is not found by what it says")


@pytest.mark.parametrize(
    ("term", "reason"),
    [("id:key_1501", "not found by what it says"), ("id:key_nobody", "found by what it does not say")],
    ids=["of a row beside it", "of none"],
)
async def test_a_row_that_is_found_by_what_it_does_not_say_is_told(
    database: Database, workspace_id: str, term: str, reason: str
) -> None:
    stray = {"workspace_id": workspace_id, "term": term, "seq": 1_500}
    await change(database, insert(audit_terms).values(stray))
    assert await broken(database, workspace_id) == Break(1_500, f"row 1500 is {reason}")
