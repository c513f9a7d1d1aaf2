"""The identities' verbs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from latchwork.domains import audit
from latchwork.domains.credits import Balance, Ledger
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities import store
from latchwork.domains.identities.faults import IdentityNotFound
from latchwork.domains.identities.records import Identity
from latchwork.domains.ratelimits import LimitRule
from latchwork.domains.ratelimits.store import set_rules
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

META_MAX_BYTES = 1 << 20  # of its JSON in UTF-8, as the contract says


@dataclass(frozen=True, slots=True)
class Identities:
    """Creates and finds identities."""

    db: Database
    clock: Clock
    ledger: Ledger

    @uninterrupted
    async def create(
        self,
        who: Principal,
        *,
        external_id: str,
        meta: dict[str, Any],
        limits: Sequence[LimitRule] = (),
        credits: Balance | None = None,
    ) -> Identity:
        """A new identity with its limits and credits; raises `IdentityAlreadyExists` and `BadRequest`."""
        who.must("identity", "*", "create_identity")
        _check_meta(meta)
        identity = Identity(new_id("id"), who.workspace_id, external_id, meta)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            store.add(connection, identity, now_ms)
            if credits is not None:
                credits_store.open_balances(connection, who.workspace_id, {identity.id: credits})
            changes = set_rules(connection, who.workspace_id, identity.id, limits, now_ms)
            subject = audit.Resource("identity", identity.id, external_id)
            audit.record(
                connection,
                who,
                now_ms,
                audit.Entry("identity.create", f"Created identity {external_id}", (subject,)),
                *(
                    audit.Entry(
                        "ratelimit.create",
                        f"Created limit {rule.name} of identity {external_id}",
                        (subject, audit.Resource("ratelimit", rule.id, rule.name)),
                    )
                    for rule in changes.created
                ),
            )
            tell(connection, Event.now(who.workspace_id, "identity.created", now_ms, identity_id=identity.id))

        await self.db.write(unit)
        return identity

    async def get(self, who: Principal, name: str) -> Identity:
        """The identity with that id or external id; raises `IdentityNotFound`, then checks permission."""
        found = await self.db.read(lambda connection: store.find(connection, who.workspace_id, name))
        if found is None:
            raise IdentityNotFound
        who.must("identity", found.id, "read_identity")
        return self._present(found)

    def _present(self, identity: Identity) -> Identity:
        """The identity with its credits as they are in memory."""
        if identity.credits is None:
            return identity
        remaining = self.ledger.remaining_of(identity.id, identity.credits.remaining)
        return replace(identity, credits=replace(identity.credits, remaining=remaining))

    async def must_exist(self, who: Principal, external_id: str) -> None:
        """Raise `IdentityNotFound` unless a live identity has that external id."""
        found = await self.db.read(
            lambda connection: store.find(connection, who.workspace_id, external_id, by_id=False)
        )
        if found is None:
            raise IdentityNotFound


def _check_meta(meta: dict[str, Any]) -> None:
    size = len(msgspec.json.encode(meta))
    if size > META_MAX_BYTES:
        raise BadRequest(
            f"Metadata is too large: {size:,} bytes of JSON, at most {META_MAX_BYTES:,} are allowed."
        )
