"""The audit log, a hash chain per workspace, and the head of each chain."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table

from latchwork.kernel.sql.schema import Digest, Id, Json, Millis, Words, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("workspace_id", Id, ForeignKey("workspaces.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Id, nullable=False, unique=True),
    Column("time_ms", Millis, nullable=False),
    Column("event", Id, nullable=False),
    Column("display", Words, nullable=False),
    Column("actor", Json, nullable=False),
    Column("remote_ip", Words, nullable=False),
    Column("user_agent", Words, nullable=False),
    Column("correlation_id", Id, nullable=False),
    Column("resources", Json, nullable=False),
    Column("previous_digest", Digest, nullable=False),
    Column("digest", Digest, nullable=False),
    Index("ix_audit_log_workspace_id_time_ms", "workspace_id", "time_ms"),
    Index("ix_audit_log_workspace_id_correlation_id", "workspace_id", "correlation_id"),
    Index("ix_audit_log_workspace_id_event_seq", "workspace_id", "event", "seq"),
)

# By whom a row is and of what: `actor:<id>`, `id:<id>` and `type:<type>` of its resources. Kept by triggers, which
# the migration that made it has: nodes of older versions write rows too.
audit_terms = Table(
    "audit_terms",
    metadata,
    Column("workspace_id", Id, primary_key=True),
    Column("term", Words, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("workspace_id", Id, ForeignKey("workspaces.id"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("digest", Digest, nullable=False),
)
