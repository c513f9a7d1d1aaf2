"""The audit log is found by who did it and by what it was done to, and by its events in their order.

Nodes of the version before know nothing of the terms and run beside this one, so triggers write them.
"""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id, Words

revision = "0015"
down_revision = "0014"

_SQLITE = """
SELECT {row}.workspace_id, 'actor:' || json_extract({row}.actor, '$.id'), {row}.seq FROM {origin}
WHERE json_extract({row}.actor, '$.id') IS NOT NULL
UNION SELECT {row}.workspace_id, 'id:' || json_extract(resource.value, '$.id'), {row}.seq
FROM {origin} JOIN json_each({row}.resources) AS resource WHERE json_extract(resource.value, '$.id') IS NOT NULL
UNION SELECT {row}.workspace_id, 'type:' || json_extract(resource.value, '$.type'), {row}.seq
FROM {origin} JOIN json_each({row}.resources) AS resource WHERE json_extract(resource.value, '$.type') IS NOT NULL
"""
_POSTGRES = """
SELECT workspace_id, 'actor:' || (actor::json ->> 'id'), seq FROM {origin} WHERE actor::json ->> 'id' IS NOT NULL
UNION SELECT workspace_id, 'id:' || (resource ->> 'id'), seq
FROM {origin}, json_array_elements(resources::json) AS resource WHERE resource ->> 'id' IS NOT NULL
UNION SELECT workspace_id, 'type:' || (resource ->> 'type'), seq
FROM {origin}, json_array_elements(resources::json) AS resource WHERE resource ->> 'type' IS NOT NULL
"""
# A log that somebody cut off leaves its terms behind, and is still to be written on.
_INTO = "INSERT INTO audit_terms (workspace_id, term, seq) "
_ANEW = " ON CONFLICT DO NOTHING"
_OF_SQLITE = (
    "CREATE TRIGGER audit_terms_added AFTER INSERT ON audit_log BEGIN "
    + _INTO
    + _SQLITE.format(row="new", origin="(SELECT 1)")
    + _ANEW
    + "; END",
)
_OF_POSTGRES = (
    "CREATE FUNCTION audit_terms_follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    + _INTO
    + _POSTGRES.format(origin="added")
    + _ANEW
    + "; RETURN NULL; END $$",
    "CREATE TRIGGER audit_terms_added AFTER INSERT ON audit_log REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_terms_follow()",
)


def upgrade() -> None:
    op.create_table(
        "audit_terms",
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("term", Words, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "term", "seq", name=op.f("pk_audit_terms")),
        sqlite_with_rowid=False,
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    # the triggers first: from then on no other node can write rows until all of it is done
    for statement in _OF_SQLITE if sqlite else _OF_POSTGRES:
        op.execute(sa.text(statement.replace(":", "\\:")))
    present = (
        _SQLITE.format(row="audit_log", origin="audit_log")
        if sqlite
        else _POSTGRES.format(origin="audit_log")
    )
    op.execute(sa.text((_INTO + present).replace(":", "\\:")))
    op.create_index(
        "ix_audit_log_workspace_id_event_seq", "audit_log", ["workspace_id", "event", "seq"], unique=False
    )
    op.drop_index("ix_audit_log_workspace_id_event", table_name="audit_log")
