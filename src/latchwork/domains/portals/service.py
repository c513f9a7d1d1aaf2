"""The verbs of portals."""

from dataclasses import dataclass, fields
from typing import Any

from msgspec import UNSET, UnsetType

from latchwork.domains import audit
from latchwork.domains.keys import store as keys_store
from latchwork.domains.portals import store
from latchwork.domains.portals.faults import AppNotFound, KeyspaceNotFound, PortalNotFound
from latchwork.domains.portals.records import NewPortal, Portal, PortalChange
from latchwork.domains.portals.rules import check_branding, check_resource
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Portals:
    """Creates, finds, changes and deletes portals. Who may not see a portal is told that there is none."""

    db: Database
    clock: Clock

    @uninterrupted
    async def create(self, who: Principal, wanted: NewPortal) -> Portal:
        """A new portal; raises `BadRequest`, `AppNotFound`, `KeyspaceNotFound`, `PortalAlreadyExists`."""
        who.must("portal", "*", "create_portal")
        check_resource(wanted, required=True)
        check_branding(wanted)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Portal:
            portal = Portal(
                id=new_id("pc"),
                workspace_id=who.workspace_id,
                keyspace_id=_keyspace(connection, who, wanted.keyspace_id),
                slug=wanted.slug,
                display_name=wanted.display_name,
                enabled=wanted.enabled,
                logo_url=wanted.logo_url,
                primary_color=wanted.primary_color,
                created_ms=now_ms,
            )
            store.add(connection, portal)
            _record(connection, who, now_ms, "created", portal)
            return portal

        return await self.db.write(unit, who.workspace_id)

    async def get(
        self,
        who: Principal,
        *,
        name: str | None = None,
        keyspace_id: str | None = None,
        app_id: str | None = None,
    ) -> Portal:
        """The portal with that id or slug, or the one that serves that keyspace; raises `PortalNotFound`."""
        if sum(each is not None for each in (name, keyspace_id, app_id)) != 1:
            raise BadRequest("Give exactly one of `portal`, `keyspaceId` and `appId`.")
        if app_id is not None:
            raise AppNotFound

        def question(connection: Connection) -> Portal | None:
            if name is not None:
                return store.find(connection, who.workspace_id, name)
            return store.serving(connection, who.workspace_id, keyspace_id or "")

        return visible(who, await self.db.read(question, who.workspace_id), "read_portal")

    @uninterrupted
    async def update(self, who: Principal, name: str, change: PortalChange) -> Portal:
        """Change what `change` names; to disable a portal, or to point it elsewhere, ends its sessions.

        Raises `PortalNotFound`, `BadRequest`, `AppNotFound`, `KeyspaceNotFound`, `PortalAlreadyExists`.
        """
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Portal:
            portal = visible(who, store.find(connection, who.workspace_id, name), "update_portal")
            values = _values(connection, who, portal, change)
            if not values:
                return portal
            store.change(connection, portal, values, now_ms)
            if values.get("enabled") is False or "keyspace_id" in values:
                store.end_sessions(connection, portal, now_ms)
            changed = visible(who, store.find(connection, who.workspace_id, portal.id), "update_portal")
            _record(connection, who, now_ms, "updated", changed, audit.difference(_facts(portal), values))
            return changed

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete(self, who: Principal, name: str) -> None:
        """Delete a portal, which ends its sessions; raises `PortalNotFound`."""
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            portal = visible(who, store.find(connection, who.workspace_id, name), "delete_portal")
            store.remove(connection, portal)
            _record(connection, who, now_ms, "deleted", portal)

        await self.db.write(unit, who.workspace_id)


def visible(who: Principal, portal: Portal | None, *actions: str) -> Portal:
    """The portal, for who may do one of `actions` to it; `PortalNotFound` for everybody else."""
    if portal is None or not any(who.may("portal", portal.id, action) for action in actions):
        raise PortalNotFound
    return portal


def _values(connection: Connection, who: Principal, portal: Portal, change: PortalChange) -> dict[str, Any]:
    """The columns that become different."""
    check_resource(change, required=False)
    check_branding(change)
    if not isinstance(change.app_id, UnsetType):
        raise AppNotFound
    if not isinstance(change.keyspace_id, UnsetType):
        _keyspace(connection, who, change.keyspace_id)
    asked = {each.name: getattr(change, each.name) for each in fields(change) if each.name != "app_id"}
    return {
        name: value for name, value in asked.items() if value is not UNSET and value != getattr(portal, name)
    }


def _keyspace(connection: Connection, who: Principal, keyspace_id: str | None) -> str:
    """The keyspace's id, where it has a live API in the caller's workspace."""
    if keyspace_id is None:
        raise AppNotFound
    if keys_store.find_api_of(connection, who.workspace_id, keyspace_id) is None:
        raise KeyspaceNotFound
    return keyspace_id


def _facts(portal: Portal) -> dict[str, Any]:
    return {field.name: getattr(portal, field.name) for field in fields(portal)}


def _record(
    connection: Connection,
    who: Principal,
    now_ms: int,
    done: str,
    portal: Portal,
    said: dict[str, Any] | None = None,
) -> None:
    verb = done.removesuffix("d")
    resources = (
        audit.Resource("portal", portal.id, portal.display_name, {"slug": portal.slug} | (said or {})),
        audit.Resource("keyspace", portal.keyspace_id),
    )
    entry = audit.Entry(f"portal.{verb}", f"{done.capitalize()} portal {portal.slug}", resources)
    audit.record(connection, who, now_ms, entry)
    tell(connection, Event.now(who.workspace_id, f"portal.{done}", now_ms, portal_id=portal.id))
