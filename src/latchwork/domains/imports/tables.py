"""Imports, what became of their rows, and what they created besides keys."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table

from latchwork.kernel.sql.schema import Id, Millis, Words, metadata

import_runs = Table(
    "import_runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("api_id", Id, ForeignKey("apis.id"), nullable=False),
    Column("migration_id", Id),
    Column("source", Id, nullable=False),
    Column("fingerprint", Id, nullable=False),
    Column("state", Id, nullable=False),
    Column("position", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("present", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("finished_at_ms", Millis),
    Index("ix_import_runs_workspace_id_id", "workspace_id", "id"),
)

import_rows = Table(
    "import_rows",
    metadata,
    Column("run_id", Id, ForeignKey("import_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),  # among the rows of the file, from 0
    Column("workspace_id", Id, nullable=False),
    Column("line", Integer, nullable=False),
    Column("outcome", Id, nullable=False),
    Column("key_id", Id),
    Column("field", Words),
    Column("detail", Words),
    Index("ix_import_rows_run_id_outcome_position", "run_id", "outcome", "position"),
)

import_creations = Table(
    "import_creations",
    metadata,
    Column("run_id", Id, ForeignKey("import_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Id, primary_key=True),
    Column("noun", Id, nullable=False),  # identity, permission or role
)
