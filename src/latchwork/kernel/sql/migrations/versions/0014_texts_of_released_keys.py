"""Searches no longer find keys by identities that were deleted before their keys were described anew."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.search import searchable

revision = "0014"
down_revision = "0013"

_AT_ONCE = 1_000
_RELEASED = sa.text(
    "SELECT keys.id, keys.name, keys.start FROM identities JOIN keys ON keys.identity_id = identities.id"
    " WHERE identities.deleted_at_ms IS NOT NULL AND keys.deleted_at_ms IS NULL"
)
_DESCRIBE = sa.text("UPDATE key_texts SET text = :text WHERE key_id = :key_id AND text <> :text")


def upgrade() -> None:
    connection = op.get_bind()
    released = connection.execute(_RELEASED).all()
    for start in range(0, len(released), _AT_ONCE):
        connection.execute(_DESCRIBE, [_described(row) for row in released[start : start + _AT_ONCE]])


def _described(row: sa.Row[Any]) -> dict[str, str]:
    return {"key_id": row.id, "text": searchable(row.id, row.name, row.start)}
