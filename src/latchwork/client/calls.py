"""Calls: what is asked of the server, as values. Clients have a method for each; `send` takes them as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from msgspec import UNSET, UnsetType

from latchwork.client.results import (
    CreatedApi,
    CreatedIdentity,
    CreatedKey,
    Credits,
    Explanation,
    Key,
    Limited,
    ManyLimited,
    Nothing,
    Verification,
)

R = TypeVar("R")
Algorithm = Literal["sliding_window", "moving_window", "token_bucket"]


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One call of a procedure of `/v2`. `repeatable`: asking twice is as good as asking once.

    `client_ip` is the address for which the call is made; the server believes it of trusted proxies only.
    """

    procedure: str
    body: Any
    answers: Any
    repeatable: bool = False
    client_ip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """A limit to count in a verification: one of the key by `name`, or one of its own with both others."""

    name: str
    cost: int = 1
    limit: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimit:
    """A limit that a key gets; with `auto_apply` every verification counts it."""

    name: str
    limit: int
    duration_ms: int
    auto_apply: bool = False
    algorithm: Algorithm | None = None
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitQuestion:
    """May `identifier` take `cost`, when at most `limit` may be taken per `duration_ms`?"""

    namespace: str
    identifier: str
    limit: int
    duration_ms: int
    cost: int = 1


def verify_key(
    key: str,
    *,
    permissions: str | None = None,
    cost: int | None = None,
    ratelimits: Sequence[LimitCheck] = (),
    tags: Sequence[str] = (),
    keyspaces: Sequence[str] = (),
    migration_id: str | None = None,
    client_ip: str | None = None,
) -> Call[Verification]:
    """Decide whether the key may be used so, now; limits count and credits are spent when it may.

    `permissions` is a query such as `a AND (b OR c)`; `cost` is in credits, 1 unless told.
    """
    body = _given(
        key=key,
        permissions=permissions,
        credits=None if cost is None else {"cost": cost},
        ratelimits=[_given(**_wire(check)) for check in ratelimits] or None,
        tags=list(tags) or None,
        keyspaces=list(keyspaces) or None,
        migrationId=migration_id,
    )
    return Call("keys.verifyKey", body, Verification, client_ip=client_ip)


def verify_keys(verifications: Sequence[Call[Verification]]) -> Call[tuple[Verification, ...]]:
    """Decide up to 100 calls of `verify_key` in one request, in their order."""
    body = {"requests": [each.body for each in verifications]}
    ips = {each.client_ip for each in verifications}
    return Call(
        "keys.verifyKeys", body, tuple[Verification, ...], client_ip=ips.pop() if len(ips) == 1 else None
    )


def explain_key(
    key: str | None = None,
    *,
    key_id: str | None = None,
    permissions: str | None = None,
    cost: int | None = None,
    ratelimits: Sequence[LimitCheck] = (),
    at_ms: int | None = None,
    ip: str | None = None,
) -> Call[Explanation]:
    """Tell what `verify_key` would answer and why, by the key's text or id; takes and records nothing."""
    body = _given(
        key=key,
        keyId=key_id,
        permissions=permissions,
        credits=None if cost is None else {"cost": cost},
        ratelimits=[_given(**_wire(check)) for check in ratelimits] or None,
        at=at_ms,
        ip=ip,
    )
    return Call("keys.explainKey", body, Explanation, repeatable=True)


def create_key(
    api_id: str,
    *,
    prefix: str | None = None,
    name: str | None = None,
    external_id: str | None = None,
    meta: Mapping[str, Any] | None = None,
    permissions: Sequence[str] = (),
    roles: Sequence[str] = (),
    expires_ms: int | None = None,
    remaining: int | None = None,
    ratelimits: Sequence[KeyLimit] = (),
    enabled: bool = True,
    ip_whitelist: Sequence[str] = (),
    **more: Any,
) -> Call[CreatedKey]:
    """Make a key; `remaining` gives it credits. `more` are members of the body as the API reference spells them."""
    body = _given(
        apiId=api_id,
        prefix=prefix,
        name=name,
        externalId=external_id,
        meta=meta,
        permissions=list(permissions) or None,
        roles=list(roles) or None,
        expires=expires_ms,
        credits=None if remaining is None else {"remaining": remaining},
        ratelimits=[_given(**_wire(limit)) for limit in ratelimits] or None,
        enabled=None if enabled else False,
        ipWhitelist=list(ip_whitelist) or None,
    )
    return Call("keys.createKey", body | more, CreatedKey)


