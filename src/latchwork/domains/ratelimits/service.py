"""The verbs of overrides."""

from dataclasses import dataclass
from typing import Any

from latchwork.domains import audit
from latchwork.domains.ratelimits import store
from latchwork.domains.ratelimits.faults import OverrideNotFound
from latchwork.domains.ratelimits.namespaces import KnownNamespace, Namespaces
from latchwork.domains.ratelimits.records import Override, limit_facts
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Overrides:
    """Sets, finds, lists and deletes overrides."""

    db: Database
    clock: Clock
    namespaces: Namespaces

    @uninterrupted
    async def set(
        self,
        who: Principal,
        *,
        namespace: str,
        identifier: str,
        limit: int,
        duration_ms: int,
        expires_ms: int | None = None,
        reason: str | None = None,
    ) -> Override:
        """Set the limit of the identifiers that `identifier` matches; raises `NamespaceNotFound`."""
        known = await self.namespaces.live(who.workspace_id, namespace)
        who.must("ratelimit", known.namespace.id, "set_override")
        now_ms = self.clock.now_ms()
        wanted = Override(
            new_id("rlor"), known.namespace.id, identifier, limit, duration_ms, expires_ms, reason
        )

        def unit(connection: Connection) -> Override:
            before = store.find_override(connection, known.namespace.id, identifier)
            stored = store.put_override(connection, who.workspace_id, wanted, now_ms)
            said = {"before": _facts(before)} if before is not None else {}
            _record(connection, who, now_ms, "set", known, stored, said=said | {"after": _facts(stored)})
            changed(connection, ("namespace", known.namespace.id))
            return stored

        return await self.db.write(unit, who.workspace_id)

    async def get(self, who: Principal, *, namespace: str, identifier: str) -> Override:
        """The override that holds for `identifier`; `OverrideNotFound` also for want of permission."""
        known = await self.namespaces.live(who.workspace_id, namespace)
        found = known.overrides.find(identifier, self.clock.now_ms())
        if found is None or not who.may("ratelimit", known.namespace.id, "read_override", found.id):
            raise OverrideNotFound
        return found

    async def page(self, who: Principal, *, namespace: str, cursor: str, limit: int) -> list[Override]:
        """Up to `limit` overrides of a namespace from id `cursor` on; raises `NamespaceNotFound`."""
        known = await self.namespaces.live(who.workspace_id, namespace)
        who.must("ratelimit", known.namespace.id, "read_override")
        return await self.db.read(
            lambda connection: store.page_overrides(
                connection, known.namespace.id, cursor=cursor, limit=limit
            ),
            who.workspace_id,
        )

    @uninterrupted
    async def delete(self, who: Principal, *, namespace: str, identifier: str) -> None:
        """Delete the override of exactly that identifier or pattern; raises `OverrideNotFound`."""
        known = await self.namespaces.live(who.workspace_id, namespace)
        who.must("ratelimit", known.namespace.id, "delete_override")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            deleted = store.delete_override(connection, known.namespace.id, identifier, now_ms)
            if deleted is None:
                raise OverrideNotFound
            _record(connection, who, now_ms, "delete", known, deleted, said={"before": _facts(deleted)})
            changed(connection, ("namespace", known.namespace.id))

        await self.db.write(unit, who.workspace_id)


def _facts(override: Override) -> dict[str, Any]:
    more = {"expiresAt": override.expires_at_ms, "reason": override.reason}
    return limit_facts(override) | {name: value for name, value in more.items() if value is not None}


def _record(
    connection: Connection,
    who: Principal,
    now_ms: int,
    verb: str,
    known: KnownNamespace,
    override: Override,
    *,
    said: dict[str, Any],
) -> None:
    resources = (
        audit.Resource("ratelimitNamespace", known.namespace.id, known.namespace.name),
        audit.Resource("ratelimitOverride", override.id, override.identifier, said),
    )
    display = f"{verb.capitalize()} the override of {override.identifier[:100]}"
    audit.record(connection, who, now_ms, audit.Entry(f"ratelimit.{verb}_override", display, resources))
    tell(
        connection, Event.now(who.workspace_id, f"ratelimit_override.{verb}", now_ms, override_id=override.id)
    )
