"""Identities: who the keys are for."""

from sqlalchemy import Column, ForeignKey, Index, Table, text

from latchwork.kernel.sql.schema import Id, Json, Millis, metadata

identities = Table(
    "identities",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("external_id", Id, nullable=False),
    Column("meta", Json, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("updated_at_ms", Millis),
    Column("deleted_at_ms", Millis),
    Index(
        "uq_identities_live_external_id",
        "workspace_id",
        "external_id",
        unique=True,
        sqlite_where=text("deleted_at_ms IS NULL"),
        postgresql_where=text("deleted_at_ms IS NULL"),
    ),
    Index("ix_identities_workspace_id_id", "workspace_id", "id"),
)
