"""Texts to search in permissions, roles and identities, and what finds them quickly."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Words
from latchwork.kernel.sql.search import searchable

revision = "0006"
down_revision = "0005"

_FIELDS = {
    "permissions": ("id", "slug", "name", "description"),
    "roles": ("id", "name", "description"),
    "identities": ("id", "external_id"),
}
_LIVE = sa.text("deleted_at_ms IS NULL")


def upgrade() -> None:
    for table in _FIELDS:
        op.add_column(table, sa.Column("search_text", Words, nullable=False, server_default=""))
    op.add_column("identities", sa.Column("search_row", sa.BigInteger(), nullable=True))
    _fill()
    for table in ("permissions", "roles"):
        op.add_column(table, sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True))
        op.create_index(f"ix_{table}_workspace_id_id", table, ["workspace_id", "id"], unique=False)
    op.drop_index("ix_identities_workspace_id_id", "identities")
    op.create_index(
        "ix_identities_live_search",
        "identities",
        ["workspace_id", "id", "search_text"],
        unique=False,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    op.create_index("ix_identities_search_row", "identities", ["search_row"], unique=True)
    if op.get_bind().dialect.name == "sqlite":
        _trigrams_of_sqlite()
    else:
        _trigrams_of_postgres()


def _fill() -> None:
    connection = op.get_bind()
    for name, fields in _FIELDS.items():
        table = sa.table(name, *(sa.column(field) for field in (*fields, "search_text")))
        fill = sa.update(table).where(table.c.id == sa.bindparam("row"))
        fill = fill.values(search_text=sa.bindparam("text"))
        rows = connection.execute(sa.select(*(table.c[field] for field in fields))).all()
        texts = [{"row": row[0], "text": searchable(*row)} for row in rows]
        if texts:
            connection.execute(fill, texts)


def _trigrams_of_sqlite() -> None:
    """An FTS5 table that holds no text itself, kept in step with the live identities by triggers.

    Its rows are numbered in the order of ids, so that a search can stop early; an id that is added too
    late for its place gets a number below zero.
    """
    forget = (
        "INSERT INTO identity_search(identity_search, rowid, search_text)"
        " VALUES ('delete', old.search_row, old.search_text)"
    )
    for statement in (
        "UPDATE identities SET search_row = n FROM"
        " (SELECT id AS numbered, row_number() OVER (ORDER BY id) AS n FROM identities) WHERE id = numbered",
        "CREATE VIRTUAL TABLE identity_search USING fts5("
        "search_text, content='', columnsize=0, detail='none', tokenize='trigram case_sensitive 1')",
        "INSERT INTO identity_search(rowid, search_text)"
        " SELECT search_row, search_text FROM identities WHERE deleted_at_ms IS NULL ORDER BY search_row",
        "CREATE TRIGGER identity_search_add AFTER INSERT ON identities BEGIN"
        " UPDATE identities SET search_row = CASE"
        " WHEN new.id > coalesce((SELECT id FROM identities WHERE search_row > 0"
        " ORDER BY search_row DESC LIMIT 1), '')"
        " THEN coalesce((SELECT max(search_row) FROM identities WHERE search_row > 0), 0) + 1"
        " ELSE min(coalesce((SELECT min(search_row) FROM identities), 0), 0) - 1 END WHERE id = new.id;"
        " INSERT INTO identity_search(rowid, search_text)"
        " SELECT search_row, search_text FROM identities WHERE id = new.id AND deleted_at_ms IS NULL; END",
        "CREATE TRIGGER identity_search_retire AFTER UPDATE OF deleted_at_ms ON identities"
        f" WHEN old.deleted_at_ms IS NULL AND new.deleted_at_ms IS NOT NULL BEGIN {forget}; END",
        "CREATE TRIGGER identity_search_remove AFTER DELETE ON identities"
        f" WHEN old.deleted_at_ms IS NULL BEGIN {forget}; END",
    ):
        op.execute(sa.text(statement))


def _trigrams_of_postgres() -> None:
    """An index of trigrams where the server has the extension and lets us have it; else searches scan."""
    op.execute(
        sa.text(
            "DO $$ BEGIN"
            " CREATE EXTENSION IF NOT EXISTS pg_trgm;"
            " CREATE INDEX identity_search ON identities USING gin (search_text gin_trgm_ops)"
            " WHERE deleted_at_ms IS NULL;"
            " EXCEPTION WHEN insufficient_privilege OR undefined_file OR undefined_object"
            " OR feature_not_supported THEN NULL; END $$"
        )
    )
