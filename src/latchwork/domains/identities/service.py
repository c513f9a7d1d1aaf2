"""The identities' verbs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import UnsetType

from latchwork.domains import audit
from latchwork.domains.credits import Accounts, Balance
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities import store
from latchwork.domains.identities.faults import IdentityNotFound
from latchwork.domains.identities.records import Identity, IdentityChange
from latchwork.domains.ratelimits import LimitRule, limit_facts
from latchwork.domains.ratelimits.store import Changes, set_rules
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.uninterrupted import uninterrupted

META_MAX_BYTES = 1 << 20  # of its JSON in UTF-8, as the contract says


@dataclass(frozen=True, slots=True)
class Identities:
    """Creates, finds, changes and deletes identities."""

    db: Database
    clock: Clock
    ledger: Accounts
    released: Callable[[Connection, str], None]
    """Called within the deletion of the identity with that id, for what others keep of it."""

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
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Identity:
            identity = Identity(new_id("id"), who.workspace_id, external_id, meta)
            store.add(connection, identity, now_ms)
            if credits is not None:
                credits_store.open_balances(connection, who.workspace_id, {identity.id: credits}, now_ms)
            changes = set_rules(connection, who.workspace_id, identity.id, limits, now_ms)
            audit.record(
                connection, who, now_ms, _entry("create", identity), *_limits_changed(identity, changes)
            )
            tell(connection, Event.now(who.workspace_id, "identity.created", now_ms, identity_id=identity.id))
            return identity

        return await self.db.write(unit, who.workspace_id)

    async def get(self, who: Principal, name: str) -> Identity:
        """The identity with that id or external id; raises `IdentityNotFound`, then checks permission."""
        found = await self.db.read(
            lambda connection: store.find(connection, who.workspace_id, name), who.workspace_id
        )
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

    async def page(self, who: Principal, *, search: str, cursor: str, limit: int) -> list[Identity]:
        """`limit` identities, and one more where there are more, from id `cursor` on.

        Those whose id or external id holds `search`. The caller must be allowed to read each of them
        but the one more.
        """
        found = await self.db.read(
            lambda connection: store.page(
                connection, who.workspace_id, search=search, cursor=cursor, limit=limit + 1
            ),
            who.workspace_id,
        )
        for identity in found[:limit]:
            who.must("identity", identity.id, "read_identity")
        return [self._present(identity) for identity in found]

    @uninterrupted
    async def update(self, who: Principal, name: str, change: IdentityChange) -> Identity:
        """Change what `change` names of the identity with that id or external id.

        Limits are replaced by name, and keep the ids of those that stay. Raises `BadRequest` for a name
        given twice or too much metadata, `IdentityNotFound`.
        """
        action = "update_identity"
        await self.db.read(lambda connection: _find(connection, who, name, action), who.workspace_id)
        _check_change(change)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Identity:
            stored = _find(connection, who, name, action)
            meta = {} if isinstance(change.meta, UnsetType) else {"meta": change.meta}
            store.change(connection, stored.id, meta, now_ms)
            entries = [_entry("update", stored, audit.difference({"meta": stored.meta}, meta))]
            if not isinstance(change.limits, UnsetType):
                changes = set_rules(connection, who.workspace_id, stored.id, change.limits, now_ms)
                entries += _limits_changed(stored, changes)
            audit.record(connection, who, now_ms, *entries)
            tell(connection, Event.now(who.workspace_id, "identity.updated", now_ms, identity_id=stored.id))
            changed(connection, ("identity", stored.id))
            return _find(connection, who, stored.id, action)

        return self._present(await self.db.write(unit, who.workspace_id))

    @uninterrupted
    async def delete(self, who: Principal, name: str) -> None:
        """Delete the identity with that id or external id; its external id may be given again.

        Its keys stay, and have no identity from then on. Raises `IdentityNotFound`.
        """
        action = "delete_identity"
        identity_id = (
            await self.db.read(lambda connection: _find(connection, who, name, action), who.workspace_id)
        ).id
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            stored = _find(connection, who, identity_id, action)
            changes = set_rules(connection, who.workspace_id, identity_id, [], now_ms)
            credits_store.close_balances(connection, [identity_id])
            store.change(connection, identity_id, {"deleted_at_ms": now_ms}, now_ms)
            self.released(connection, identity_id)
            audit.record(connection, who, now_ms, _entry("delete", stored), *_limits_changed(stored, changes))
            tell(connection, Event.now(who.workspace_id, "identity.deleted", now_ms, identity_id=identity_id))
            changed(connection, ("identity", identity_id))

        async with self.ledger.rewriting(identity_id):
            await self.db.write(unit, who.workspace_id)
            self.ledger.put(identity_id, None)

    async def must_exist(self, who: Principal, external_id: str) -> None:
        """Raise `IdentityNotFound` unless a live identity has that external id."""
        found = await self.db.read(
            lambda connection: store.find(connection, who.workspace_id, external_id, by_id=False),
            who.workspace_id,
        )
        if found is None:
            raise IdentityNotFound


def _find(connection: Connection, who: Principal, name: str, action: str) -> Identity:
    """Whoever may do this to no identity, or not to this one, is told so whether it exists or not."""
    found = store.find(connection, who.workspace_id, name)
    if found is None or not who.may("identity", found.id, action):
        who.must("identity", "*", action)
    if found is None:
        raise IdentityNotFound
    return found


def _entry(verb: str, identity: Identity, said: dict[str, Any] | None = None) -> audit.Entry:
    display = f"{verb.capitalize()}d identity {identity.external_id}"
    resource = audit.Resource("identity", identity.id, identity.external_id, said or {})
    return audit.Entry(f"identity.{verb}", display, (resource,))


def _limits_changed(identity: Identity, changes: Changes) -> list[audit.Entry]:
    done = {"create": changes.created, "update": changes.updated, "delete": changes.deleted}
    return [
        audit.Entry(
            f"ratelimit.{verb}",
            f"{verb.capitalize()}d limit {rule.name} of identity {identity.external_id}",
            (_resource(identity), audit.Resource("ratelimit", rule.id, rule.name, limit_facts(rule))),
        )
        for verb, rules in done.items()
        for rule in rules
    ]


def _resource(identity: Identity) -> audit.Resource:
    return audit.Resource("identity", identity.id, identity.external_id)


def _check_change(change: IdentityChange) -> None:
    if not isinstance(change.meta, UnsetType):
        _check_meta(change.meta)
    if not isinstance(change.limits, UnsetType):
        names = Counter(rule.name for rule in change.limits)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise BadRequest(f"`ratelimits` names '{twice[0]}' more than once; each name must be unique.")


def _check_meta(meta: dict[str, Any]) -> None:
    size = len(msgspec.json.encode(meta))
    if size > META_MAX_BYTES:
        raise BadRequest(
            f"Metadata is too large: {size:,} bytes of JSON, at most {META_MAX_BYTES:,} are allowed."
        )
