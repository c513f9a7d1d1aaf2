"""The queries of permissions and roles. One that is being deleted is found by none of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, insert, select, update
from sqlalchemy import delete as sql_delete

from latchwork.domains.permissions.faults import PermissionAlreadyExists, RoleAlreadyExists
from latchwork.domains.permissions.records import Permission, Role
from latchwork.domains.permissions.tables import permissions, role_permissions, roles
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql import search as searching


def ensure(
    connection: Connection, workspace_id: str, slugs: Iterable[str], now_ms: int
) -> tuple[dict[str, str], list[str]]:
    """Ids of the permissions called `slugs`, creating those that are missing.

    Returns folded slug to id, and the slugs that had to be created. Slugs that differ only in case
    are one permission, created as it is written first.
    """
    wanted: dict[str, str] = {}
    for slug in slugs:
        wanted.setdefault(slug.casefold(), slug)
    known = {folded: found.id for folded, found in named(connection, workspace_id, wanted).items()}
    missing = [slug for folded, slug in sorted(wanted.items()) if folded not in known]
    fresh = [Permission(new_id("perm"), slug, slug) for slug in missing]
    if fresh:
        rows = [_permission_row(permission) for permission in fresh]
        connection.execute(insert(permissions), [_new(row, workspace_id, now_ms) for row in rows])
    return known | {permission.slug.casefold(): permission.id for permission in fresh}, missing


def named(connection: Connection, workspace_id: str, folded: Iterable[str]) -> dict[str, Permission]:
    """The permissions that exist among the folded slugs `folded`, by folded slug."""
    wanted = list(folded)
    if not wanted:
        return {}
    question = _live(permissions, workspace_id).where(permissions.c.slug_folded.in_(wanted))
    return {row.slug_folded: _permission(row) for row in connection.execute(question)}


def identified(connection: Connection, workspace_id: str, ids: Iterable[str]) -> dict[str, Permission]:
    """The permissions that exist among `ids`, by id."""
    question = _live(permissions, workspace_id).where(permissions.c.id.in_(list(ids)))
    return {row.id: _permission(row) for row in connection.execute(question)}


def add_permission(connection: Connection, workspace_id: str, permission: Permission, now_ms: int) -> None:
    """Insert a permission; raises `PermissionAlreadyExists`."""
    row = _permission_row(permission)
    if _taken(connection, permissions.c.slug_folded, workspace_id, row):
        raise PermissionAlreadyExists(permission.slug)
    connection.execute(insert(permissions).values(_new(row, workspace_id, now_ms)))


def find_permission(connection: Connection, workspace_id: str, name: str) -> Permission | None:
    """The permission whose id or, without regard to case, slug is `name`."""
    names = permissions.c.id == name, permissions.c.slug_folded == name.casefold()
    row = _first(connection, _live(permissions, workspace_id), names)
    return None if row is None else _permission(row)


def page_permissions(
    connection: Connection, workspace_id: str, *, search: str, cursor: str, limit: int
) -> list[Permission]:
    """Up to `limit` permissions that hold `search`, from id `cursor` on."""
    return [_permission(row) for row in _page(connection, permissions, workspace_id, search, cursor, limit)]


def change_permission(connection: Connection, workspace_id: str, permission: Permission) -> None:
    """Store what `permission` has become; raises `PermissionAlreadyExists`."""
    row = _permission_row(permission)
    if _taken(connection, permissions.c.slug_folded, workspace_id, row):
        raise PermissionAlreadyExists(permission.slug)
    text = searching.searchable(permission.id, permission.slug, permission.name, permission.description)
    changed = update(permissions).where(permissions.c.id == permission.id)
    connection.execute(changed.values(row | {"search_text": text}))


def add_role(connection: Connection, workspace_id: str, role: Role, now_ms: int) -> None:
    """Insert a role without permissions; raises `RoleAlreadyExists`."""
    row = _role_row(role)
    if _taken(connection, roles.c.name_folded, workspace_id, row):
        raise RoleAlreadyExists(role.name)
    connection.execute(insert(roles).values(_new(row, workspace_id, now_ms)))


def find_role(connection: Connection, workspace_id: str, name: str, *, by_name: bool = True) -> Role | None:
    """The role whose id or, without regard to case and with `by_name`, name is `name`."""
    names = roles.c.id == name, roles.c.name_folded == name.casefold()
    row = _first(connection, _live(roles, workspace_id), names if by_name else names[:1])
    return None if row is None else _roles(connection, [row])[0]


def find_roles(connection: Connection, workspace_id: str, names: Iterable[str]) -> dict[str, Role]:
    """The roles that exist among `names`, by folded name and without their permissions."""
    folded = {name.casefold() for name in names}
    question = _live(roles, workspace_id).where(roles.c.name_folded.in_(sorted(folded)))
    return {row.name_folded: _role(row) for row in connection.execute(question)}


def missing(
    connection: Connection, workspace_id: str, slugs: Iterable[str], names: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Those of `slugs` that no permission has and those of `names` that no role has, whatever their case."""
    slugs, names = list(slugs), list(names)
    known = named(connection, workspace_id, [slug.casefold() for slug in slugs])
    found = find_roles(connection, workspace_id, names)
    return (
        [slug for slug in slugs if slug.casefold() not in known],
        [name for name in names if name.casefold() not in found],
    )


