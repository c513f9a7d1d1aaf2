"""Imports, what became of their rows, and what they created."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id, Words

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "import_runs",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("api_id", Id, nullable=False),
        sa.Column("migration_id", Id, nullable=True),
        sa.Column("source", Id, nullable=False),
        sa.Column("fingerprint", Id, nullable=False),
        sa.Column("state", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("present", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["api_id"], ["apis.id"], name=op.f("fk_import_runs_api_id")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_import_runs_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_runs")),
    )
    op.create_index("ix_import_runs_workspace_id_id", "import_runs", ["workspace_id", "id"])
    op.create_table(
        "import_rows",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("outcome", Id, nullable=False),
        sa.Column("key_id", Id, nullable=True),
        sa.Column("field", Words, nullable=True),
        sa.Column("detail", Words, nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["import_runs.id"], ondelete="CASCADE", name=op.f("fk_import_rows_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_import_rows")),
    )
    op.create_index(
        "ix_import_rows_run_id_outcome_position", "import_rows", ["run_id", "outcome", "position"]
    )
    op.create_table(
        "import_creations",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("noun", Id, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["import_runs.id"], ondelete="CASCADE", name=op.f("fk_import_creations_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "id", name=op.f("pk_import_creations")),
    )
