"""The verbs of namespaces, and of what was counted in them."""

from dataclasses import dataclass, replace

from latchwork.domains import audit
from latchwork.domains.ratelimits import store
from latchwork.domains.ratelimits.faults import NamespaceNotFound, NamespaceTaken
from latchwork.domains.ratelimits.namespaces import Namespaces
from latchwork.domains.ratelimits.records import Namespace, counter_key
from latchwork.domains.ratelimits.tally import Tally
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Administration:
    """Lists, renames and deletes namespaces, and forgets what an identifier has taken."""

    db: Database
    clock: Clock
    namespaces: Namespaces
    tally: Tally

    async def page(
        self, who: Principal, *, search: str, cursor: str, limit: int
    ) -> list[tuple[Namespace, int]]:
        """Up to `limit` namespaces from id `cursor` on, each with the number of its overrides."""
        who.must("ratelimit", "*", "read_namespace")
        return await self.db.read(
            lambda connection: store.page_namespaces(
                connection, who.workspace_id, search=search.strip(), cursor=cursor, limit=limit
            ),
            who.workspace_id,
        )

    @uninterrupted
    async def rename(self, who: Principal, namespace: str, name: str) -> Namespace:
        """Give a namespace another name; its counters and overrides stay.

        Raises `NamespaceNotFound`, then checks permission; `NamespaceTaken`.
        """
        known = (await self.namespaces.live(who.workspace_id, namespace)).namespace
        who.must("ratelimit", known.id, "update_namespace")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Namespace:
            before = _live(connection, who, known.id)
            holder = store.find_namespace(connection, who.workspace_id, name)
            if holder is not None and holder.name == name and holder.id != known.id:
                raise NamespaceTaken
            store.update_namespace(connection, who.workspace_id, known.id, name=name)
            renamed = replace(before, name=name)
            _record(connection, who, now_ms, "update", renamed, {"before": {"name": before.name}})
            changed(connection, ("namespace", known.id))
            return renamed

        return await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def delete(self, who: Principal, namespace: str) -> None:
        """Delete a namespace: from now on it is gone to those who limit in it.

        Raises `NamespaceNotFound`, then checks permission.
        """
        known = (await self.namespaces.live(who.workspace_id, namespace)).namespace
        who.must("ratelimit", known.id, "delete_namespace")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            deleted = _live(connection, who, known.id)
            store.update_namespace(connection, who.workspace_id, known.id, deleted_at_ms=now_ms)
            _record(connection, who, now_ms, "delete", deleted, {})
            changed(connection, ("namespace", known.id))

        await self.db.write(unit, who.workspace_id)

    @uninterrupted
    async def reset(self, who: Principal, *, namespace: str, identifier: str, reason: str | None) -> None:
        """Forget what `identifier` has taken, under every algorithm and duration.

        Raises `NamespaceNotFound`, then checks permission.
        """
        known = (await self.namespaces.live(who.workspace_id, namespace)).namespace
        who.must("ratelimit", known.id, "set_override")
        now_ms = self.clock.now_ms()
        shown = identifier.replace("\0", "\ufffd")  # no database keeps a NUL character

        def unit(connection: Connection) -> None:
            resources = (
                audit.Resource("ratelimitNamespace", known.id, known.name),
                audit.Resource("ratelimitIdentifier", shown, None, {"reason": reason} if reason else {}),
            )
            entry = audit.Entry("ratelimit.reset_limit", f"Reset the limit of {shown[:100]}", resources)
            audit.record(connection, who, now_ms, entry)
            tell(connection, Event.now(who.workspace_id, "ratelimit.reset", now_ms, namespace_id=known.id))

        await self.db.write(unit, who.workspace_id)
        await self.tally.reset(counter_key(who.workspace_id, known.id, identifier))


def _live(connection: Connection, who: Principal, namespace_id: str) -> Namespace:
    found = store.find_namespace(connection, who.workspace_id, namespace_id)
    if found is None or found.deleted_at_ms is not None:
        raise NamespaceNotFound
    return found


def _record(
    connection: Connection,
    who: Principal,
    now_ms: int,
    verb: str,
    namespace: Namespace,
    meta: dict[str, object],
) -> None:
    resource = audit.Resource("ratelimitNamespace", namespace.id, namespace.name, meta)
    display = f"{verb.capitalize()}d namespace {namespace.name[:100]}"
    audit.record(connection, who, now_ms, audit.Entry(f"ratelimitNamespace.{verb}", display, (resource,)))
    event = Event.now(who.workspace_id, f"ratelimit_namespace.{verb}d", now_ms, namespace_id=namespace.id)
    tell(connection, event)
