"""APIs, their keyspaces, and the keys in them."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    text,
)

from latchwork.kernel.sql.schema import Digest, Id, Json, Millis, Words, metadata

NEVER_MS = 2**53 - 1
"""Stands for the expiry of a key that has none, in order and in comparison."""

_LIVE = text("deleted_at_ms IS NULL")
_DELETED = text("deleted_at_ms IS NOT NULL")


def _live(name: str, *columns: Any) -> Index:
    """An index of the keys that lists show: however many were deleted, they cost no list anything."""
    return Index(name, *columns, sqlite_where=_LIVE, postgresql_where=_LIVE)


def _deleted(name: str, *columns: Any) -> Index:
    return Index(name, *columns, sqlite_where=_DELETED, postgresql_where=_DELETED)


keyspaces = Table(
    "keyspaces",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("default_prefix", Id),
    Column("default_byte_length", Integer),
    Column("store_encrypted_keys", Boolean, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
)

apis = Table(
    "apis",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("keyspace_id", Id, ForeignKey("keyspaces.id"), nullable=False, unique=True),
    Column("name", Words, nullable=False),
    Column("delete_protection", Boolean, nullable=False),
    Column("ip_whitelist", Json, nullable=False),
    Column("analytics", Id, nullable=False),
    Column("stale_ok_s", Integer, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("updated_at_ms", Millis),
    Column("deleted_at_ms", Millis),
    Index("ix_apis_workspace_id_id", "workspace_id", "id"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("for_workspace_id", Id, ForeignKey("workspaces.id")),  # set on root keys: whom they act for
    Column("keyspace_id", Id, ForeignKey("keyspaces.id"), nullable=False),
    Column("lineage_id", Id, nullable=False),
    Column("digest", Digest, nullable=False, unique=True),  # SHA-256 of the whole key
    Column("start", Id, nullable=False),
    Column("ending", Id),  # kept of root keys only
    Column("name", Words),
    Column("identity_id", Id, ForeignKey("identities.id")),
    Column("meta", Json),
    Column("enabled", Boolean, nullable=False),
    Column("expires_at_ms", Millis),
    Column("ip_whitelist", Json, nullable=False),
    Column("created_at_ms", Millis, nullable=False),
    Column("updated_at_ms", Millis),
    Column("deleted_at_ms", Millis),
    Column("byte_length", Integer),  # of a key that was minted here
    # set until the first use of a key whose digest is not yet of the whole key, but as its migration says
    Column("pending_migration_id", Id),
    # As lists order them. Columns, as below a policy PostgreSQL looks up by no expression.
    Column("name_order", Words, Computed("lower(coalesce(name, ''))")),
    Column("expiry_order", BigInteger, Computed(f"coalesce(expires_at_ms, {NEVER_MS})")),
    _live("ix_keys_live_keyspace_id_id", "keyspace_id", "id"),
    _live("ix_keys_live_workspace_id_id", "workspace_id", "id"),
    _live("ix_keys_live_workspace_id_enabled_id", "workspace_id", "enabled", "id"),
    _live("ix_keys_live_workspace_id_name_id", "workspace_id", "name_order", "id"),
    _live("ix_keys_live_workspace_id_expiry_id", "workspace_id", "expiry_order", "id"),
    _deleted("ix_keys_deleted_keyspace_id_id", "keyspace_id", "id"),
    Index("ix_keys_identity_id_id", "identity_id", "id"),
    Index("ix_keys_for_workspace_id", "for_workspace_id"),
)

# Kept by triggers, which the migration that made it has: nodes of older versions add and delete keys too.
key_counts = Table(
    "key_counts",
    metadata,
    Column("keyspace_id", Id, primary_key=True),
    Column("live", BigInteger, nullable=False),  # keys that are not deleted
)

recoverable_keys = Table(
    "recoverable_keys",
    metadata,
    Column("key_id", Id, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the key's text, sealed by the workspace's data key
)

key_permissions = Table(
    "key_permissions",
    metadata,
    Column("key_id", Id, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("permission_id", Id, ForeignKey("permissions.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Index("ix_key_permissions_permission_id", "permission_id"),
)

key_roles = Table(
    "key_roles",
    metadata,
    Column("key_id", Id, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Index("ix_key_roles_role_id", "role_id"),
)
