"""Lists and searches that PostgreSQL answers by an index although a policy stands before the table.

Below a policy it looks up by comparisons of columns, and by nothing that could tell of rows it rejects: not by
`lower()`, `coalesce()` or `LIKE`. So what keys are ordered by becomes columns, and the texts that searches go
through stand in tables without a policy, from which nothing is shown but what ids lead to.
"""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Words

revision = "0017"
down_revision = "0016"

_NAME, _EXPIRY = "lower(coalesce(name, ''))", "coalesce(expires_at_ms, 9007199254740991)"
_LIVE = sa.text("deleted_at_ms IS NULL")
_ORDERS = {
    "ix_keys_live_workspace_id_name_id": "name_order",
    "ix_keys_live_workspace_id_expiry_id": "expiry_order",
}
_FOLLOW = """
CREATE FUNCTION identity_search_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM identity_search_texts WHERE identity_id = old.id;
    END IF;
    IF TG_OP <> 'DELETE' AND new.deleted_at_ms IS NULL THEN
        INSERT INTO identity_search_texts (identity_id, workspace_id, text)
        VALUES (new.id, new.workspace_id, new.search_text);
    END IF;
    RETURN NULL;
END $$
"""
_POSTGRES = (
    "ALTER TABLE key_texts DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY IF EXISTS of_workspace ON key_texts",
    'CREATE TABLE identity_search_texts (identity_id text COLLATE "C" PRIMARY KEY,'
    ' workspace_id text COLLATE "C" NOT NULL, text text COLLATE "C" NOT NULL)',
    # the triggers first: from then on no other node can change identities until all of it is done
    _FOLLOW,
    "CREATE TRIGGER identity_search_follow AFTER INSERT OR DELETE OR UPDATE OF search_text, deleted_at_ms"
    " ON identities FOR EACH ROW EXECUTE FUNCTION identity_search_follow()",
    "INSERT INTO identity_search_texts (identity_id, workspace_id, text)"
    " SELECT id, workspace_id, search_text FROM identities WHERE deleted_at_ms IS NULL",
    "DROP INDEX IF EXISTS identity_search",
    "DO $$ BEGIN IF EXISTS (SELECT FROM pg_opclass WHERE opcname = 'gin_trgm_ops') THEN"
    " CREATE INDEX identity_search ON identity_search_texts USING gin (text gin_trgm_ops); END IF; END $$",
    # in one statement, as the table is written anew
    f'ALTER TABLE keys ADD COLUMN name_order text COLLATE "C" GENERATED ALWAYS AS ({_NAME}) STORED,'
    f" ADD COLUMN expiry_order bigint GENERATED ALWAYS AS ({_EXPIRY}) STORED",
)


def upgrade() -> None:
    """Lists of older nodes are slower from then on, until they are renewed."""
    if op.get_bind().dialect.name == "postgresql":
        for statement in _POSTGRES:
            op.execute(sa.text(statement))
    else:
        op.add_column("keys", sa.Column("name_order", Words, sa.Computed(_NAME)))
        op.add_column("keys", sa.Column("expiry_order", sa.BigInteger(), sa.Computed(_EXPIRY)))
    for name, column in _ORDERS.items():
        op.drop_index(name, "keys")
        columns = ["workspace_id", column, "id"]
        op.create_index(name, "keys", columns, sqlite_where=_LIVE, postgresql_where=_LIVE)
