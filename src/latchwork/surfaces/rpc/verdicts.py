"""Verdicts as bytes: what never changes is rendered once per snapshot, the rest per answer."""

from functools import lru_cache

import msgspec

from latchwork.domains.ratelimits import SHADOW, LimitState
from latchwork.domains.verification import (
    BoundLimit,
    KeySnapshot,
    KnownIdentity,
    Outcome,
    Verdict,
)
from latchwork.surfaces.rpc.shapes import IdentityData, LimitData

_encode = msgspec.json.Encoder().encode
_STATUS = {
    outcome: b'{"valid":%b,"code":"%b"'
    % (b"true" if outcome is Outcome.VALID else b"false", outcome.encode())
    for outcome in Outcome
}
_FOUND = {outcome: status + b',"keyId":"' for outcome, status in _STATUS.items()}
_BOOL = (b"false", b"true")


# What nearly every answer is: valid, under one limit, unmetered. In one piece it takes a third of the time.
def usual_answer(request_id: str, snapshot: KeySnapshot, bound: BoundLimit, state: LimitState) -> bytes:
    """The whole answer to a verification that is VALID by one limit that is not in shadow mode."""
    return (
        f'{{"meta":{{"requestId":"{request_id}"}},"data":{{"valid":true,"code":"VALID","keyId":"{snapshot.key_id}'
        f'{snapshot.rendered},"ratelimits":[{{"id":"{bound.rule.id}"{bound.rendered},"exceeded":false,'
        f'"remaining":{state.remaining},"reset":{state.reset_ms}}}]}}}}'
    ).encode()


def paid_answer(
    request_id: str, snapshot: KeySnapshot, bound: BoundLimit | None, state: LimitState | None, remaining: int
) -> bytes:
    """The same of a key that has paid with credits of its own, under one limit or none."""
    limits = ""
    if bound is not None and state is not None:
        limits = (
            f',"ratelimits":[{{"id":"{bound.rule.id}"{bound.rendered},"exceeded":false,'
            f'"remaining":{state.remaining},"reset":{state.reset_ms}}}]'
        )
    return (
        f'{{"meta":{{"requestId":"{request_id}"}},"data":{{"valid":true,"code":"VALID","keyId":"{snapshot.key_id}'
        f'{snapshot.rendered},"credits":{remaining}{limits}}}}}'
    ).encode()


def one(request_id: str, verdict: Verdict) -> bytes:
    """The whole answer to a single verification."""
    limits, snapshot = verdict.limits, verdict.snapshot
    if snapshot is not None and verdict.reason is None and snapshot.purse is None and limits:
        bound, state = limits[0]
        rule = bound.rule
        if len(limits) == 1 and bound.rendered and rule.mode != SHADOW:
            return usual_answer(request_id, snapshot, bound, state)
    return b'{"meta":{"requestId":"%b"},"data":%b}' % (request_id.encode(), data_of(verdict))


def data_of(verdict: Verdict) -> bytes:
    """The `data` of one verification."""
    snapshot = verdict.snapshot
    if snapshot is None:
        return _STATUS[verdict.outcome] + b"}"
    parts = [_FOUND[verdict.outcome], snapshot.key_id.encode(), snapshot.rendered.encode()]
    if verdict.remaining is not None:
        parts.append(b',"credits":%d' % verdict.remaining)
    if verdict.identity_remaining is not None:
        parts.append(b',"identityCredits":%d' % verdict.identity_remaining)
    limits = verdict.limits
    if limits:
        rendered = _limit(*limits[0]) if len(limits) == 1 else b",".join([_limit(*each) for each in limits])
        parts += (b',"ratelimits":[', rendered, b"]")
    if verdict.reason is not None:
        parts.append(b',"reason":%b' % _encode(verdict.reason))
        if verdict.retry_at_ms is not None:
            parts.append(b',"retryAt":%d' % verdict.retry_at_ms)
    parts.append(b"}")
    return b"".join(parts)


def _limit(bound: BoundLimit, state: LimitState) -> bytes:
    rule = bound.rule
    shadow = b""
    if rule.mode == SHADOW:
        shadow = b',"wouldExceed":%b' % _BOOL[state.would_exceed]
    return b'{"id":"%b"%b,"exceeded":%b,"remaining":%d,"reset":%d%b}' % (
        rule.id.encode(),
        (bound.rendered or _limit_tail(rule.name, rule.limit, rule.duration_ms, rule.auto_apply)).encode(),
        _BOOL[state.exceeded],
        state.remaining,
        state.reset_ms,
        shadow,
    )


@lru_cache(maxsize=4_096)
def _limit_tail(name: str, limit: int, duration_ms: int, auto_apply: bool) -> str:
    """What is said of a limit after its id: one text for all keys that have such a limit."""
    said = {"name": name, "limit": limit, "duration": duration_ms, "autoApply": auto_apply}
    return "," + _encode(said)[1:-1].decode()


@lru_cache(maxsize=4_096)
def _once(text: str) -> str:
    """An equal text that was rendered before: most keys of an API differ in nothing but their ids."""
    return text


def render(snapshot: KeySnapshot) -> None:
    """Prepare what every answer about this key says alike after its id, and so for its limits."""
    for bound in snapshot.limits:
        rule = bound.rule
        bound.rendered = _limit_tail(rule.name, rule.limit, rule.duration_ms, rule.auto_apply)
    fixed: dict[str, object] = {
        "name": snapshot.name,
        "meta": snapshot.meta,
        "expires": snapshot.expires_ms,
        "permissions": sorted(snapshot.permissions),
        "roles": list(snapshot.roles),
        "identity": _identity(snapshot.identity),
        "keyspaceId": snapshot.keyspace_id,
    }
    present = {name: value for name, value in fixed.items() if value not in (None, [], {})}
    snapshot.rendered = _once('",' + _encode(present | {"enabled": snapshot.enabled})[1:-1].decode())


def _identity(identity: KnownIdentity | None) -> IdentityData | None:
    if identity is None:
        return None
    data = IdentityData(id=identity.id, external_id=identity.external_id)
    if identity.meta:
        data.meta = dict(identity.meta)
    if identity.limits:
        data.ratelimits = [LimitData.of(rule) for rule in identity.limits]
    return data
