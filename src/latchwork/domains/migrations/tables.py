"""Migrations, each one way in which another system hashed its keys."""

from sqlalchemy import Column, ForeignKey, Index, Table

from latchwork.kernel.sql.schema import Id, Millis, metadata

key_migrations = Table(
    "key_migrations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("algorithm", Id, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Index("ix_key_migrations_workspace_id_id", "workspace_id", "id"),
)
