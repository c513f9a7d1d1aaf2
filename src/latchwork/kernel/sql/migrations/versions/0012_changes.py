"""What was changed, for the caches of other nodes."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id, Sequence

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("txid", sa.BigInteger(), nullable=False),
        sa.Column("node", Id, nullable=False),
        sa.Column("tags", sa.LargeBinary(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
    )
    op.create_index("ix_changes_txid", "changes", ["txid"])
