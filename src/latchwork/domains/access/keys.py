"""The verbs that give permissions and roles to keys, and take them away."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from latchwork.domains import audit
from latchwork.domains.access import entries, rules, store
from latchwork.domains.access.permissions import wanted
from latchwork.domains.access.rules import must
from latchwork.domains.keys import Key, KeyNotFound
from latchwork.domains.keys import store as keys_store
from latchwork.domains.permissions import Permission, PermissionNotFound, Role, RoleNotFound
from latchwork.domains.permissions import store as permissions_store
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

T = TypeVar("T", Permission, Role)
Change = Callable[[Connection, Key, int], list[audit.Entry]]
"""Changes what a key holds, at a moment; what to record, nothing where all was so already."""


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """Gives and takes. Each verb raises `KeyNotFound`, then checks permission: `update_key` and its own.

    It answers all that the key holds of the kind afterwards. To do again what is done changes nothing.
    """

    db: Database
    clock: Clock

    async def add_permissions(self, who: Principal, key_id: str, slugs: Sequence[str]) -> list[Permission]:
        """Give permissions, creating those that are missing, which needs `create_permission`.

        Raises `BadRequest` for more than `MOST_PERMISSIONS`.
        """

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked, made = wanted(connection, who, slugs, now_ms)
            return made + _add(
                connection, key, asked, store.permissions_on(connection, key), rules.MOST_PERMISSIONS
            )

        return await self._change(who, key_id, ["add_permission_to_key"], change, store.permissions_on)

    async def set_permissions(self, who: Principal, key_id: str, slugs: Sequence[str]) -> list[Permission]:
        """Make these the key's direct permissions, creating those that are missing."""

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked, made = wanted(connection, who, slugs, now_ms)
            return made + _replace(connection, key, asked, store.permissions_on(connection, key))

        needs = ["add_permission_to_key", "remove_permission_from_key"]
        return await self._change(who, key_id, needs, change, store.permissions_on)

    async def remove_permissions(self, who: Principal, key_id: str, slugs: Sequence[str]) -> list[Permission]:
        """Take permissions by their slugs or ids; raises `PermissionNotFound` for one that there is not."""

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked = _permissions(connection, who, slugs)
            return _take(connection, key, asked, store.permissions_on(connection, key))

        return await self._change(who, key_id, ["remove_permission_from_key"], change, store.permissions_on)

    async def add_roles(self, who: Principal, key_id: str, names: Sequence[str]) -> list[Role]:
        """Give roles; raises `RoleNotFound`, and `BadRequest` for more than `MOST_ROLES`."""

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked = _roles(connection, who, names)
            return _add(connection, key, asked, store.roles_on(connection, key), rules.MOST_ROLES)

        return await self._change(who, key_id, ["add_role_to_key"], change, store.roles_on)

    async def set_roles(self, who: Principal, key_id: str, names: Sequence[str]) -> list[Role]:
        """Make these the key's roles; raises `RoleNotFound`."""

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked = _roles(connection, who, names)
            return _replace(connection, key, asked, store.roles_on(connection, key))

        return await self._change(who, key_id, [], change, store.roles_on)

    async def remove_roles(self, who: Principal, key_id: str, names: Sequence[str]) -> list[Role]:
        """Take roles; raises `RoleNotFound` for a name that there is not."""

        def change(connection: Connection, key: Key, now_ms: int) -> list[audit.Entry]:
            asked = _roles(connection, who, names)
            return _take(connection, key, asked, store.roles_on(connection, key))

        return await self._change(who, key_id, [], change, store.roles_on)

    @uninterrupted
    async def _change(
        self,
        who: Principal,
        key_id: str,
        needs: Sequence[str],
        change: Change,
        held: Callable[[Connection, Key], list[T]],
    ) -> list[T]:
        key = await self.db.read(lambda connection: _key(connection, who, key_id), who.workspace_id)
        who.must("api", key.api_id or "*", "update_key", key.id)
        must(who, *needs)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> list[T]:
            key = _key(connection, who, key_id)
            done = change(connection, key, now_ms)
            if done:
                audit.record(connection, who, now_ms, *done)
                event = Event.now(who.workspace_id, "key.updated", now_ms, key_id=key.id, api_id=key.api_id)
                tell(connection, event)
                changed(connection, ("key", key.digest))
            return held(connection, key)

        return await self.db.write(unit, who.workspace_id)


def _key(connection: Connection, who: Principal, key_id: str) -> Key:
    found = keys_store.find_key(connection, who.workspace_id, key_id)
    if found is None:
        raise KeyNotFound
    return found


def _permissions(connection: Connection, who: Principal, names: Sequence[str]) -> list[Permission]:
    found = permissions_store.named(connection, who.workspace_id, {name.casefold() for name in names})
    ids = [name for name in names if name.casefold() not in found]
    by_id = permissions_store.identified(connection, who.workspace_id, ids)
    for name in ids:
        if name not in by_id:
            raise PermissionNotFound.called(name)
    return [*found.values(), *by_id.values()]


def _roles(connection: Connection, who: Principal, names: Sequence[str]) -> list[Role]:
    found = permissions_store.find_roles(connection, who.workspace_id, names)
    for name in names:
        if name.casefold() not in found:
            raise RoleNotFound.called(name)
    return list(found.values())


def _add(
    connection: Connection, key: Key, asked: Iterable[T], held: Sequence[T], most: int
) -> list[audit.Entry]:
    """Give what the key lacks; raises `BadRequest` where it would gather more than `most`."""
    given = _give(connection, key, asked, held)
    if given and len(held) + len(given) > most:
        raise BadRequest(f"A key has at most {most} of them, and it has {len(held)} already.")
    return given


def _give(connection: Connection, key: Key, asked: Iterable[T], held: Iterable[T]) -> list[audit.Entry]:
    has = {thing.id for thing in held}
    fresh = [thing for thing in asked if thing.id not in has]
    store.give(connection, key, fresh)
    return [entries.key_given(key, thing) for thing in fresh]


def _take(connection: Connection, key: Key, asked: Iterable[T], held: Iterable[T]) -> list[audit.Entry]:
    goes = {thing.id for thing in asked}
    gone = [thing for thing in held if thing.id in goes]
    store.take(connection, key, gone)
    return [entries.key_deprived(key, thing) for thing in gone]


def _replace(connection: Connection, key: Key, asked: list[T], held: list[T]) -> list[audit.Entry]:
    stays = {thing.id for thing in asked}
    gone = _take(connection, key, [thing for thing in held if thing.id not in stays], held)
    return _give(connection, key, asked, held) + gone
