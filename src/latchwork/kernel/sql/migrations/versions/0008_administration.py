"""Root keys' own permissions, quotas of workspaces, and an audit log that can only grow."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Id, Words

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    _root_keys()
    op.add_column("workspaces", sa.Column("operations_per_month", sa.BigInteger(), nullable=True))
    for name in ("logs_retention_days", "audit_retention_days", "log_drains"):
        op.add_column("workspaces", sa.Column(name, sa.Integer(), nullable=True))
    for column in ("correlation_id", "event"):
        op.create_index(f"ix_audit_log_workspace_id_{column}", "audit_log", ["workspace_id", column])
    if op.get_bind().dialect.name == "postgresql":
        _only_growing_on_postgres()
    else:
        _only_growing_on_sqlite()


def _root_keys() -> None:
    op.create_table(
        "root_permissions",
        sa.Column("key_id", Id, nullable=False),
        sa.Column("permission", Words, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name=op.f("fk_root_permissions_key_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "permission", name=op.f("pk_root_permissions")),
    )
    op.add_column("keys", sa.Column("ending", Id, nullable=True))
    op.execute(
        "INSERT INTO root_permissions (key_id, permission) SELECT key_id, slug FROM key_permissions "
        "JOIN permissions ON permissions.id = permission_id "
        "WHERE key_id IN (SELECT id FROM keys WHERE for_workspace_id IS NOT NULL)"
    )
    op.execute("DELETE FROM permissions WHERE workspace_id = 'ws_operator'")


def _only_growing_on_postgres() -> None:
    op.execute(
        "CREATE FUNCTION latchwork_audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit log can only grow'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION latchwork_audit_only_grows()"
    )


def _only_growing_on_sqlite() -> None:
    for deed in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_log_no_{deed.lower()} BEFORE {deed} ON audit_log "
            "BEGIN SELECT RAISE(ABORT, 'the audit log can only grow'); END"
        )