def ensure_roles(
    connection: Connection, workspace_id: str, names: Iterable[str], now_ms: int
) -> tuple[dict[str, str], list[str]]:
    """Folded name to id of the roles called `names`, and the names that had to be created.

    Names that differ only in case are one role.
    """
    wanted = {name.casefold(): name for name in names}
    known = {folded: found.id for folded, found in find_roles(connection, workspace_id, wanted).items()}
    fresh = [Role(new_id("role"), wanted[folded]) for folded in sorted(wanted) if folded not in known]
    if fresh:
        rows = [_new(_role_row(role), workspace_id, now_ms) for role in fresh]
        connection.execute(insert(roles), rows)
    return known | {role.name.casefold(): role.id for role in fresh}, [role.name for role in fresh]


def page_roles(
    connection: Connection, workspace_id: str, *, search: str, cursor: str, limit: int
) -> list[Role]:
    """Up to `limit` roles that hold `search`, with their permissions, from id `cursor` on."""
    return _roles(connection, _page(connection, roles, workspace_id, search, cursor, limit))


def change_role(connection: Connection, workspace_id: str, role: Role) -> None:
    """Store what `role` has become but for its permissions; raises `RoleAlreadyExists`."""
    row = _role_row(role)
    if _taken(connection, roles.c.name_folded, workspace_id, row):
        raise RoleAlreadyExists(role.name)
    text = searching.searchable(role.id, role.name, role.description)
    connection.execute(update(roles).where(roles.c.id == role.id).values(row | {"search_text": text}))


def delete(connection: Connection, thing: Permission | Role) -> None:
    """Remove a permission or role, and take it from whatever has it."""
    table, _, _ = _places(thing)
    connection.execute(sql_delete(table).where(table.c.id == thing.id))


def retire(connection: Connection, thing: Permission | Role, now_ms: int) -> None:
    """Let a permission or role count for nothing any more, and its name be free; it remains to be removed."""
    table, name, held = _places(thing)
    connection.execute(sql_delete(role_permissions).where(held == thing.id))
    gone = {name.name: thing.id, "deleted_at_ms": now_ms}
    connection.execute(update(table).where(table.c.id == thing.id).values(gone))


def retired(connection: Connection, workspace_id: str) -> list[Permission | Role]:
    """What remains to be removed."""
    found: list[Permission | Role] = []
    for table, of in ((permissions, _permission), (roles, _role)):
        gone = (
            select(table)
            .where(table.c.workspace_id == workspace_id)
            .where(table.c.deleted_at_ms.is_not(None))
        )
        found += [of(row) for row in connection.execute(gone)]
    return found


def connect(connection: Connection, workspace_id: str, role_id: str, permission_ids: Iterable[str]) -> None:
    """Give a role permissions that it does not have."""
    rows = [
        {"role_id": role_id, "permission_id": id_, "workspace_id": workspace_id} for id_ in permission_ids
    ]
    if rows:
        connection.execute(insert(role_permissions), rows)


