"""How many live keys each keyspace has, counted by the database itself.

Nodes of the version before know nothing of it and run beside this one, so triggers count. No unit of work waits
for a count that did not wait before: whatever adds or deletes keys extends the audit chain of their workspace.
"""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id

revision = "0013"
down_revision = "0012"

_BACKFILL = (
    "INSERT INTO key_counts (keyspace_id, live)"
    " SELECT keyspace_id, count(*) FROM keys WHERE deleted_at_ms IS NULL GROUP BY keyspace_id"
)
_SQLITE_MORE = (
    "INSERT INTO key_counts (keyspace_id, live) VALUES (new.keyspace_id, 1)"
    " ON CONFLICT (keyspace_id) DO UPDATE SET live = live + 1"
)
_SQLITE_LESS = "UPDATE key_counts SET live = live - 1 WHERE keyspace_id = old.keyspace_id"
_SQLITE = (
    f"CREATE TRIGGER key_counts_added AFTER INSERT ON keys WHEN new.deleted_at_ms IS NULL BEGIN {_SQLITE_MORE}; END",
    f"CREATE TRIGGER key_counts_removed AFTER DELETE ON keys WHEN old.deleted_at_ms IS NULL BEGIN {_SQLITE_LESS}; END",
    "CREATE TRIGGER key_counts_retired AFTER UPDATE OF deleted_at_ms, keyspace_id ON keys"
    f" WHEN old.deleted_at_ms IS NULL BEGIN {_SQLITE_LESS}; END",
    "CREATE TRIGGER key_counts_revived AFTER UPDATE OF deleted_at_ms, keyspace_id ON keys"
    f" WHEN new.deleted_at_ms IS NULL BEGIN {_SQLITE_MORE}; END",
)
# Once a statement, however many rows it touches. What a branch does is planned when it is first reached, so that
# each names only the rows that its trigger has.
_POSTGRES_FUNCTION = """
CREATE FUNCTION key_counts_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO key_counts (keyspace_id, live)
        SELECT keyspace_id, count(*) FROM added WHERE deleted_at_ms IS NULL GROUP BY keyspace_id ORDER BY keyspace_id
        ON CONFLICT (keyspace_id) DO UPDATE SET live = key_counts.live + excluded.live;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO key_counts (keyspace_id, live)
        SELECT keyspace_id, -count(*) FROM removed WHERE deleted_at_ms IS NULL GROUP BY keyspace_id ORDER BY keyspace_id
        ON CONFLICT (keyspace_id) DO UPDATE SET live = key_counts.live + excluded.live;
    ELSE
        INSERT INTO key_counts (keyspace_id, live)
        SELECT keyspace_id, sum(more) FROM (
            SELECT keyspace_id, 1 AS more FROM added WHERE deleted_at_ms IS NULL
            UNION ALL SELECT keyspace_id, -1 FROM removed WHERE deleted_at_ms IS NULL
        ) AS moved GROUP BY keyspace_id HAVING sum(more) <> 0 ORDER BY keyspace_id
        ON CONFLICT (keyspace_id) DO UPDATE SET live = key_counts.live + excluded.live;
    END IF;
    RETURN NULL;
END $$
"""
_POSTGRES = (
    _POSTGRES_FUNCTION,
    "CREATE TRIGGER key_counts_added AFTER INSERT ON keys REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION key_counts_follow()",
    "CREATE TRIGGER key_counts_removed AFTER DELETE ON keys REFERENCING OLD TABLE AS removed"
    " FOR EACH STATEMENT EXECUTE FUNCTION key_counts_follow()",
    "CREATE TRIGGER key_counts_changed AFTER UPDATE ON keys REFERENCING OLD TABLE AS removed NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION key_counts_follow()",
)


def upgrade() -> None:
    op.create_table(
        "key_counts",
        sa.Column("keyspace_id", Id, nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("keyspace_id", name=op.f("pk_key_counts")),
    )
    # the triggers first: from then on no other node can change keys until all of it is done
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRES:
        op.execute(sa.text(statement))
    op.execute(sa.text(_BACKFILL))
