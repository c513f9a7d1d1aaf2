"""Permissions and roles, and which role holds what."""

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from latchwork.kernel.sql.schema import Id, Millis, Words, metadata
from latchwork.kernel.sql.search import searchable_columns

permissions = Table(
    "permissions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("slug", Id, nullable=False),
    Column("slug_folded", Id, nullable=False),  # unique without regard to case
    Column("name", Words, nullable=False),
    Column("description", Words),
    Column(
        "search_text",
        Words,
        nullable=False,
        server_default="",
        default=searchable_columns("id", "slug", "name", "description"),
    ),
    Column("created_at_ms", Millis, nullable=False),
    Column("deleted_at_ms", Millis),  # set while it is being taken from more keys than one unit can
    UniqueConstraint("workspace_id", "slug_folded"),
    Index("ix_permissions_workspace_id_id", "workspace_id", "id"),
)

roles = Table(
    "roles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", Id, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Words, nullable=False),
    Column("name_folded", Words, nullable=False),
    Column("description", Words),
    Column(
        "search_text",
        Words,
        nullable=False,
        server_default="",
        default=searchable_columns("id", "name", "description"),
    ),
    Column("created_at_ms", Millis, nullable=False),
    Column("deleted_at_ms", Millis),  # as of permissions
    UniqueConstraint("workspace_id", "name_folded"),
    Index("ix_roles_workspace_id_id", "workspace_id", "id"),
)

role_permissions = Table(
    "role_permissions",
    metadata,
    Column("role_id", Id, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    Column("permission_id", Id, ForeignKey("permissions.id", ondelete="CASCADE"), primary_key=True),
    Column("workspace_id", Id, nullable=False),
    Index("ix_role_permissions_permission_id", "permission_id"),
)