def disconnect(connection: Connection, role_id: str, permission_ids: Iterable[str]) -> None:
    """Take permissions from a role."""
    connection.execute(
        sql_delete(role_permissions)
        .where(role_permissions.c.role_id == role_id)
        .where(role_permissions.c.permission_id.in_(list(permission_ids)))
    )


def permissions_among(connection: Connection, workspace_id: str, ids: Select[Any]) -> list[Permission]:
    """The permissions whose ids are among `ids`, sorted by slug."""
    question = _live(permissions, workspace_id).where(permissions.c.id.in_(ids)).order_by(permissions.c.slug)
    return [_permission(row) for row in connection.execute(question)]


def roles_among(connection: Connection, workspace_id: str, ids: Select[Any]) -> list[Role]:
    """The roles whose ids are among `ids` with their permissions, sorted by name."""
    question = _live(roles, workspace_id).where(roles.c.id.in_(ids)).order_by(roles.c.name)
    return _roles(connection, list(connection.execute(question)))


def _live(table: Table, workspace_id: str) -> Select[Any]:
    return select(table).where(table.c.workspace_id == workspace_id).where(table.c.deleted_at_ms.is_(None))


def _places(thing: Permission | Role) -> tuple[Table, Column[str], Column[str]]:
    """Where a thing is, its folded name in it, and its place in what roles hold."""
    if isinstance(thing, Role):
        return roles, roles.c.name_folded, role_permissions.c.role_id
    return permissions, permissions.c.slug_folded, role_permissions.c.permission_id


def _page(
    connection: Connection, table: Table, workspace_id: str, search: str, cursor: str, limit: int
) -> list[Row[Any]]:
    question = _live(table, workspace_id).where(table.c.id >= cursor)
    if folded := searching.wanted(search):
        question = question.where(searching.holds(table.c.search_text, folded))
    return list(connection.execute(question.order_by(table.c.id).limit(limit)))


def _taken(connection: Connection, name: Column[str], workspace_id: str, row: Mapping[str, Any]) -> bool:
    """Whether another row has the folded name of `row`; asking first lets two writers collide properly."""
    table = name.table
    others = select(table.c.id).where(table.c.workspace_id == workspace_id).where(table.c.id != row["id"])
    return connection.execute(others.where(name == row[name.name])).first() is not None


def _first(connection: Connection, among: Select[Any], names: Iterable[Any]) -> Row[Any] | None:
    """The row that the first of `names` finds which finds any; each by an index, as an OR might not be."""
    found = (connection.execute(among.where(name)).one_or_none() for name in names)
    return next((row for row in found if row is not None), None)


def _new(row: dict[str, Any], workspace_id: str, now_ms: int) -> dict[str, Any]:
    return row | {"workspace_id": workspace_id, "created_at_ms": now_ms}


def _permission_row(permission: Permission) -> dict[str, Any]:
    return {
        "id": permission.id,
        "slug": permission.slug,
        "slug_folded": permission.slug.casefold(),
        "name": permission.name,
        "description": permission.description,
    }


def _role_row(role: Role) -> dict[str, Any]:
    return {
        "id": role.id,
        "name": role.name,
        "name_folded": role.name.casefold(),
        "description": role.description,
    }


def _permission(row: Row[Any]) -> Permission:
    return Permission(row.id, row.slug, row.name, row.description)


def _roles(connection: Connection, rows: list[Row[Any]]) -> list[Role]:
    found: dict[str, list[Permission]] = {row.id: [] for row in rows}
    question = (
        select(role_permissions.c.role_id, permissions)
        .join(permissions, permissions.c.id == role_permissions.c.permission_id)
        .where(role_permissions.c.role_id.in_(list(found)))
        .order_by(permissions.c.slug)
    )
    for row in connection.execute(question) if found else ():
        found[row.role_id].append(_permission(row))
    return [_role(row, tuple(found[row.id])) for row in rows]


def _role(row: Row[Any], held: tuple[Permission, ...] = ()) -> Role:
    return Role(row.id, row.name, row.description, held)
