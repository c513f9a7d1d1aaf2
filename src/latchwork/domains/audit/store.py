"""Writing and checking the audit log."""

from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from latchwork.domains.audit.records import Break, Entry
from latchwork.domains.audit.rules import GENESIS, link
from latchwork.domains.audit.tables import audit_heads, audit_log
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql.statements import OF, updating

_ADD = insert(audit_log)
_HEAD = (
    select(audit_heads.c.seq, audit_heads.c.digest)
    .where(audit_heads.c.workspace_id == bindparam("workspace_id"))
    .with_for_update()
)
_MOVE = updating(audit_heads.c.workspace_id, ("seq", "digest"))


def record(connection: Connection, who: Principal, now_ms: int, *entries: Entry) -> None:
    """Append `entries` to the chain of the caller's workspace, in the caller's unit of work."""
    seq, digest = _head(connection, who.workspace_id)
    rows: list[dict[str, Any]] = []
    for entry in entries:
        row = _row(who, now_ms, entry, seq + len(rows) + 1)
        row["previous_digest"], digest = digest, link(digest, row)
        row["digest"] = digest
        rows.append(row)
    connection.execute(_ADD, rows)
    _move_head(connection, who.workspace_id, seq, seq + len(rows), digest)


def _head(connection: Connection, workspace_id: str) -> tuple[int, bytes]:
    found = connection.execute(_HEAD, {"workspace_id": workspace_id}).one_or_none()
    return (0, GENESIS) if found is None else (found.seq, found.digest)


def _move_head(connection: Connection, workspace_id: str, old: int, new: int, digest: bytes) -> None:
    if old == 0:
        connection.execute(insert(audit_heads).values(workspace_id=workspace_id, seq=new, digest=digest))
        return
    connection.execute(_MOVE, {OF: workspace_id, "seq": new, "digest": digest})


def _row(who: Principal, now_ms: int, entry: Entry, seq: int) -> dict[str, Any]:
    return {
        "workspace_id": who.workspace_id,
        "seq": seq,
        "id": new_id("log"),
        "time_ms": now_ms,
        "event": entry.event,
        "display": entry.display,
        "actor": {"type": who.subject_type, "id": who.subject_id, "name": who.subject_name},
        "remote_ip": who.remote_ip,
        "user_agent": who.user_agent,
        "correlation_id": who.request_id,
        "resources": [resource.wire() for resource in entry.resources],
    }


def first_break(connection: Connection, workspace_id: str) -> Break | None:
    """The first row that was changed, removed, inserted or reordered; `None` when the chain holds."""
    seq, digest = 0, GENESIS
    rows = connection.execute(
        select(audit_log).where(audit_log.c.workspace_id == workspace_id).order_by(audit_log.c.seq)
    ).mappings()
    for row in rows:
        seq += 1
        if row["seq"] != seq:
            return Break(seq, f"row {seq} is missing")
        if row["previous_digest"] != digest or row["digest"] != link(digest, dict(row)):
            return Break(seq, f"row {seq} does not match its digest")
        digest = row["digest"]
    head_seq, head_digest = _head(connection, workspace_id)
    if (head_seq, head_digest) != (seq, digest):
        return Break(seq + 1, f"the log ends at row {seq}, its head says {head_seq}")
    return None
