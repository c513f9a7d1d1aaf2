"""The verbs of root keys."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET, UnsetType

from latchwork.domains import audit
from latchwork.domains.directory import LastUse
from latchwork.domains.keys import Minted
from latchwork.domains.keys.rules import ROOT_PREFIX, digest_of, mint_root, start_of
from latchwork.domains.keys.store import digest_is_taken
from latchwork.domains.root_keys import rules, store
from latchwork.domains.root_keys.faults import LastWayIn, RootKeyNotFound
from latchwork.domains.root_keys.records import RootKey, RootKeyChange
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest, InsufficientPermissions
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import EVERYTHING, Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RootKeys:
    """Creates, lists, changes and deletes root keys; nobody gives away more than they have."""

    db: Database
    clock: Clock
    last_use: LastUse

    async def create(
        self,
        who: Principal,
        *,
        permissions: Sequence[str],
        name: str | None = None,
        expires_ms: int | None = None,
    ) -> Minted:
        """A new root key of the caller's workspace, which can do no more and live no longer than the caller.

        Needs `workspace.*.create_root_key`. Raises `InsufficientPermissions` for a right that the caller lacks,
        `BadRequest` for a bad expiry or a malformed URN.
        """
        who.must("workspace", "*", "create_root_key")
        wanted = rules.checked(permissions)
        _must_end_in_time(who, expires_ms)
        if expires_ms is not None and expires_ms <= self.clock.now_ms():
            raise BadRequest("`expires` must be in the future, in milliseconds since the epoch.")
        return await self._issue(who, mint_root(), wanted, name, expires_ms)

    @uninterrupted
    async def ensure(self, who: Principal, text: str) -> bool:
        """See to it that `text` is a root key that may do everything; whether it was unknown before.

        One that was deleted, disabled, or lost permissions is restored. The text of a key that is no root key
        of this workspace is left alone.
        """
        digest, now_ms = digest_of(text), self.clock.now_ms()

        def unit(connection: Connection) -> bool:
            known = store.find_by_digest(connection, who.workspace_id, digest)
            if known is not None:
                changed(connection, ("key", digest))
                _restore(connection, who, known, now_ms)
            elif digest_is_taken(connection, digest) is not None:
                _log.warning("The bootstrap root key is the text of another key, so it is none.")
            else:
                return False
            return True

        if await self.db.write(unit, who.workspace_id):
            return False
        await self._issue(who, text, (EVERYTHING,), "bootstrap", None)
        return True

    async def count(self, workspace_id: str) -> int:
        """How many root keys act in the workspace."""
        return await self.db.read(lambda connection: store.count(connection, workspace_id), workspace_id)

    async def page(self, who: Principal, *, cursor: str, limit: int) -> list[RootKey]:
        """Up to `limit` of the root keys that the caller may read, from id `cursor` on."""
        readable = rules.readable(who.permissions)
        if not readable:
            who.must("workspace", "*", "read_root_key")
        found = await self.db.read(
            lambda connection: store.page(connection, who.workspace_id, readable, cursor=cursor, limit=limit),
            who.workspace_id,
        )
        return [replace(key, last_used_ms=self.last_use.of(key.id, key.last_used_ms) or 0) for key in found]

    @uninterrupted
    async def update(self, who: Principal, key_id: str, change: RootKeyChange) -> None:
        """Change what `change` names, all or nothing, in force for the next request of that key.

        What it may do afterwards, where that is set or the key enabled, must be the caller's own, and it must live
        no longer than the caller. Checks permission, then raises `RootKeyNotFound`; `LastWayIn`.
        """
        who.must("workspace", key_id, "update_root_key")
        wanted = change.permissions
        if not isinstance(wanted, UnsetType):
            change = replace(change, permissions=rules.checked(wanted))
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            old = _key(connection, who, key_id)
            new = _changed(old, change)
            _must_outlive(who, old)
            if wanted is not UNSET or (new.enabled and not old.enabled):
                _must_hold(connection, who, new.permissions)
            if not (new.enabled and _may_do_everything(new)):
                _must_leave_a_way_in(connection, old, now_ms)
            columns = {"name": new.name, "enabled": new.enabled}
            store.change(connection, who.workspace_id, key_id, columns, now_ms)
            store.set_permissions(connection, key_id, new.permissions)
            _record(connection, who, now_ms, "update", new, {"before": _facts(old), "after": _facts(new)})
            changed(connection, ("key", old.digest))

        await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def reroll(self, who: Principal, key_id: str, *, grace_ms: int | None) -> Minted:
        """A new key in place of one, with the same name, permissions and expiry.

        The old one ends at once (`grace_ms` 0), or that much later, up to the next full minute; `None` leaves
        it as it is. Checks permission, to delete too where the old one ends; then raises `RootKeyNotFound`.
        The caller must hold all that the key may do.
        """
        who.must("workspace", key_id, "create_root_key")
        if grace_ms is not None:
            who.must("workspace", key_id, "delete_root_key")
        now_ms = self.clock.now_ms()
        text = mint_root()

        def unit(connection: Connection) -> RootKey:
            old = _key(connection, who, key_id)
            _must_hold(connection, who, old.permissions)
            _must_outlive(who, old)
            new = replace(old, id=new_id("key"), created_ms=now_ms, last_used_ms=0, **_shown(text))
            store.add(connection, new)
            ends_ms = rules.old_expiry(old.expires_ms, grace_ms, now_ms)
            store.change(connection, who.workspace_id, key_id, {"expires_at_ms": ends_ms}, now_ms)
            _record(connection, who, now_ms, "reroll", new, {"replaces": old.id, "oldExpires": ends_ms})
            changed(connection, ("key", old.digest), ("key", new.digest))
            return new

        return Minted((await self.db.write(unit, who.workspace_id)).id, text)

    @uninterrupted
    async def delete(self, who: Principal, key_id: str) -> None:
        """Delete a root key, in force for its next request.

        Checks permission, then raises `RootKeyNotFound`, `LastWayIn`.
        """
        who.must("workspace", key_id, "delete_root_key")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            key = _key(connection, who, key_id)
            _must_leave_a_way_in(connection, key, now_ms)
            store.remove(connection, who.workspace_id, key_id, now_ms)
            _record(connection, who, now_ms, "delete", key, {"before": _facts(key)})
            changed(connection, ("key", key.digest))

        await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def _issue(
        self,
        who: Principal,
        text: str,
        permissions: tuple[str, ...],
        name: str | None,
        expires_ms: int | None,
    ) -> Minted:
        now_ms = self.clock.now_ms()
        key_id = new_id("key")
        key = RootKey(
            id=key_id,
            workspace_id=who.workspace_id,
            lineage_id=key_id,
            name=name,
            enabled=True,
            created_ms=now_ms,
            expires_ms=expires_ms,
            permissions=permissions,
            **_shown(text),
        )

        def unit(connection: Connection) -> None:
            _must_hold(connection, who, permissions)
            store.add(connection, key)
            _record(connection, who, now_ms, "create", key, {"permissions": list(permissions)})
            changed(connection, ("key", key.digest))

        await self.db.write(unit, who.workspace_id)
        return Minted(key.id, text)


def _shown(text: str) -> dict[str, Any]:
    """What is kept of a root key's text."""
    prefix = ROOT_PREFIX if text.startswith(ROOT_PREFIX) else None
    return {"digest": digest_of(text), "start": start_of(text, prefix), "end": rules.end_of(text)}


