"""Identities: who the keys are for."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, text

from latchwork.kernel.sql.schema import Id, Json, Millis, Words, metadata
from latchwork.kernel.sql.search import searchable_columns

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
    Column(
        "search_text",
        Words,
        nullable=False,
        server_default="",
        default=searchable_columns("id", "external_id"),
    ),
    Column("search_row", BigInteger),  # its number in SQLite's index of trigrams, given by a trigger
    Index(
        "uq_identities_live_external_id",
        "workspace_id",
        "external_id",
        unique=True,
        sqlite_where=text("deleted_at_ms IS NULL"),
        postgresql_where=text("deleted_at_ms IS NULL"),
    ),
    Index(
        "ix_identities_live_search",
        "workspace_id",
        "id",
        "search_text",
        sqlite_where=text("deleted_at_ms IS NULL"),
        postgresql_where=text("deleted_at_ms IS NULL"),
    ),
    Index("ix_identities_search_row", "search_row", unique=True),
)
