"""Jobs and their failures."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id, Json, Words

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("kind", Id, nullable=False),
        sa.Column("subject_id", Id, nullable=False),
        sa.Column("state", Id, nullable=False),
        sa.Column("actor", Json(), nullable=False),
        sa.Column("payload", Json(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", Words, nullable=True),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_jobs_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_state_due_at_ms", "jobs", ["state", "due_at_ms"])
    op.create_index("ix_jobs_workspace_id_state", "jobs", ["workspace_id", "state"])
    op.create_table(
        "job_failures",
        sa.Column("job_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("code", Id, nullable=False),
        sa.Column("detail", Words, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], ondelete="CASCADE", name=op.f("fk_job_failures_job_id")
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_job_failures")),
    )
