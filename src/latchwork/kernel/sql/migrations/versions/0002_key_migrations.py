"""Migrations of keys that were issued elsewhere."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "key_migrations",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("algorithm", Id, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_key_migrations_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_migrations")),
    )
    op.create_index("ix_key_migrations_workspace_id_id", "key_migrations", ["workspace_id", "id"])
    op.add_column("keys", sa.Column("pending_migration_id", Id, nullable=True))
