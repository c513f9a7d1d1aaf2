"""The verbs of the audit log: reading it, which is recorded too."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from latchwork.domains.audit import store
from latchwork.domains.audit.records import Entry, Filter, Resource, Row
from latchwork.kernel.clock import Clock
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted

_DAY_MS = 86_400_000

Reach = Callable[[Connection, str], int | None]
"""How many days a workspace's log may be read back; `None` for all."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Lets people read the log."""

    db: Database
    clock: Clock
    reach: Reach

    @uninterrupted
    async def page(self, who: Principal, wanted: Filter, *, cursor: str, limit: int) -> list[Row]:
        """Up to `limit` rows, the newest first, from the row with id `cursor` on; that they were read is recorded.

        After a cursor that is no row's nothing follows.
        """
        who.must("workspace", "*", "read_audit_log")
        now_ms = self.clock.now_ms()

        def question(connection: Connection) -> list[Row]:
            days = self.reach(connection, who.workspace_id)
            within = replace(wanted, since_ms=0 if days is None else now_ms - days * _DAY_MS)
            return store.page(connection, who.workspace_id, within, cursor=cursor, limit=limit)

        found = await self.db.read(question, who.workspace_id)

        def unit(connection: Connection) -> None:
            resource = Resource("auditLog", who.workspace_id, None, _asked(wanted))
            store.record(connection, who, now_ms, Entry("auditLog.read", "Read the audit log", (resource,)))

        await self.db.write(unit, who.workspace_id)
        return found


def _asked(wanted: Filter) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(wanted).items() if value not in (None, ())}
    del asked["since_ms"]  # which the caller did not ask for
    return asked
