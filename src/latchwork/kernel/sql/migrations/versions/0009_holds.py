"""Holds say for whom they are and who pays. Nothing could make one before, so there are none to keep."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.drop_table("credit_holds")
    op.create_table(
        "credit_holds",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("subject_id", Id, nullable=False),
        sa.Column("payer_id", Id, nullable=False),
        sa.Column("other_payer_id", Id, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_credit_holds_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_holds")),
    )
    op.create_index("ix_credit_holds_expires_at_ms", "credit_holds", ["expires_at_ms"], unique=False)
