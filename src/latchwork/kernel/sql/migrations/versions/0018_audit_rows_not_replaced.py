"""On SQLite no row of the audit log is replaced by another: `INSERT OR REPLACE` deletes without firing triggers.

PostgreSQL replaces rows by an UPDATE only, which is refused already.
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(
        "CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log WHEN "
        "EXISTS (SELECT 1 FROM audit_log WHERE workspace_id = new.workspace_id AND seq = new.seq) "
        "OR EXISTS (SELECT 1 FROM audit_log WHERE id = new.id) "
        "OR EXISTS (SELECT 1 FROM audit_log WHERE rowid = new.rowid) "  # which is -1 unless one is given
        "BEGIN SELECT RAISE(ABORT, 'the audit log can only grow'); END"
    )
