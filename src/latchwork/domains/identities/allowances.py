"""Credits of identities: one allowance that all keys of an identity share."""

from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.credits import Accounts, Balance, Change, facts_of
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities import store
from latchwork.domains.identities.faults import IdentityNotFound
from latchwork.domains.identities.records import Identity
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Allowances:
    """Changes what the keys of an identity may spend together."""

    db: Database
    clock: Clock
    ledger: Accounts

    @uninterrupted
    async def update(self, who: Principal, name: str, change: Change) -> Balance | None:
        """Set, raise or lower the credits of the identity with that id or external id.

        `None` when they are unlimited afterwards. Raises `IdentityNotFound` and `BadRequest`.
        """
        who.must("identity", "*", "update_identity")
        identity_id = (
            await self.db.read(lambda connection: _find(connection, who, name), who.workspace_id)
        ).id
        now_ms = self.clock.now_ms()
        async with self.ledger.rewriting(identity_id) as unfolded:

            def unit(connection: Connection) -> Balance | None:
                identity = _find(connection, who, identity_id)
                after = credits_store.rewrite(
                    connection, who.workspace_id, identity_id, unfolded, change, now_ms
                )
                _record(connection, who, identity, after, now_ms)
                if (identity.credits is None) != (after is None):  # else no snapshot holds what changed
                    changed(connection, ("identity", identity_id))
                return after

            after = await self.db.write(unit, who.workspace_id)
            self.ledger.put(identity_id, None if after is None else after.remaining)
        return after


def _find(connection: Connection, who: Principal, name: str) -> Identity:
    found = store.find(connection, who.workspace_id, name)
    if found is None:
        raise IdentityNotFound
    return found


def _record(
    connection: Connection, who: Principal, identity: Identity, after: Balance | None, now_ms: int
) -> None:
    subject = audit.Resource("identity", identity.id, identity.external_id, {"credits": facts_of(after)})
    entry = audit.Entry(
        "identity.update", f"Changed the credits of identity {identity.external_id}", (subject,)
    )
    audit.record(connection, who, now_ms, entry)
    tell(connection, Event.now(who.workspace_id, "identity.updated", now_ms, identity_id=identity.id))
