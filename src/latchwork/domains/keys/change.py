"""Changing and deleting a key, in one unit of work."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType

from latchwork.domains import audit
from latchwork.domains.credits import Balance, Change, facts_of
from latchwork.domains.credits import store as credits_store
from latchwork.domains.keys import issue, store
from latchwork.domains.keys.records import CreditsChange, Key, KeyChange
from latchwork.domains.keys.rules import networks
from latchwork.domains.ratelimits import limit_facts
from latchwork.domains.ratelimits.store import Changes, set_rules
from latchwork.kernel.events import Event
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.outbox import tell


def checked(change: KeyChange) -> KeyChange:
    """`change` in canonical form; raises `BadRequest`."""
    if isinstance(change.ip_whitelist, UnsetType):
        return change
    return replace(change, ip_whitelist=networks(change.ip_whitelist))


def apply(
    connection: Connection, who: Principal, key: Key, change: KeyChange, unfolded: int, now_ms: int
) -> None:
    """Write what `change` names; `unfolded` comes from the ledger, which is holding the key's spends."""
    columns = _columns(connection, who, change, now_ms)
    store.update_key(connection, key.id, columns, now_ms)
    said = audit.difference(_facts(key), columns)
    if not isinstance(change.credits, UnsetType):
        wanted = _credits(change.credits)
        balance = credits_store.rewrite(connection, key.workspace_id, key.id, unfolded, wanted, now_ms)
        said["credits"] = facts_of(balance)
    entries = [_updated(key, said)]
    if not isinstance(change.limits, UnsetType):
        changes = set_rules(connection, key.workspace_id, key.id, change.limits, now_ms)
        entries += _limits_changed(key, changes)
    if not isinstance(change.permissions, UnsetType):
        entries += issue.grant_permissions(connection, who, key, change.permissions, now_ms)
    if not isinstance(change.roles, UnsetType):
        entries += issue.grant_roles(connection, key, change.roles)
    audit.record(connection, who, now_ms, *entries)
    tell(connection, Event.now(key.workspace_id, "key.updated", now_ms, key_id=key.id, api_id=key.api_id))


def record_credits(
    connection: Connection, who: Principal, key: Key, balance: Balance | None, now_ms: int
) -> None:
    """The audit row and the event of a change of credits."""
    audit.record(connection, who, now_ms, _updated(key, {"credits": facts_of(balance)}))
    tell(connection, Event.now(key.workspace_id, "key.updated", now_ms, key_id=key.id, api_id=key.api_id))


def delete(
    connection: Connection, who: Principal, found: Sequence[Key], permanent: bool, now_ms: int
) -> None:
    """Delete keys, at least one; `permanent` removes their rows and all that belongs to them."""
    ids = [key.id for key in found]
    if permanent:
        store.purge_keys(connection, ids)
    else:
        store.soft_delete_keys(connection, ids, now_ms)
    audit.record(connection, who, now_ms, *(_deleted(key, permanent) for key in found))
    events = (
        Event.now(key.workspace_id, "key.deleted", now_ms, key_id=key.id, api_id=key.api_id) for key in found
    )
    tell(connection, *events)
    changed(connection, *(("key", key.digest) for key in found))


def _columns(connection: Connection, who: Principal, change: KeyChange, now_ms: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": change.name,
        "meta": change.meta,
        "expires_at_ms": change.expires_ms,
        "enabled": change.enabled,
    }
    if not isinstance(change.external_id, UnsetType):
        values["identity_id"] = issue.identity_of(connection, who, change.external_id, now_ms)
    if not isinstance(change.ip_whitelist, UnsetType):
        values["ip_whitelist"] = list(change.ip_whitelist)
    return {name: value for name, value in values.items() if value is not UNSET}


def _credits(change: CreditsChange | None) -> Change:
    if change is None:
        return Change(remaining=None, refill=None)
    return Change(remaining=change.remaining, refill=change.refill)


def _deleted(key: Key, permanent: bool) -> audit.Entry:
    resource = audit.Resource("key", key.id, key.name, {"permanent": permanent})
    return audit.Entry("key.delete", f"Deleted key {key.id}", (resource,))


def _updated(key: Key, said: dict[str, Any]) -> audit.Entry:
    resource = audit.Resource("key", key.id, key.name, said)
    return audit.Entry("key.update", f"Updated key {key.id}", (resource,))


def _facts(key: Key) -> dict[str, Any]:
    """The key under the names of its columns."""
    return {
        "name": key.name,
        "meta": key.meta,
        "expires_at_ms": key.expires_ms,
        "enabled": key.enabled,
        "identity_id": key.identity_id,
        "ip_whitelist": list(key.ip_whitelist),
    }


def _limits_changed(key: Key, changes: Changes) -> list[audit.Entry]:
    done = {"create": changes.created, "update": changes.updated, "delete": changes.deleted}
    return [
        audit.Entry(
            f"ratelimit.{verb}",
            f"{verb.capitalize()}d limit {rule.name} of key {key.id}",
            (
                audit.Resource("key", key.id, key.name),
                audit.Resource("ratelimit", rule.id, rule.name, limit_facts(rule)),
            ),
        )
        for verb, rules in done.items()
        for rule in rules
    ]
