"""Loading snapshots: everything a decision needs, joined in a few statements of one read."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities.tables import identities
from latchwork.domains.keys.store import permissions_of, roles_of
from latchwork.domains.keys.tables import apis, keys
from latchwork.domains.ratelimits import LimitRule
from latchwork.domains.ratelimits.store import rules_of
from latchwork.domains.verification.checks import concerning
from latchwork.domains.verification.snapshots import BoundLimit, CallerSnapshot, Grant, IpList, KeySnapshot
from latchwork.domains.workspaces.tables import workspaces

_KEY = (
    select(
        keys,
        apis.c.id.label("api_id"),
        apis.c.ip_whitelist.label("api_ips"),
        apis.c.analytics,
        workspaces.c.enabled.label("workspace_enabled"),
        identities.c.id.label("live_identity_id"),
        identities.c.external_id,
        identities.c.meta.label("identity_meta"),
    )
    .join(apis, apis.c.keyspace_id == keys.c.keyspace_id)
    .join(workspaces, workspaces.c.id == keys.c.workspace_id)
    .outerjoin(identities, (identities.c.id == keys.c.identity_id) & identities.c.deleted_at_ms.is_(None))
    .where(keys.c.digest == bindparam("digest"))
    .where(keys.c.deleted_at_ms.is_(None))
    .where(keys.c.pending_migration_id.is_(None))
    .where(apis.c.deleted_at_ms.is_(None))
)

_CALLER = (
    select(
        keys,
        workspaces.c.id.label("target_id"),
        workspaces.c.enabled.label("target_enabled"),
        workspaces.c.api_requests_per_minute,
    )
    .outerjoin(workspaces, workspaces.c.id == keys.c.for_workspace_id)
    .where(keys.c.digest == bindparam("digest"))
    .where(keys.c.for_workspace_id.is_not(None))
    .where(keys.c.deleted_at_ms.is_(None))
)


def load_key(connection: Connection, digest: bytes) -> KeySnapshot | None:
    """The snapshot of a live key of a live API; without the surface's bytes, which come after."""
    row = connection.execute(_KEY, {"digest": digest}).one_or_none()
    if row is None:
        return None
    snapshot = _of_row(row)
    subjects = [row.id, row.live_identity_id] if row.live_identity_id else [row.id]
    rules = rules_of(connection, subjects)
    snapshot.permissions = frozenset(permissions_of(connection, [row.id]).get(row.id, ()))
    snapshot.roles = roles_of(connection, [row.id]).get(row.id, ())
    snapshot.credits = credits_store.find(connection, [row.id]).get(row.id)
    _bind_limits(snapshot, rules.get(row.id, []), rules.get(row.live_identity_id, []))
    snapshot.checks = concerning(snapshot)
    return snapshot


def _of_row(row: Row[Any]) -> KeySnapshot:
    snapshot = KeySnapshot()
    snapshot.digest = row.digest
    snapshot.scope_tags = (("api", row.api_id), ("workspace", row.workspace_id))
    snapshot.identity_tag = ("identity", row.live_identity_id) if row.live_identity_id else None
    snapshot.key_id = row.id
    snapshot.workspace_id = row.workspace_id
    snapshot.workspace_enabled = row.workspace_enabled
    snapshot.keyspace_id = row.keyspace_id
    snapshot.api_id = row.api_id
    snapshot.api_ips = IpList(tuple(row.api_ips)) if row.api_ips else None
    snapshot.key_ips = IpList(tuple(row.ip_whitelist)) if row.ip_whitelist else None
    snapshot.name = row.name
    snapshot.start = row.start
    snapshot.meta = row.meta
    snapshot.enabled = row.enabled
    snapshot.expires_ms = row.expires_at_ms
    snapshot.identity_id = row.live_identity_id or ""
    snapshot.external_id = row.external_id or ""
    snapshot.identity_meta = row.identity_meta
    snapshot.observed = row.analytics
    return snapshot


def _bind_limits(snapshot: KeySnapshot, own: list[LimitRule], shared: list[LimitRule]) -> None:
    """Merge by name: a key's own limit hides its identity's of the same name."""
    names = {rule.name for rule in own}
    snapshot.identity_limits = tuple(rule for rule in shared if rule.name not in names)
    bound = [BoundLimit(rule, snapshot.workspace_id, snapshot.key_id) for rule in own]
    bound += [
        BoundLimit(rule, snapshot.workspace_id, snapshot.identity_id) for rule in snapshot.identity_limits
    ]
    snapshot.limits = {limit.rule.name: limit for limit in bound}
    snapshot.auto_limits = tuple(limit for limit in bound if limit.rule.auto_apply)
    snapshot.auto_checks = tuple(limit.check for limit in snapshot.auto_limits)


def load_caller(connection: Connection, digest: bytes) -> CallerSnapshot | None:
    """The snapshot of a live root key."""
    row = connection.execute(_CALLER, {"digest": digest}).one_or_none()
    if row is None:
        return None
    caller = CallerSnapshot()
    caller.digest = digest
    caller.scope_tags = (("workspace", row.for_workspace_id),)
    caller.identity_tag = None
    caller.key_id = row.id
    caller.name = row.name
    caller.enabled = row.enabled
    caller.expires_ms = row.expires_at_ms
    caller.workspace_id = row.for_workspace_id
    caller.workspace_enabled = row.target_enabled
    caller.requests_per_minute = row.api_requests_per_minute
    caller.permissions = frozenset(permissions_of(connection, [row.id]).get(row.id, ()))
    grant = Grant.of(caller.workspace_id, caller.permissions)
    caller.verifies_all, caller.verifies_apis = grant.verifies_all, grant.verifies_apis
    return caller


def digest_of_key(connection: Connection, workspace_id: str, key_id: str) -> bytes | None:
    """The digest of a workspace's key, by its id."""
    found: bytes | None = connection.execute(
        select(keys.c.digest).where(keys.c.id == key_id).where(keys.c.workspace_id == workspace_id)
    ).scalar()
    return found
