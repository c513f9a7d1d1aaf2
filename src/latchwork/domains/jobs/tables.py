"""Jobs, and the items of them that failed."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table

from latchwork.kernel.sql.schema import Id, Json, Millis, Words, metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("kind", Id, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("state", Id, nullable=False),
    Column("actor", Json, nullable=False),  # on whose behalf, for the audit log
    Column("payload", Json),  # removed when the job is over
    Column("total", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Words),
    Column("due_at_ms", Millis, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("started_at_ms", Millis),
    Column("finished_at_ms", Millis),
    Index("ix_jobs_state_due_at_ms", "state", "due_at_ms"),
    Index("ix_jobs_workspace_id_state", "workspace_id", "state"),
)

job_failures = Table(
    "job_failures",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("workspace_id", Id, nullable=False),
    Column("code", Id, nullable=False),
    Column("detail", Words, nullable=False),
)
