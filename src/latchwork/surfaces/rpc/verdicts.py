"""Verdicts as bytes: what never changes is rendered once per snapshot, the rest per answer."""

import msgspec

from latchwork.domains.ratelimits import SHADOW, LimitState
from latchwork.domains.verification import BoundLimit, KeySnapshot, Outcome, Verdict
from latchwork.surfaces.rpc.shapes import IdentityData, LimitData

_encode = msgspec.json.Encoder().encode
_STATUS = {
    outcome: b'{"valid":%b,"code":"%b"'
    % (b"true" if outcome is Outcome.VALID else b"false", outcome.encode())
    for outcome in Outcome
}
_BOOL = (b"false", b"true")


def one(request_id: str, verdict: Verdict) -> bytes:
    """The whole answer to a single verification."""
    return b'{"meta":{"requestId":"%b"},"data":%b}' % (request_id.encode(), data_of(verdict))


def data_of(verdict: Verdict) -> bytes:
    """The `data` of one verification."""
    snapshot = verdict.snapshot
    if snapshot is None:
        return _STATUS[verdict.outcome] + b"}"
    parts = [_STATUS[verdict.outcome], snapshot.rendered]
    if verdict.remaining is not None:
        parts.append(b',"credits":%d' % verdict.remaining)
    if verdict.limits:
        limits = [_limit(bound, state) for bound, state in verdict.limits]
        parts.append(b',"ratelimits":[%b]' % b",".join(limits))
    if verdict.reason is not None:
        parts.append(b',"reason":%b' % _encode(verdict.reason))
    if verdict.retry_at_ms is not None:
        parts.append(b',"retryAt":%d' % verdict.retry_at_ms)
    parts.append(b"}")
    return b"".join(parts)


def _limit(bound: BoundLimit, state: LimitState) -> bytes:
    shadow = b""
    if bound.rule.mode == SHADOW:
        shadow = b',"wouldExceed":%b' % _BOOL[state.would_exceed]
    return b'%b,"exceeded":%b,"remaining":%d,"reset":%d%b}' % (
        bound.rendered or _limit_head(bound),
        _BOOL[state.exceeded],
        state.remaining,
        state.reset_ms,
        shadow,
    )


def _limit_head(bound: BoundLimit) -> bytes:
    rule = bound.rule
    fixed = {
        "id": rule.id,
        "name": rule.name,
        "limit": rule.limit,
        "duration": rule.duration_ms,
        "autoApply": rule.auto_apply,
    }
    return _encode(fixed)[:-1]


def render(snapshot: KeySnapshot) -> bytes:
    """What every answer about this key says alike; also prepares its limits."""
    for bound in snapshot.limits.values():
        bound.rendered = _limit_head(bound)
    fixed: dict[str, object] = {
        "keyId": snapshot.key_id,
        "name": snapshot.name,
        "meta": snapshot.meta,
        "expires": snapshot.expires_ms,
        "permissions": sorted(snapshot.permissions),
        "roles": list(snapshot.roles),
        "identity": _identity(snapshot),
        "keyspaceId": snapshot.keyspace_id,
    }
    present = {name: value for name, value in fixed.items() if value not in (None, [], {})}
    return b"," + _encode(present | {"enabled": snapshot.enabled})[1:-1]


def _identity(snapshot: KeySnapshot) -> IdentityData | None:
    if not snapshot.identity_id:
        return None
    data = IdentityData(id=snapshot.identity_id, external_id=snapshot.external_id)
    if snapshot.identity_meta:
        data.meta = dict(snapshot.identity_meta)
    if snapshot.identity_limits:
        data.ratelimits = [LimitData.of(rule) for rule in snapshot.identity_limits]
    return data
