"""Permissions and roles: what a key may do, and the queries that ask for it.

A permission is a slug, held directly or through a role, and compared literally. A query combines slugs with
AND, OR and parentheses.
"""

from latchwork.domains.permissions.faults import PermissionNotFound, RoleNotFound
from latchwork.domains.permissions.lacking import Missing
from latchwork.domains.permissions.query import PermissionQuery, QuerySyntaxError, compile_query

__all__ = [
    "Missing",
    "PermissionNotFound",
    "PermissionQuery",
    "QuerySyntaxError",
    "RoleNotFound",
    "compile_query",
]
