"""What calls answer. Moments are milliseconds since the epoch; what the server does not tell is `None` or empty."""

from typing import Any

import msgspec


class Result(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An answer's data. Members that a newer server adds are passed over."""


class Identity(Result, frozen=True, kw_only=True):
    """Whose a key is; `external_id` is your own name for it."""

    id: str
    external_id: str
    meta: dict[str, Any] = {}


class CheckedLimit(Result, frozen=True, kw_only=True):
    """A limit that a verification counted. `would_exceed` is told in shadow mode only."""

    name: str
    limit: int
    remaining: int
    exceeded: bool
    duration_ms: int = msgspec.field(name="duration")
    reset_ms: int = msgspec.field(name="reset")
    id: str = ""
    auto_apply: bool = False
    would_exceed: bool | None = None


class Verification(Result, frozen=True, kw_only=True):
    """A verdict. `code` is VALID, or why not: NOT_FOUND, FORBIDDEN, DISABLED, EXPIRED,
    INSUFFICIENT_PERMISSIONS, RATE_LIMITED or USAGE_EXCEEDED.

    `credits` are those left to the key, `identity_credits` those left to all keys of its identity, each `None`
    where there is no such balance. `assumed` is true of a verdict that no server gave: see `KeyGuard`.
    """

    valid: bool
    code: str
    key_id: str = ""
    name: str | None = None
    meta: dict[str, Any] = {}
    enabled: bool | None = None
    expires_ms: int | None = msgspec.field(name="expires", default=None)
    permissions: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()
    identity: Identity | None = None
    keyspace_id: str = ""
    credits: int | None = None
    identity_credits: int | None = None
    ratelimits: tuple[CheckedLimit, ...] = ()
    reason: str | None = None
    retry_at_ms: int | None = msgspec.field(name="retryAt", default=None)
    assumed: bool = False


class Step(Result, frozen=True, kw_only=True):
    """One check of an explanation: `outcome` is passed, failed or skipped."""

    check: str
    outcome: str
    detail: str
    rule: str | None = None


class Explanation(Result, frozen=True, kw_only=True):
    """What a verification would answer, every check behind it, and what would make it pass."""

    valid: bool
    code: str
    checks: tuple[Step, ...]
    remedies: tuple[str, ...]


class Limited(Result, frozen=True, kw_only=True):
    """Whether an identifier may go on; `reset_ms` is when its window ends."""

    success: bool
    limit: int
    remaining: int
    reset_ms: int = msgspec.field(name="reset")
    override_id: str | None = None
    would_exceed: bool | None = None


class OneLimited(Result, frozen=True, kw_only=True):
    """One of the answers of `multi_limit`."""

    namespace: str
    identifier: str
    passed: bool
    limit: int
    remaining: int
    reset_ms: int = msgspec.field(name="reset")
    override_id: str | None = None
    would_exceed: bool | None = None


class ManyLimited(Result, frozen=True, kw_only=True):
    """Whether all may go on, and what each limit says, in the order asked."""

    passed: bool
    limits: tuple[OneLimited, ...]


class CreatedKey(Result, frozen=True, kw_only=True):
    """A new key. `key` is its text: it cannot be had again, unless the key is recoverable."""

    key_id: str
    key: str


class CreatedApi(Result, frozen=True, kw_only=True):
    """The id of a new API."""

    api_id: str


class CreatedIdentity(Result, frozen=True, kw_only=True):
    """The id of a new identity."""

    identity_id: str


class Credits(Result, frozen=True, kw_only=True):
    """What is left; `None` is unlimited."""

    remaining: int | None = None


class NamedLimit(Result, frozen=True, kw_only=True):
    """A limit of a key or an identity."""

    name: str
    limit: int
    duration_ms: int = msgspec.field(name="duration")
    auto_apply: bool = False
    id: str = ""


class Key(Result, frozen=True, kw_only=True):
    """A key as it is kept; never its text, unless the key is recoverable and you asked for it."""

    key_id: str
    start: str = ""
    enabled: bool = True
    name: str | None = None
    meta: dict[str, Any] = {}
    created_ms: int = msgspec.field(name="createdAt", default=0)
    updated_ms: int | None = msgspec.field(name="updatedAt", default=None)
    expires_ms: int | None = msgspec.field(name="expires", default=None)
    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    credits: Credits | None = None
    identity: Identity | None = None
    ratelimits: tuple[NamedLimit, ...] = ()
    plaintext: str | None = None


class Nothing(Result, frozen=True, kw_only=True):
    """Done, and nothing to tell."""
