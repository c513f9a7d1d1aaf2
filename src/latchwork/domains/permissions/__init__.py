"""Permissions and roles: what a key may do, and the queries that ask for it.

A permission is a slug, held directly or through a role, and compared literally. A query combines slugs with
AND, OR and parentheses. What changes them is in `access`, which knows the keys that hold them.
"""

from latchwork.domains.permissions.faults import (
    PermissionAlreadyExists,
    PermissionNotFound,
    RoleAlreadyExists,
    RoleNotFound,
)
from latchwork.domains.permissions.lacking import Missing
from latchwork.domains.permissions.query import PermissionQuery, QuerySyntaxError, compile_query
from latchwork.domains.permissions.records import Permission, PermissionChange, Role, RoleChange

__all__ = [
    "Missing",
    "Permission",
    "PermissionAlreadyExists",
    "PermissionChange",
    "PermissionNotFound",
    "PermissionQuery",
    "QuerySyntaxError",
    "Role",
    "RoleAlreadyExists",
    "RoleChange",
    "RoleNotFound",
    "compile_query",
]