def _key(connection: Connection, who: Principal, key_id: str) -> RootKey:
    found = store.find(connection, who.workspace_id, key_id)
    if found is None:
        raise RootKeyNotFound
    return found


def _changed(key: RootKey, change: RootKeyChange) -> RootKey:
    wanted = {"name": change.name, "enabled": change.enabled, "permissions": change.permissions}
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not UNSET}
    return replace(key, **given)


def _must_hold(connection: Connection, who: Principal, permissions: Sequence[str]) -> None:
    apis = store.apis_of(connection, who.workspace_id, permissions)
    beyond = rules.beyond(permissions, who.permissions, who.workspace_id, apis)
    if beyond:
        raise InsufficientPermissions(
            f"A root key can only grant what it holds itself. Missing permission: '{beyond[0][:200]}'"
        )


def _must_outlive(who: Principal, key: RootKey) -> None:
    if who.expires_ms is not None and not rules.lasts_as_long(who.expires_ms, key.expires_ms):
        raise InsufficientPermissions(
            "A root key that expires can change or replace only those that live no longer than itself."
        )


def _must_end_in_time(who: Principal, expires_ms: int | None) -> None:
    if who.expires_ms is not None and not rules.lasts_as_long(who.expires_ms, expires_ms):
        raise BadRequest(
            f"`expires` must be at most {who.expires_ms}, when the key that asks expires itself."
        )


def _may_do_everything(key: RootKey) -> bool:
    return not set(_all_of(key.workspace_id)).isdisjoint(key.permissions)


def _all_of(workspace_id: str) -> tuple[str, str]:
    """The two ways to write "everything"."""
    return EVERYTHING, f"unkey:v1:{workspace_id}:**#*"


def _must_leave_a_way_in(connection: Connection, key: RootKey, now_ms: int) -> None:
    """Before a key that may do everything loses that: another must be left that may, for as long."""
    ways = store.holding(connection, key.workspace_id, _all_of(key.workspace_id), now_ms)
    others = [other for other in ways if other.id != key.id]
    if len(others) < len(ways) and not any(
        rules.lasts_as_long(other.expires_ms, key.expires_ms) for other in others
    ):
        raise LastWayIn


def _restore(connection: Connection, who: Principal, key: RootKey, now_ms: int) -> None:
    live = store.find(connection, key.workspace_id, key.id)
    if live is not None and live.enabled and live.expires_ms is None and EVERYTHING in live.permissions:
        return
    store.restore(connection, key, (EVERYTHING,), now_ms)
    _record(connection, who, now_ms, "restore", key, {"permissions": [EVERYTHING]})


def _facts(key: RootKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "enabled": key.enabled,
        "expires": key.expires_ms,
        "permissions": list(key.permissions),
    }


def _record(
    connection: Connection, who: Principal, now_ms: int, verb: str, key: RootKey, meta: dict[str, Any]
) -> None:
    past = f"{verb}d" if verb.endswith("e") else f"{verb}ed"
    resource = audit.Resource("rootKey", key.id, key.name, meta)
    entry = audit.Entry(f"rootKey.{verb}", f"{past.capitalize()} root key {key.id}", (resource,))
    audit.record(connection, who, now_ms, entry)
    tell(connection, Event.now(who.workspace_id, f"root_key.{past}", now_ms, key_id=key.id))
