"""Changing the audit log behind our back, as somebody would who owns the database and knows how."""

from typing import Any

from sqlalchemy import Connection, delete, insert, text, update

from latchwork.domains.audit.rules import GENESIS, link
from latchwork.domains.audit.tables import audit_heads, audit_log


def rows_of(connection: Connection, workspace_id: str) -> list[dict[str, Any]]:
    """Every row of a workspace, in order."""
    mine = audit_log.select().where(audit_log.c.workspace_id == workspace_id).order_by(audit_log.c.seq)
    return [dict(row) for row in connection.execute(mine).mappings()]


def unguard(connection: Connection) -> None:
    """Let rows be changed and deleted."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
        return
    for deed in ("update", "delete"):
        connection.execute(text(f"DROP TRIGGER IF EXISTS audit_log_no_{deed}"))


def rewrite(connection: Connection, workspace_id: str, last: int, display: str | None) -> None:
    """Write the chain anew up to a row, head and all: what only a seal can find."""
    rows = rows_of(connection, workspace_id)[:last]
    connection.execute(delete(audit_log).where(audit_log.c.workspace_id == workspace_id))
    digest = GENESIS
    for row in rows:
        row["display"] = display or row["display"]
        row["previous_digest"], digest = digest, link(digest, row)
        row["digest"] = digest
        connection.execute(insert(audit_log).values(row))
    head = update(audit_heads).where(audit_heads.c.workspace_id == workspace_id)
    connection.execute(head.values(seq=last, digest=digest))
