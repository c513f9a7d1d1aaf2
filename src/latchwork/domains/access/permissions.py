"""The verbs of permissions."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TypeVar

from msgspec import UNSET

from latchwork.domains import audit
from latchwork.domains.access import entries, store
from latchwork.domains.access.rules import MOST_NAMED, must, must_on, tags
from latchwork.domains.permissions import (
    Permission,
    PermissionChange,
    PermissionNotFound,
    Role,
    RoleChange,
)
from latchwork.domains.permissions import store as permissions_store
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

T = TypeVar("T", Permission, Role)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Creates, finds, changes and deletes permissions."""

    db: Database
    clock: Clock

    @uninterrupted
    async def create(
        self, who: Principal, *, slug: str, name: str, description: str | None = None
    ) -> Permission:
        """A new permission; raises `PermissionAlreadyExists`."""
        must(who, "create_permission")
        permission = Permission(new_id("perm"), slug, name, description or None)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            permissions_store.add_permission(connection, who.workspace_id, permission, now_ms)
            _record(connection, who, now_ms, "create", permission)

        await self.db.write(unit, who.workspace_id)
        return permission

    async def get(self, who: Principal, name: str) -> Permission:
        """The permission with that id or slug; raises `PermissionNotFound`."""
        return await self.db.read(
            lambda connection: _find(connection, who, name, "read_permission"), who.workspace_id
        )

    async def page(self, who: Principal, *, search: str, cursor: str, limit: int) -> list[Permission]:
        """Up to `limit` permissions from id `cursor` on whose id, slug, name or description holds `search`."""
        must(who, "read_permission")
        return await self.db.read(
            lambda connection: permissions_store.page_permissions(
                connection, who.workspace_id, search=search, cursor=cursor, limit=limit
            ),
            who.workspace_id,
        )

    @uninterrupted
    async def update(self, who: Principal, name: str, change: PermissionChange) -> Permission:
        """Change what `change` names; raises `PermissionNotFound`, `PermissionAlreadyExists`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Permission:
            stored = _find(connection, who, name, "update_permission")
            permission = applied(stored, change)
            if permission == stored:
                return stored
            permissions_store.change_permission(connection, who.workspace_id, permission)
            _record(connection, who, now_ms, "update", permission, stored)
            if permission.slug != stored.slug:
                holders = store.holders_of_permission(connection, permission.id)
                changed(connection, *tags(who.workspace_id, holders))
            return permission

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete(self, who: Principal, name: str) -> None:
        """Delete a permission and take it from every role and key; raises `PermissionNotFound`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> bool:
            permission = _find(connection, who, name, "delete_permission")
            holders = store.holders_of_permission(connection, permission.id)
            retired = len(holders) > MOST_NAMED
            if retired:
                permissions_store.retire(connection, permission, now_ms)
            else:
                permissions_store.delete(connection, permission)
            _record(connection, who, now_ms, "delete", permission)
            changed(connection, *tags(who.workspace_id, holders))
            return retired

        if await self.db.write(unit, who.workspace_id):
            await sweep(self.db, who.workspace_id)


def wanted(
    connection: Connection, who: Principal, slugs: Iterable[str], now_ms: int
) -> tuple[list[Permission], list[audit.Entry]]:
    """The permissions called `slugs`, sorted by slug, and what to record: those that had to be created.

    Slugs that differ only in case are one. Creating needs `create_permission`: raises
    `InsufficientPermissions`.
    """
    ids, created = permissions_store.ensure(connection, who.workspace_id, slugs, now_ms)
    if created:
        must(who, "create_permission")
    found = permissions_store.named(connection, who.workspace_id, ids)
    made = [entries.of_permission("create", found[slug.casefold()]) for slug in created]
    return sorted(found.values(), key=lambda permission: permission.slug), made


def applied(stored: T, change: PermissionChange | RoleChange) -> T:
    """`stored` with what `change` names; an empty description is none."""
    values = {field.name: getattr(change, field.name) for field in fields(change)}
    given = {name: value for name, value in values.items() if value is not UNSET}
    if "description" in given:
        given["description"] = given["description"] or None
    return replace(stored, **given)


async def sweep(db: Database, workspace_id: str) -> None:
    """Remove what counts for nothing any more from all keys, in units that leave room for others.

    Whatever an interruption leaves behind is removed by the next sweep.
    """
    for retired in await db.read(
        lambda connection: permissions_store.retired(connection, workspace_id), workspace_id
    ):
        while await db.write(partial(store.take_from_some, thing=retired), workspace_id):
            pass
        await db.write(partial(permissions_store.delete, thing=retired), workspace_id)


def _find(connection: Connection, who: Principal, name: str, action: str) -> Permission:
    found = permissions_store.find_permission(connection, who.workspace_id, name)
    must_on(who, found, action)
    if found is None:
        raise PermissionNotFound
    return found


def _record(
    connection: Connection,
    who: Principal,
    now_ms: int,
    verb: str,
    permission: Permission,
    before: Permission | None = None,
) -> None:
    audit.record(connection, who, now_ms, entries.of_permission(verb, permission, before))
    event = f"permission.{verb}d"
    tell(connection, Event.now(who.workspace_id, event, now_ms, permission_id=permission.id))
