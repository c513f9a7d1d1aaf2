"""Portals and the sessions of their end users."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, UniqueConstraint

from latchwork.kernel.sql.schema import Digest, Id, Json, Millis, Words, metadata

portals = Table(
    "portals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("keyspace_id", Id, ForeignKey("keyspaces.id"), nullable=False, unique=True),
    Column("slug", Id, nullable=False),
    Column("display_name", Words, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("logo_url", Words),
    Column("primary_color", Id),
    Column("created_at_ms", Millis, nullable=False),
    Column("updated_at_ms", Millis),
    UniqueConstraint("workspace_id", "slug"),
)

portal_sessions = Table(
    "portal_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("portal_id", Id, ForeignKey("portals.id", ondelete="CASCADE"), nullable=False),
    Column("external_id", Words, nullable=False),
    Column(
        "digest", Digest, nullable=False, unique=True
    ),  # of the code until it is opened, then of the token
    Column("scopes", Json, nullable=False),
    Column("actions", Json, nullable=False),
    Column("preview", Boolean, nullable=False),
    Column("return_url", Words),
    Column("created_at_ms", Millis, nullable=False),
    Column("expires_at_ms", Millis, nullable=False),
    Column("opened_at_ms", Millis),
    Index("ix_portal_sessions_portal_id_external_id", "portal_id", "external_id"),
    Index("ix_portal_sessions_expires_at_ms", "expires_at_ms"),
)
