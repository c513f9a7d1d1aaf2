"""When keys were last used, and what searches for them look into."""

from sqlalchemy import Column, Index, Table

from latchwork.kernel.sql.schema import Id, Millis, Sequence, Words, metadata

key_uses = Table(
    "key_uses",
    metadata,
    Column("key_id", Id, primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Column("used_at_ms", Millis, nullable=False),  # 0: never
    Index("ix_key_uses_workspace_id_used_at_ms_key_id", "workspace_id", "used_at_ms", "key_id"),
    sqlite_with_rowid=False,
)

# An index of the texts' trigrams, `key_search`, is in the migration that made it: FTS5 on SQLite, kept up by
# triggers, and pg_trgm on PostgreSQL.
key_texts = Table(
    "key_texts",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("key_id", Id, nullable=False, unique=True),
    Column("workspace_id", Id, nullable=False),
    Column("text", Words, nullable=False),  # folded
)
