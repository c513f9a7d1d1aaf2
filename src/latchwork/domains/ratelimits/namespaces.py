"""Namespaces as the limiter needs them: with their overrides compiled, in memory, exact."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.ratelimits import store
from latchwork.domains.ratelimits.faults import NamespaceNotFound
from latchwork.domains.ratelimits.overrides import OverrideMatcher
from latchwork.domains.ratelimits.records import Namespace
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.leases import Lease
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class KnownNamespace:
    """A namespace and its overrides."""

    namespace: Namespace
    overrides: OverrideMatcher


class Namespaces:
    """Finds namespaces by name or id, creates those that are missing, and forgets what has changed."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        invalidations: Invalidations,
        *,
        lease: Lease | None = None,
        most: int = 100_000,
    ) -> None:
        """A `lease` says for how long what it knows may be believed; without one nobody else makes changes."""
        self._db = db
        self._lease = lease
        self._clock = clock
        self._most = most
        self._known: dict[tuple[str, str], KnownNamespace] = {}
        self._names: dict[str, set[tuple[str, str]]] = {}  # namespace id to the names it is known by
        self._version = 0
        invalidations.listen(self._forget)
        if lease is not None:
            lease.listen(self._forget_all, lambda: None)

    def known(self, workspace_id: str, name: str) -> KnownNamespace | None:
        """The namespace if it is in memory."""
        return self._known.get((workspace_id, name))

    async def find(self, workspace_id: str, name: str) -> KnownNamespace | None:
        """The namespace with that name or id, deleted or not; `None` when there is none."""
        known = self._known.get((workspace_id, name))
        if known is None and self._lease is not None and self._lease.is_out_of_reach:
            raise Unavailable(private="the database is out of reach, and nothing may be believed without it")
        while known is None:
            version = self._version
            known = await self._db.read(
                lambda connection: _load(connection, workspace_id, name), workspace_id
            )
            if known is None:
                return None
            if version == self._version:
                self._keep(workspace_id, name, known)
            else:
                known = None  # something changed meanwhile: a late fill must not bring back the old
        return known

    async def live(self, workspace_id: str, name: str) -> KnownNamespace:
        """The namespace with that name or id; raises `NamespaceNotFound`, also for one that was deleted."""
        known = await self.find(workspace_id, name)
        if known is None or known.namespace.deleted_at_ms is not None:
            raise NamespaceNotFound
        return known

    @uninterrupted
    async def create(self, who: Principal, names: Sequence[str]) -> None:
        """Create the namespaces that are missing; asks for `ratelimit.*.create_namespace`."""
        who.must("ratelimit", "*", "create_namespace")
        now_ms = self._clock.now_ms()

        def unit(connection: Connection) -> None:
            created = store.ensure_namespaces(connection, who.workspace_id, names, now_ms)
            entries = [
                audit.Entry(
                    "ratelimitNamespace.create",
                    f"Created namespace {namespace.name[:100]}",
                    (audit.Resource("ratelimitNamespace", namespace.id, namespace.name),),
                )
                for namespace in created
            ]
            if entries:
                audit.record(connection, who, now_ms, *entries)

        await self._db.write(unit, who.workspace_id)

    def _keep(self, workspace_id: str, name: str, known: KnownNamespace) -> None:
        while len(self._known) >= self._most:
            self._drop(next(iter(self._known.values())).namespace.id)
        self._known[workspace_id, name] = known
        self._names.setdefault(known.namespace.id, set()).add((workspace_id, name))

    def _drop(self, namespace_id: str) -> None:
        for name in self._names.pop(namespace_id, ()):
            self._known.pop(name, None)

    def _forget_all(self, ends: bool) -> None:
        self._version += ends
        self._known.clear()
        self._names.clear()

    def _forget(self, tags: Iterable[Tag]) -> None:
        for kind, name in tags:
            if kind == "namespace":
                self._version += 1
                self._drop(str(name))


def _load(connection: Connection, workspace_id: str, name: str) -> KnownNamespace | None:
    namespace = store.find_namespace(connection, workspace_id, name)
    if namespace is None:
        return None
    return KnownNamespace(namespace, OverrideMatcher(store.overrides_of(connection, namespace.id)))
