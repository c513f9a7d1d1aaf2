"""The tenants."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table

from latchwork.kernel.sql.schema import Id, Millis, Words, metadata

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Words, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("api_requests_per_minute", Integer),
    Column("operations_per_month", BigInteger),
    Column("logs_retention_days", Integer),
    Column("audit_retention_days", Integer),
    Column("log_drains", Integer),
    Column("created_at_ms", Millis, nullable=False),
)
