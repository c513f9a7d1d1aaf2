"""What lists of keys need: indexes of live keys, when each was last used, and a text to search in."""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from latchwork.kernel.sql.schema import Id, Sequence, Words

revision = "0005"
down_revision = "0004"

_LIVE = sa.text("deleted_at_ms IS NULL")
_DELETED = sa.text("deleted_at_ms IS NOT NULL")
_INDEXES: dict[str, list[Any]] = {
    "ix_keys_live_keyspace_id_id": ["keyspace_id", "id"],
    "ix_keys_live_workspace_id_id": ["workspace_id", "id"],
    "ix_keys_live_workspace_id_enabled_id": ["workspace_id", "enabled", "id"],
    "ix_keys_live_workspace_id_name_id": ["workspace_id", sa.text("lower(coalesce(name, ''))"), "id"],
    "ix_keys_live_workspace_id_expiry_id": [
        "workspace_id",
        sa.text("coalesce(expires_at_ms, 9007199254740991)"),
        "id",
    ],
}
_FULL_TEXT = (
    # a list of rows for each trigram; which of them hold the text itself is seen in the rows
    "CREATE VIRTUAL TABLE key_search USING fts5(text, content='key_texts', content_rowid='seq',"
    " tokenize='trigram case_sensitive 1', detail=none, columnsize=0)",
    "CREATE TRIGGER key_search_added AFTER INSERT ON key_texts BEGIN"
    " INSERT INTO key_search(rowid, text) VALUES (new.seq, new.text); END",
    "CREATE TRIGGER key_search_removed AFTER DELETE ON key_texts BEGIN"
    " INSERT INTO key_search(key_search, rowid, text) VALUES ('delete', old.seq, old.text); END",
    "CREATE TRIGGER key_search_changed AFTER UPDATE OF text ON key_texts BEGIN"
    " INSERT INTO key_search(key_search, rowid, text) VALUES ('delete', old.seq, old.text);"
    " INSERT INTO key_search(rowid, text) VALUES (new.seq, new.text); END",
)
_LIVE_KEYS = (
    "SELECT keys.id, keys.workspace_id, keys.name, keys.start, identities.external_id FROM keys"
    " LEFT JOIN identities ON identities.id = keys.identity_id"
    " WHERE keys.deleted_at_ms IS NULL ORDER BY keys.id"
)

_log = logging.getLogger(__name__)


def upgrade() -> None:
    op.add_column("keys", sa.Column("byte_length", sa.Integer(), nullable=True))
    op.drop_index("ix_keys_keyspace_id_id", "keys")
    op.drop_index("ix_keys_identity_id", "keys")
    op.create_index("ix_keys_identity_id_id", "keys", ["identity_id", "id"])
    for name, columns in _INDEXES.items():
        op.create_index(name, "keys", columns, sqlite_where=_LIVE, postgresql_where=_LIVE)
    columns = ["keyspace_id", "id"]
    name = "ix_keys_deleted_keyspace_id_id"
    op.create_index(name, "keys", columns, sqlite_where=_DELETED, postgresql_where=_DELETED)
    _add_uses()
    _add_texts()


def _add_uses() -> None:
    op.create_table(
        "key_uses",
        sa.Column("key_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_uses")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO key_uses (key_id, workspace_id, used_at_ms)"
        " SELECT id, workspace_id, 0 FROM keys WHERE deleted_at_ms IS NULL"
    )
    order = ["workspace_id", "used_at_ms", "key_id"]
    op.create_index("ix_key_uses_workspace_id_used_at_ms_key_id", "key_uses", order)


def _add_texts() -> None:
    table = op.create_table(
        "key_texts",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("key_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("text", Words, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_key_texts")),
        sa.UniqueConstraint("key_id", name=op.f("uq_key_texts_key_id")),
    )
    connection = op.get_bind()
    for rows in connection.execute(sa.text(_LIVE_KEYS)).partitions(1000):
        connection.execute(sa.insert(table), [_text_of(row) for row in rows])
    if connection.dialect.name == "sqlite":
        for statement in _FULL_TEXT:
            op.execute(statement)
        op.execute("INSERT INTO key_search(key_search) VALUES ('rebuild')")
    else:
        _index_trigrams(connection)


def _text_of(row: sa.Row[Any]) -> dict[str, str]:
    words = (row.id, row.name or "", row.start, row.external_id or "")
    return {"key_id": row.id, "workspace_id": row.workspace_id, "text": "\x1f".join(words).casefold()}


def _index_trigrams(connection: sa.Connection) -> None:
    """Without pg_trgm a search is right all the same, but reads every text."""
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError:
        _log.warning(
            "PostgreSQL does not offer pg_trgm here, so that searches for keys will be slow. Once it does:"
            " CREATE EXTENSION pg_trgm; CREATE INDEX key_search ON key_texts USING gin (text gin_trgm_ops);"
        )
        return
    connection.execute(sa.text("CREATE INDEX key_search ON key_texts USING gin (text gin_trgm_ops)"))
