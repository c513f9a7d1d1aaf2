"""Named limits of keys and identities; namespaces and their overrides."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table, UniqueConstraint

from latchwork.kernel.sql.schema import Id, Millis, Words, metadata

limit_rules = Table(
    "limit_rules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("subject_id", Id, nullable=False),  # a key or an identity
    Column("name", Id, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("auto_apply", Boolean, nullable=False),
    Column("algorithm", Id, nullable=False),
    Column("burst", BigInteger),
    Column("mode", Id, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    UniqueConstraint("subject_id", "name"),
)

namespaces = Table(
    "namespaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("deleted_at_ms", Millis),
    UniqueConstraint("workspace_id", "name"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("namespace_id", Id, ForeignKey("namespaces.id"), nullable=False),
    Column("identifier", Words, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("expires_at_ms", Millis),
    Column("reason", Words),
    Column("created_at_ms", Millis, nullable=False),
    Column("updated_at_ms", Millis),
    Column("deleted_at_ms", Millis),
    UniqueConstraint("namespace_id", "identifier"),
    Index("ix_overrides_namespace_id_id", "namespace_id", "id"),
)
