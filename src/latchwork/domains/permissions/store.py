"""The queries of permissions and roles."""

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from latchwork.domains.permissions.tables import permissions, roles
from latchwork.kernel.ids import new_id


def ensure(
    connection: Connection, workspace_id: str, slugs: Iterable[str], now_ms: int
) -> tuple[dict[str, str], list[str]]:
    """Ids of the permissions called `slugs`, creating those that are missing.

    Returns folded slug to id, and the slugs that had to be created. Slugs that differ only in case
    are one permission.
    """
    wanted = {slug.casefold(): slug for slug in slugs}
    if not wanted:
        return {}, []
    known = _ids(connection, workspace_id, wanted)
    missing = [slug for folded, slug in sorted(wanted.items()) if folded not in known]
    rows = [
        {
            "id": new_id("perm"),
            "workspace_id": workspace_id,
            "slug": slug,
            "slug_folded": slug.casefold(),
            "name": slug,
            "created_at_ms": now_ms,
        }
        for slug in missing
    ]
    if rows:
        connection.execute(insert(permissions), rows)
    return known | {str(row["slug_folded"]): str(row["id"]) for row in rows}, missing


def _ids(connection: Connection, workspace_id: str, folded: Iterable[str]) -> dict[str, str]:
    rows = connection.execute(
        select(permissions.c.slug_folded, permissions.c.id)
        .where(permissions.c.workspace_id == workspace_id)
        .where(permissions.c.slug_folded.in_(list(folded)))
    )
    return {row.slug_folded: row.id for row in rows}


def find_roles(connection: Connection, workspace_id: str, names: Iterable[str]) -> dict[str, str]:
    """Name to id of the roles that exist among `names`."""
    rows = connection.execute(
        select(roles.c.name, roles.c.id)
        .where(roles.c.workspace_id == workspace_id)
        .where(roles.c.name.in_(list(names)))
    )
    return {row.name: row.id for row in rows}


def ensure_roles(
    connection: Connection, workspace_id: str, names: Iterable[str], now_ms: int
) -> tuple[dict[str, str], list[str]]:
    """Folded name to id of the roles called `names`, and the names that had to be created.

    Names that differ only in case are one role.
    """
    wanted = {name.casefold(): name for name in names}
    if not wanted:
        return {}, []
    rows = connection.execute(
        select(roles.c.name_folded, roles.c.id)
        .where(roles.c.workspace_id == workspace_id)
        .where(roles.c.name_folded.in_(list(wanted)))
    )
    known = {row.name_folded: row.id for row in rows}
    created = {folded: new_id("role") for folded in sorted(wanted) if folded not in known}
    fresh = [
        {
            "id": role_id,
            "workspace_id": workspace_id,
            "name": wanted[folded],
            "name_folded": folded,
            "created_at_ms": now_ms,
        }
        for folded, role_id in created.items()
    ]
    if fresh:
        connection.execute(insert(roles), fresh)
    return known | created, [wanted[folded] for folded in created]
