"""The verbs of roles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from latchwork.domains import audit
from latchwork.domains.access import entries, store
from latchwork.domains.access.permissions import applied, sweep, wanted
from latchwork.domains.access.rules import MOST_NAMED, must, must_on, tags
from latchwork.domains.permissions import Permission, Role, RoleChange, RoleNotFound
from latchwork.domains.permissions import store as permissions_store
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

_SETTING = "add_permission_to_role", "remove_permission_from_role"


@dataclass(frozen=True, slots=True)
class Roles:
    """Creates, finds, changes and deletes roles."""

    db: Database
    clock: Clock

    @uninterrupted
    async def create(
        self, who: Principal, *, name: str, description: str | None = None, slugs: Sequence[str] = ()
    ) -> Role:
        """A new role with the permissions called `slugs`, of which those that are missing are created.

        Needs `add_permission_to_role` for any, `create_permission` for new ones. Raises
        `RoleAlreadyExists`.
        """
        must(who, "create_role", *(["add_permission_to_role"] if slugs else []))
        role = Role(new_id("role"), name, description or None)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Role:
            held, made = wanted(connection, who, slugs, now_ms)
            permissions_store.add_role(connection, who.workspace_id, role, now_ms)
            given = _give(connection, who, role, held)
            _record(
                connection, who, now_ms, "created", role, [*made, entries.of_role("create", role), *given]
            )
            return replace(role, permissions=tuple(held))

        return await self.db.write(unit, who.workspace_id)

    async def get(self, who: Principal, name: str) -> Role:
        """The role with that id or name; raises `RoleNotFound`."""
        return await self.db.read(
            lambda connection: _find(connection, who, name, "read_role"), who.workspace_id
        )

    async def page(self, who: Principal, *, search: str, cursor: str, limit: int) -> list[Role]:
        """Up to `limit` roles from id `cursor` on whose id, name or description holds `search`."""
        must(who, "read_role")
        return await self.db.read(
            lambda connection: permissions_store.page_roles(
                connection, who.workspace_id, search=search, cursor=cursor, limit=limit
            ),
            who.workspace_id,
        )

    @uninterrupted
    async def update(self, who: Principal, name: str, change: RoleChange) -> Role:
        """Change what `change` names; raises `RoleNotFound`, `RoleAlreadyExists`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Role:
            stored = _find(connection, who, name, "update_role")
            role = applied(stored, change)
            if role == stored:
                return stored
            permissions_store.change_role(connection, who.workspace_id, role)
            _record(connection, who, now_ms, "updated", role, [entries.of_role("update", role, stored)])
            if role.name != stored.name:
                changed(connection, *tags(who.workspace_id, store.holders_of_role(connection, role.id)))
            return role

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete(self, who: Principal, name: str) -> None:
        """Delete a role and take it from every key; raises `RoleNotFound`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> bool:
            role = _find(connection, who, name, "delete_role")
            holders = store.holders_of_role(connection, role.id)
            retired = len(holders) > MOST_NAMED
            if retired:
                permissions_store.retire(connection, role, now_ms)
            else:
                permissions_store.delete(connection, role)
            _record(connection, who, now_ms, "deleted", role, [entries.of_role("delete", role)])
            changed(connection, *tags(who.workspace_id, holders))
            return retired

        if await self.db.write(unit, who.workspace_id):
            await sweep(self.db, who.workspace_id)

    @uninterrupted
    async def set_permissions(
        self, who: Principal, name: str, slugs: Sequence[str], *, by_name: bool = True
    ) -> Role:
        """Make the permissions called `slugs` those of the role, creating what is missing.

        Needs `create_permission` for new ones. Raises `RoleNotFound`; `name` is an id or, with `by_name`,
        a name.
        """
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Role:
            role = _find(connection, who, name, *_SETTING, by_name=by_name)
            held, made = wanted(connection, who, slugs, now_ms)
            given = _give(connection, who, role, _without(held, role.permissions))
            done = [*made, *given, *_take(connection, role, _without(role.permissions, held))]
            if not done:
                return role
            _record(connection, who, now_ms, "updated", role, done)
            changed(connection, *tags(who.workspace_id, store.holders_of_role(connection, role.id)))
            return replace(role, permissions=tuple(held))

        return await self.db.write(unit, who.workspace_id)


def _give(connection: Connection, who: Principal, role: Role, fresh: list[Permission]) -> list[audit.Entry]:
    permissions_store.connect(connection, who.workspace_id, role.id, [permission.id for permission in fresh])
    return [entries.role_given(role, permission) for permission in fresh]


def _take(connection: Connection, role: Role, gone: list[Permission]) -> list[audit.Entry]:
    permissions_store.disconnect(connection, role.id, [permission.id for permission in gone])
    return [entries.role_deprived(role, permission) for permission in gone]


def _without(some: Iterable[Permission], others: Iterable[Permission]) -> list[Permission]:
    known = {permission.id for permission in others}
    return [permission for permission in some if permission.id not in known]


def _find(connection: Connection, who: Principal, name: str, *actions: str, by_name: bool = True) -> Role:
    found = permissions_store.find_role(connection, who.workspace_id, name, by_name=by_name)
    must_on(who, found, *actions)
    if found is None:
        raise RoleNotFound
    return found


def _record(
    connection: Connection, who: Principal, now_ms: int, done: str, role: Role, said: Iterable[audit.Entry]
) -> None:
    audit.record(connection, who, now_ms, *said)
    tell(connection, Event.now(who.workspace_id, f"role.{done}", now_ms, role_id=role.id))
