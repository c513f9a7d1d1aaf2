"""Recoverable keys; when a refill is due; holds of a key and its identity."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("sealed_by", Id, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_data_keys_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_data_keys")),
    )
    op.create_index("ix_data_keys_sealed_by", "data_keys", ["sealed_by"], unique=False)
    op.create_table(
        "recoverable_keys",
        sa.Column("key_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name=op.f("fk_recoverable_keys_key_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_recoverable_keys")),
    )
    op.add_column("credit_balances", sa.Column("refill_due_at_ms", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_credit_balances_refill_due_at_ms", "credit_balances", ["refill_due_at_ms"], unique=False
    )
    # refills that were set before there were any have never happened: they are due
    op.execute("UPDATE credit_balances SET refill_due_at_ms = 0 WHERE refill_amount IS NOT NULL")
    op.add_column("credit_holds", sa.Column("identity_id", Id, nullable=True))
