"""The audit chain: whatever is changed in the log behind our back is found."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database

ROWS = 6


def _record(workspace_id: str, entry: audit.Entry, connection: Connection) -> None:
    audit.record(connection, operator(workspace_id), 5, entry)


async def _filled(database: Database) -> str:
    workspace = await Workspaces(database, ManualClock()).create("acme")
    for number in range(ROWS - 1):
        entry = audit.Entry("key.create", f"Created {number}", (audit.Resource("key", f"key_{number}"),))
        await database.write(partial(_record, workspace.id, entry), ALL_WORKSPACES)
    return workspace.id


async def test_an_untouched_chain_holds(database: Database) -> None:
    workspace_id = await _filled(database)
    assert await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES) is None


@pytest.mark.parametrize("deed", ["UPDATE audit_log SET display = 'x'", "DELETE FROM audit_log"])
async def test_the_database_itself_refuses_to_change_the_log(database: Database, deed: str) -> None:
    workspace_id = await _filled(database)
    with pytest.raises(Exception) as refused:
        await database.write(lambda c: c.execute(text(deed)), ALL_WORKSPACES)
    assert "can only grow" in f"{refused.value} {getattr(refused.value, 'private', '')}"
    assert await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES) is None
    assert await database.read(lambda c: len(c.execute(audit_log.select()).all()), ALL_WORKSPACES) == ROWS


def _unguard(connection: Connection) -> None:
    """As somebody does who owns the database."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        return
    for deed in ("update", "delete"):
        connection.execute(text(f"DROP TRIGGER audit_log_no_{deed}"))


def _change(connection: Connection, seq: int) -> None:
    connection.execute(update(audit_log).where(audit_log.c.seq == seq).values(display="another"))


def _remove(connection: Connection, seq: int) -> None:
    connection.execute(delete(audit_log).where(audit_log.c.seq == seq))


def _swap(connection: Connection, seq: int) -> None:
    other = seq % ROWS + 1
    for old, new in ((seq, 100), (other, seq), (100, other)):
        connection.execute(update(audit_log).where(audit_log.c.seq == old).values(seq=new))


def _truncate(connection: Connection, seq: int) -> None:
    connection.execute(delete(audit_log).where(audit_log.c.seq >= seq))


def _append(connection: Connection, seq: int) -> None:
    row: Any = connection.execute(audit_log.select().where(audit_log.c.seq == seq)).mappings().one()
    connection.execute(insert(audit_log).values(dict(row) | {"seq": ROWS + 1, "id": "log_forged"}))


@pytest.mark.parametrize("tamper", [_change, _remove, _swap, _truncate, _append])
@pytest.mark.parametrize("seq", [1, 3, ROWS])
async def test_tampering_is_found(
    database: Database, tamper: Callable[[Connection, int], None], seq: int
) -> None:
    workspace_id = await _filled(database)
    await database.write(_unguard, ALL_WORKSPACES)
    await database.write(lambda c: tamper(c, seq), ALL_WORKSPACES)
    assert await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES) is not None
