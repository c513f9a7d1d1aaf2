"""Portals and the sessions of their end users."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Digest, Id, Json, Words

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "portals",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("keyspace_id", Id, nullable=False),
        sa.Column("slug", Id, nullable=False),
        sa.Column("display_name", Words, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("logo_url", Words, nullable=True),
        sa.Column("primary_color", Id, nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_portals_workspace_id")),
        sa.ForeignKeyConstraint(["keyspace_id"], ["keyspaces.id"], name=op.f("fk_portals_keyspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portals")),
        sa.UniqueConstraint("keyspace_id", name=op.f("uq_portals_keyspace_id")),
        sa.UniqueConstraint("workspace_id", "slug", name=op.f("uq_portals_workspace_id_slug")),
    )
    op.create_table(
        "portal_sessions",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("portal_id", Id, nullable=False),
        sa.Column("external_id", Words, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("actions", Json(), nullable=False),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("return_url", Words, nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_portal_sessions_workspace_id")
        ),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name=op.f("fk_portal_sessions_portal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portal_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_portal_sessions_digest")),
    )
    op.create_index(
        "ix_portal_sessions_portal_id_external_id",
        "portal_sessions",
        ["portal_id", "external_id"],
        unique=False,
    )
    op.create_index("ix_portal_sessions_expires_at_ms", "portal_sessions", ["expires_at_ms"], unique=False)
