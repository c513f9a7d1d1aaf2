"""The verbs of a workspace's quotas."""

from dataclasses import asdict, dataclass, replace

from latchwork.domains import audit
from latchwork.domains.analytics import Analytics
from latchwork.domains.workspaces import store
from latchwork.domains.workspaces.records import Quotas
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class WorkspaceLimits:
    """Tells and changes the quotas of the caller's own workspace."""

    db: Database
    clock: Clock
    analytics: Analytics

    async def load(self) -> None:
        """Tell analytics how long to keep whose events."""
        for workspace_id, days in (await self.db.read(store.retentions, ALL_WORKSPACES)).items():
            self.analytics.keep(workspace_id, days)

    async def load_one(self, workspace_id: str) -> None:
        """The same of one workspace, whose limits may have been changed."""
        self.analytics.keep(
            workspace_id, (await self.db.read(store.retentions, workspace_id)).get(workspace_id)
        )

    async def get(self, who: Principal) -> Quotas:
        """The workspace's quotas."""
        who.must("workspace", "*", "read_limits")
        return await self.db.read(
            lambda connection: store.quotas(connection, who.workspace_id), who.workspace_id
        )

    @uninterrupted
    async def update(self, who: Principal, changes: dict[str, int | None]) -> Quotas:
        """Change the quotas that `changes` names as `Quotas` does, in force for the next request."""
        who.must("workspace", "*", "update_limits")
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Quotas:
            before = store.quotas(connection, who.workspace_id)
            after = replace(before, **changes)
            store.set_quotas(connection, who.workspace_id, after)
            facts = {"before": asdict(before), "after": asdict(after)}
            resource = audit.Resource("workspace", who.workspace_id, None, facts)
            entry = audit.Entry("workspace.update_limits", "Changed the workspace's limits", (resource,))
            audit.record(connection, who, now_ms, entry)
            tell(connection, Event.now(who.workspace_id, "workspace.limits_updated", now_ms))
            changed(connection, ("quotas", who.workspace_id))
            return after

        after = await self.db.write(unit, who.workspace_id)
        self.analytics.keep(who.workspace_id, after.logs_retention_days)
        return after


def audit_retention_days(connection: Connection, workspace_id: str) -> int | None:
    """How many days the workspace's audit log may be read back; `None` for all."""
    return store.quotas(connection, workspace_id).audit_retention_days