def get_key(key_id: str, *, decrypt: bool = False) -> Call[Key]:
    """A key as it is kept; `decrypt` also asks for its text, where it is recoverable."""
    return Call("keys.getKey", _given(keyId=key_id, decrypt=decrypt or None), Key, repeatable=True)


def update_key(
    key_id: str,
    *,
    name: str | UnsetType | None = UNSET,
    external_id: str | UnsetType | None = UNSET,
    meta: Mapping[str, Any] | UnsetType | None = UNSET,
    expires_ms: int | UnsetType | None = UNSET,
    enabled: bool | UnsetType = UNSET,
    permissions: Sequence[str] | UnsetType = UNSET,
    roles: Sequence[str] | UnsetType = UNSET,
    ratelimits: Sequence[KeyLimit] | UnsetType = UNSET,
    **more: Any,
) -> Call[Nothing]:
    """Change a key: what is not given stays, `None` clears, a sequence replaces the whole list."""
    limits = ratelimits
    given = {
        "name": name,
        "externalId": external_id,
        "meta": meta,
        "expires": expires_ms,
        "enabled": enabled,
        "permissions": permissions,
        "roles": roles,
        "ratelimits": limits
        if isinstance(limits, UnsetType)
        else [_given(**_wire(limit)) for limit in limits],
    }
    changed = {member: value for member, value in given.items() if value is not UNSET}
    return Call("keys.updateKey", {"keyId": key_id} | changed | more, Nothing)


def delete_key(key_id: str, *, permanent: bool = False) -> Call[Nothing]:
    """Delete a key; it is refused from the answer on."""
    return Call("keys.deleteKey", _given(keyId=key_id, permanent=permanent or None), Nothing)


def update_credits(
    key_id: str, operation: Literal["set", "increment", "decrement"], value: int | None
) -> Call[Credits]:
    """Set, raise or lower a key's credits; setting `None` makes it unlimited."""
    return Call("keys.updateCredits", {"keyId": key_id, "operation": operation, "value": value}, Credits)


def create_api(name: str) -> Call[CreatedApi]:
    """Make an API, which keys are for."""
    return Call("apis.createApi", {"name": name}, CreatedApi)


def create_identity(
    external_id: str, *, meta: Mapping[str, Any] | None = None, ratelimits: Sequence[KeyLimit] = ()
) -> Call[CreatedIdentity]:
    """Make an identity, whom keys belong to; `external_id` is your own name for it."""
    limits = [_given(**_wire(limit)) for limit in ratelimits] or None
    return Call(
        "identities.createIdentity",
        _given(externalId=external_id, meta=meta, ratelimits=limits),
        CreatedIdentity,
    )


def limit(
    namespace: str,
    identifier: str,
    *,
    limit: int,
    duration_ms: int,
    cost: int = 1,
    algorithm: Algorithm | None = None,
) -> Call[Limited]:
    """May `identifier` take `cost`, when at most `limit` may be taken per `duration_ms`? Takes it if so."""
    body = _given(
        namespace=namespace,
        identifier=identifier,
        limit=limit,
        duration=duration_ms,
        cost=cost,
        algorithm=algorithm,
    )
    return Call("ratelimit.limit", body, Limited)


def multi_limit(questions: Sequence[LimitQuestion]) -> Call[ManyLimited]:
    """Ask several at once; takes every cost, or none."""
    return Call("ratelimit.multiLimit", [_given(**_wire(question)) for question in questions], ManyLimited)


_WIRE_NAMES = {"duration_ms": "duration", "auto_apply": "autoApply"}


def _wire(record: LimitCheck | KeyLimit | LimitQuestion) -> dict[str, Any]:
    return {_WIRE_NAMES.get(name, name): getattr(record, name) for name in record.__slots__}


def _given(**members: Any) -> dict[str, Any]:
    """The members that are told."""
    return {name: value for name, value in members.items() if value is not None}
