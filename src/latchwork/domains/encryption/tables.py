"""Data keys: one a workspace, sealed by the operator's key."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table

from latchwork.kernel.sql.schema import Id, Millis, metadata

data_keys = Table(
    "data_keys",
    metadata,
    Column("workspace_id", Id, ForeignKey("workspaces.id"), primary_key=True),
    Column("sealed_by", Id, nullable=False),  # the id of the operator's key
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Index("ix_data_keys_sealed_by", "sealed_by"),
)
