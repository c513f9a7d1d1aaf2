"""What root keys may do; the keys themselves are in the table of keys."""

from sqlalchemy import Column, ForeignKey, Table

from latchwork.kernel.sql.schema import Id, Words, metadata

root_permissions = Table(
    "root_permissions",
    metadata,
    Column("key_id", Id, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("permission", Words, primary_key=True),
)
