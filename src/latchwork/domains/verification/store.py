"""Loading snapshots: everything a decision needs, joined in a few statements of one read."""

from typing import Any

from sqlalchemy import Connection, bindparam, exists, select

from latchwork.domains.credits.tables import balances
from latchwork.domains.identities.tables import identities
from latchwork.domains.keys.store import permissions_of, roles_of
from latchwork.domains.keys.tables import apis, key_permissions, key_roles, keys
from latchwork.domains.ratelimits import ENFORCE, LimitRule
from latchwork.domains.ratelimits.store import rule_columns, rule_of
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.domains.root_keys import store as root_keys_store
from latchwork.domains.verification.checks import concerning
from latchwork.domains.verification.purses import Due, Payer, Purse
from latchwork.domains.verification.snapshots import (
    BoundLimit,
    CallerSnapshot,
    Grant,
    IpList,
    KeySnapshot,
    KnownIdentity,
    Place,
    Scope,
)
from latchwork.domains.workspaces.tables import workspaces

_NONE: frozenset[str] = frozenset()
_NEVER_MS = 2**63
_allowances = balances.alias("allowances")  # of identities

_KEY = (
    select(
        keys.c.id,
        keys.c.workspace_id,
        keys.c.keyspace_id,
        keys.c.digest,
        keys.c.start,
        keys.c.name,
        keys.c.meta,
        keys.c.enabled,
        keys.c.expires_at_ms,
        keys.c.ip_whitelist,
        apis.c.id.label("api_id"),
        apis.c.ip_whitelist.label("api_ips"),
        apis.c.analytics,
        apis.c.stale_ok_s,
        workspaces.c.enabled.label("workspace_enabled"),
        workspaces.c.operations_per_month,
        identities.c.id.label("live_identity_id"),
        identities.c.external_id,
        identities.c.meta.label("identity_meta"),
        balances.c.remaining,
        balances.c.refill_amount,
        balances.c.refill_due_at_ms,
        _allowances.c.remaining.label("allowance"),
        _allowances.c.refill_amount.label("allowance_refill_amount"),
        _allowances.c.refill_due_at_ms.label("allowance_refill_due_at_ms"),
        exists().where(key_permissions.c.key_id == keys.c.id).label("has_permissions"),
        exists().where(key_roles.c.key_id == keys.c.id).label("has_roles"),
        *rule_columns,
    )
    .join(apis, apis.c.keyspace_id == keys.c.keyspace_id)
    .join(workspaces, workspaces.c.id == keys.c.workspace_id)
    .outerjoin(identities, (identities.c.id == keys.c.identity_id) & identities.c.deleted_at_ms.is_(None))
    .outerjoin(balances, balances.c.subject_id == keys.c.id)
    .outerjoin(_allowances, _allowances.c.subject_id == identities.c.id)
    .outerjoin(limit_rules, limit_rules.c.subject_id.in_((keys.c.id, identities.c.id)))
    .where(keys.c.digest == bindparam("digest"))
    .where(keys.c.deleted_at_ms.is_(None))
    .where(keys.c.pending_migration_id.is_(None))
    .where(apis.c.deleted_at_ms.is_(None))
    .order_by(limit_rules.c.name)
)

_CALLER = (
    select(
        keys,
        workspaces.c.id.label("target_id"),
        workspaces.c.enabled.label("target_enabled"),
        workspaces.c.api_requests_per_minute,
        workspaces.c.operations_per_month,
    )
    .outerjoin(workspaces, workspaces.c.id == keys.c.for_workspace_id)
    .where(keys.c.digest == bindparam("digest"))
    .where(keys.c.for_workspace_id.is_not(None))
    .where(keys.c.deleted_at_ms.is_(None))
)


def load_key(connection: Connection, digest: bytes) -> KeySnapshot | None:
    """The snapshot of a live key of a live API; without the surface's bytes, which come after.

    One question, a row for each limit; only what few keys have is asked for by itself.
    """
    rows = connection.execute(_KEY, {"digest": digest}).all()
    if not rows:
        return None
    row = rows[0]
    snapshot = _of_row(row)
    if row.has_permissions or row.has_roles:
        snapshot.permissions = frozenset(permissions_of(connection, [row.id]).get(row.id, ()))
    if row.has_roles:
        snapshot.roles = roles_of(connection, [row.id]).get(row.id, ())
    rules = [(each.rule_subject_id, rule_of(each)) for each in rows if each.rule_id is not None]
    own = [rule for subject, rule in rules if subject == row.id]
    shared = [rule for subject, rule in rules if subject != row.id]
    _bind_limits(snapshot, row, own, shared)
    snapshot.checks = concerning(snapshot)
    snapshot.is_plain = not snapshot.checks and len(snapshot.auto) == 1
    snapshot.usual = snapshot.auto[0] if _is_usual(snapshot) else None
    return snapshot


