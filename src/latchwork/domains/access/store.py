"""Which keys hold what."""

from collections.abc import Iterable

from sqlalchemy import Column, Connection, Table, delete, insert, select

from latchwork.domains.access.rules import MOST_NAMED
from latchwork.domains.keys import Key
from latchwork.domains.keys.tables import key_permissions, key_roles, keys
from latchwork.domains.permissions import Permission, Role
from latchwork.domains.permissions.store import permissions_among, roles_among
from latchwork.domains.permissions.tables import role_permissions

_LINKS = 2_000  # that one unit takes away, so that others get their turn


def holders_of_role(connection: Connection, role_id: str) -> list[bytes]:
    """Digests of the keys that have the role; one more than `MOST_NAMED` where there are more."""
    found = (
        select(keys.c.digest)
        .join(key_roles, key_roles.c.key_id == keys.c.id)
        .where(key_roles.c.role_id == role_id)
    )
    return list(connection.execute(found.limit(MOST_NAMED + 1)).scalars())


def holders_of_permission(connection: Connection, permission_id: str) -> list[bytes]:
    """Digests of the keys that have the permission, directly or through a role; bounded in the same way."""
    direct = (
        select(keys.c.digest)
        .join(key_permissions, key_permissions.c.key_id == keys.c.id)
        .where(key_permissions.c.permission_id == permission_id)
    )
    through_roles = (
        select(keys.c.digest)
        .join(key_roles, key_roles.c.key_id == keys.c.id)
        .join(role_permissions, role_permissions.c.role_id == key_roles.c.role_id)
        .where(role_permissions.c.permission_id == permission_id)
    )
    return list(connection.execute(direct.union_all(through_roles).limit(MOST_NAMED + 1)).scalars())


def permissions_on(connection: Connection, key: Key) -> list[Permission]:
    """The permissions that a key has directly, sorted by slug."""
    ids = select(key_permissions.c.permission_id).where(key_permissions.c.key_id == key.id)
    return permissions_among(connection, key.workspace_id, ids)


def roles_on(connection: Connection, key: Key) -> list[Role]:
    """The roles of a key with their permissions, sorted by name."""
    ids = select(key_roles.c.role_id).where(key_roles.c.key_id == key.id)
    return roles_among(connection, key.workspace_id, ids)


def give(connection: Connection, key: Key, things: Iterable[Permission | Role]) -> None:
    """Give a key permissions and roles that it does not have."""
    for thing in things:
        table, column = _links(thing)
        row = {"key_id": key.id, column.name: thing.id, "workspace_id": key.workspace_id}
        connection.execute(insert(table).values(row))


def take(connection: Connection, key: Key, things: Iterable[Permission | Role]) -> None:
    """Take permissions and roles from a key."""
    for thing in things:
        table, column = _links(thing)
        connection.execute(delete(table).where(table.c.key_id == key.id).where(column == thing.id))


def take_from_some(connection: Connection, thing: Permission | Role) -> bool:
    """Take a thing from some of the keys that have it; whether any had."""
    table, column = _links(thing)
    some = list(connection.execute(select(table.c.key_id).where(column == thing.id).limit(_LINKS)).scalars())
    connection.execute(delete(table).where(column == thing.id).where(table.c.key_id.in_(some)))
    return bool(some)


def _links(thing: Permission | Role) -> tuple[Table, Column[str]]:
    if isinstance(thing, Role):
        return key_roles, key_roles.c.role_id
    return key_permissions, key_permissions.c.permission_id
