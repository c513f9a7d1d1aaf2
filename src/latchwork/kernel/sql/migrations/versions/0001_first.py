"""The first schema: workspaces, keys, identities, permissions, limits, credits, audit, outbox."""

import sqlalchemy as sa
from alembic import op

from latchwork.kernel.sql.schema import Digest, Id, Json, Sequence, Words

revision = "0001"
down_revision = None


def upgrade() -> None:
    # ids and texts compare bytewise on both databases (see kernel/sql/schema.py)
    op.create_table(
        "credit_journal",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("spends", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_credit_journal")),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("data", Json(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("api_requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "audit_heads",
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_audit_heads_workspace_id")
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "audit_log",
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("display", Words, nullable=False),
        sa.Column("actor", Json(), nullable=False),
        sa.Column("remote_ip", Words, nullable=False),
        sa.Column("user_agent", Words, nullable=False),
        sa.Column("correlation_id", Id, nullable=False),
        sa.Column("resources", Json(), nullable=False),
        sa.Column("previous_digest", Digest, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_audit_log_workspace_id")),
        sa.PrimaryKeyConstraint("workspace_id", "seq", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_log_id")),
    )
    op.create_index(
        "ix_audit_log_workspace_id_time_ms", "audit_log", ["workspace_id", "time_ms"], unique=False
    )
    op.create_table(
        "credit_balances",
        sa.Column("subject_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("refill_amount", sa.BigInteger(), nullable=True),
        sa.Column("refill_day", sa.Integer(), nullable=True),
        sa.Column("refilled_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_credit_balances_workspace_id")
        ),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_credit_balances")),
    )
    op.create_table(
        "credit_holds",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("subject_id", Id, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_credit_holds_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_holds")),
    )
    op.create_index("ix_credit_holds_expires_at_ms", "credit_holds", ["expires_at_ms"], unique=False)
    op.create_index("ix_credit_holds_subject_id", "credit_holds", ["subject_id"], unique=False)
    op.create_table(
        "identities",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("external_id", Id, nullable=False),
        sa.Column("meta", Json(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_identities_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_workspace_id_id", "identities", ["workspace_id", "id"], unique=False)
    op.create_index(
        "uq_identities_live_external_id",
        "identities",
        ["workspace_id", "external_id"],
        unique=True,
        sqlite_where=sa.text("deleted_at_ms IS NULL"),
        postgresql_where=sa.text("deleted_at_ms IS NULL"),
    )
    op.create_table(
        "keyspaces",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("default_prefix", Id, nullable=True),
        sa.Column("default_byte_length", sa.Integer(), nullable=True),
        sa.Column("store_encrypted_keys", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_keyspaces_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyspaces")),
    )
    op.create_table(
        "limit_rules",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("subject_id", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("auto_apply", sa.Boolean(), nullable=False),
        sa.Column("algorithm", Id, nullable=False),
        sa.Column("burst", sa.BigInteger(), nullable=True),
        sa.Column("mode", Id, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_limit_rules_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limit_rules")),
        sa.UniqueConstraint("subject_id", "name", name=op.f("uq_limit_rules_subject_id_name")),
    )
    op.create_table(
        "namespaces",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_namespaces_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_namespaces")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_namespaces_workspace_id_name")),
    )
    op.create_table(
        "permissions",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("slug", Id, nullable=False),
        sa.Column("slug_folded", Id, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("description", Words, nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_permissions_workspace_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permissions")),
        sa.UniqueConstraint(
            "workspace_id", "slug_folded", name=op.f("uq_permissions_workspace_id_slug_folded")
        ),
    )
    op.create_table(
        "roles",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("name_folded", Words, nullable=False),
        sa.Column("description", Words, nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_roles_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("workspace_id", "name_folded", name=op.f("uq_roles_workspace_id_name_folded")),
    )
    op.create_table(
        "apis",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("keyspace_id", Id, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("delete_protection", sa.Boolean(), nullable=False),
        sa.Column("ip_whitelist", Json(), nullable=False),
        sa.Column("analytics", Id, nullable=False),
        sa.Column("stale_ok_s", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["keyspace_id"], ["keyspaces.id"], name=op.f("fk_apis_keyspace_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_apis_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apis")),
        sa.UniqueConstraint("keyspace_id", name=op.f("uq_apis_keyspace_id")),
    )
    op.create_index("ix_apis_workspace_id_id", "apis", ["workspace_id", "id"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("for_workspace_id", Id, nullable=True),
        sa.Column("keyspace_id", Id, nullable=False),
        sa.Column("lineage_id", Id, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.Column("start", Id, nullable=False),
        sa.Column("name", Words, nullable=True),
        sa.Column("identity_id", Id, nullable=True),
        sa.Column("meta", Json(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ip_whitelist", Json(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["for_workspace_id"], ["workspaces.id"], name=op.f("fk_keys_for_workspace_id")
        ),
        sa.ForeignKeyConstraint(["identity_id"], ["identities.id"], name=op.f("fk_keys_identity_id")),
        sa.ForeignKeyConstraint(["keyspace_id"], ["keyspaces.id"], name=op.f("fk_keys_keyspace_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_keys_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
    )
    op.create_index("ix_keys_for_workspace_id", "keys", ["for_workspace_id"], unique=False)
    op.create_index("ix_keys_identity_id", "keys", ["identity_id"], unique=False)
    op.create_index("ix_keys_keyspace_id_id", "keys", ["keyspace_id", "id"], unique=False)
    op.create_table(
        "overrides",
        sa.Column("id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.Column("namespace_id", Id, nullable=False),
        sa.Column("identifier", Words, nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", Words, nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["namespace_id"], ["namespaces.id"], name=op.f("fk_overrides_namespace_id")),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_overrides_workspace_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_overrides")),
        sa.UniqueConstraint("namespace_id", "identifier", name=op.f("uq_overrides_namespace_id_identifier")),
    )
    op.create_index("ix_overrides_namespace_id_id", "overrides", ["namespace_id", "id"], unique=False)
    op.create_table(
        "role_permissions",
        sa.Column("role_id", Id, nullable=False),
        sa.Column("permission_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
            name=op.f("fk_role_permissions_permission_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_role_permissions_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_id", "permission_id", name=op.f("pk_role_permissions")),
    )
    op.create_index("ix_role_permissions_permission_id", "role_permissions", ["permission_id"], unique=False)
    op.create_table(
        "key_permissions",
        sa.Column("key_id", Id, nullable=False),
        sa.Column("permission_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name=op.f("fk_key_permissions_key_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
            name=op.f("fk_key_permissions_permission_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key_id", "permission_id", name=op.f("pk_key_permissions")),
    )
    op.create_index("ix_key_permissions_permission_id", "key_permissions", ["permission_id"], unique=False)
    op.create_table(
        "key_roles",
        sa.Column("key_id", Id, nullable=False),
        sa.Column("role_id", Id, nullable=False),
        sa.Column("workspace_id", Id, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["keys.id"], name=op.f("fk_key_roles_key_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_key_roles_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "role_id", name=op.f("pk_key_roles")),
    )
    op.create_index("ix_key_roles_role_id", "key_roles", ["role_id"], unique=False)
