"""The tenants."""

from sqlalchemy import Boolean, Column, Integer, Table

from latchwork.kernel.sql.schema import Id, Millis, Words, metadata

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Words, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("api_requests_per_minute", Integer),
    Column("created_at_ms", Millis, nullable=False),
)