def _is_usual(snapshot: KeySnapshot) -> bool:
    return (
        snapshot.is_plain
        and snapshot.purse is None
        and snapshot.scope.observed == "full"
        and snapshot.auto[0].rule.mode == ENFORCE
    )


def _of_row(row: Any) -> KeySnapshot:
    snapshot = KeySnapshot()
    snapshot.digest = row.digest
    snapshot.scope = _place(row)
    snapshot.identity_tag = ("identity", row.live_identity_id) if row.live_identity_id else None
    snapshot.key_id = row.id
    snapshot.key_ips = IpList(tuple(row.ip_whitelist)) if row.ip_whitelist else None
    snapshot.name = row.name
    snapshot.was_shown = bool(row.start)
    snapshot.meta = row.meta
    snapshot.enabled = row.enabled
    snapshot.expires_ms = row.expires_at_ms
    snapshot.permissions = _NONE
    snapshot.roles = ()
    snapshot.purse = _purse(row)
    return snapshot


def _purse(row: Any) -> Purse | None:
    if row.remaining is None and row.allowance is None:
        return None
    key = identity = None
    if row.remaining is not None:
        key = Payer(row.id, row.remaining, _refill(row.refill_amount, row.refill_due_at_ms))
    if row.allowance is not None:
        refill = _refill(row.allowance_refill_amount, row.allowance_refill_due_at_ms)
        identity = Payer(row.live_identity_id, row.allowance, refill)
    return Purse(key, identity)


def _refill(amount: int | None, due_ms: int | None) -> Due | None:
    return None if amount is None or due_ms is None else Due(amount, due_ms)


def _place(row: Any) -> Place:
    place = Place(("api", row.api_id), ("workspace", row.workspace_id), ("quotas", row.workspace_id))
    place.workspace_id = row.workspace_id
    place.workspace_enabled = row.workspace_enabled
    place.keyspace_id = row.keyspace_id
    place.api_id = row.api_id
    place.api_ips = IpList(tuple(row.api_ips)) if row.api_ips else None
    place.observed = row.analytics
    place.operations_per_month = row.operations_per_month
    place.stale_ok_s = row.stale_ok_s
    return place


def _bind_limits(snapshot: KeySnapshot, row: Any, own: list[LimitRule], shared: list[LimitRule]) -> None:
    """Merge by name: a key's own limit hides its identity's of the same name."""
    names = {rule.name for rule in own}
    shared = [rule for rule in shared if rule.name not in names]
    identity_id = row.live_identity_id
    snapshot.identity = None
    if identity_id is not None:
        snapshot.identity = KnownIdentity(identity_id, row.external_id, row.identity_meta, tuple(shared))
    bound = [BoundLimit(rule, row.workspace_id, row.id) for rule in own]
    bound += [BoundLimit(rule, row.workspace_id, identity_id) for rule in shared]
    snapshot.limits = tuple(bound)
    auto = tuple(limit for limit in bound if limit.rule.auto_apply)
    snapshot.auto = snapshot.limits if len(auto) == len(bound) else auto


def load_caller(connection: Connection, digest: bytes) -> CallerSnapshot | None:
    """The snapshot of a live root key."""
    row = connection.execute(_CALLER, {"digest": digest}).one_or_none()
    if row is None:
        return None
    caller = CallerSnapshot()
    caller.digest = digest
    caller.scope = Scope(("workspace", row.for_workspace_id), ("quotas", row.for_workspace_id))
    caller.identity_tag = None
    caller.key_id = row.id
    caller.name = row.name
    caller.enabled = row.enabled
    caller.expires_ms = row.expires_at_ms
    caller.workspace_id = row.for_workspace_id
    caller.workspace_enabled = row.target_enabled
    caller.requests_per_minute = row.api_requests_per_minute
    caller.operations_per_month = row.operations_per_month
    held = root_keys_store.permissions_of(connection, [row.id]).get(row.id, ())
    caller.permissions = root_keys_store.effective(connection, caller.workspace_id, held)
    grant = Grant.of(caller.workspace_id, caller.permissions)
    caller.verifies_all, caller.verifies_apis = grant.verifies_all, grant.verifies_apis
    metered = caller.requests_per_minute is not None or caller.operations_per_month is not None
    in_the_way = not caller.enabled or not caller.workspace_enabled or metered
    caller.until_ms = -1 if in_the_way else _NEVER_MS if caller.expires_ms is None else caller.expires_ms - 1
    return caller


def digest_of_key(connection: Connection, workspace_id: str, key_id: str) -> bytes | None:
    """The digest of a workspace's key, by its id."""
    found: bytes | None = connection.execute(
        select(keys.c.digest).where(keys.c.id == key_id).where(keys.c.workspace_id == workspace_id)
    ).scalar()
    return found
