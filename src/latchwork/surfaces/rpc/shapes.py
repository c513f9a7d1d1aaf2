"""Shapes that several families share, and how records become them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import Counts
from latchwork.domains.credits import Balance, Change, Refill
from latchwork.domains.identities import Identity
from latchwork.domains.keys import KeyView
from latchwork.domains.permissions import Permission, Role
from latchwork.domains.ratelimits import ENFORCE, SLIDING_WINDOW, Algorithm, LimitRule, Mode
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Positive, TolerantBody
from latchwork.surfaces.rpc.procedures import Page

T = TypeVar("T")
LATEST_MS = 4_102_444_800_000  # the start of the year 2100

KeyId = Annotated[
    str, Meta(min_length=3, max_length=255, pattern=r"^[a-zA-Z0-9_]+$", description="A key's id.")
]
ApiId = Annotated[
    str, Meta(min_length=3, max_length=255, pattern=r"^[a-zA-Z0-9_]+$", description="An API's id.")
]
Slug = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_:\-\.\*]+$")]
Slugs = Annotated[
    list[Slug], Meta(max_length=1000, description="Slugs of permissions; those that are missing are created.")
]
RoleName = Annotated[str, Meta(min_length=1, max_length=128)]
ExternalId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=r"^[a-zA-Z0-9_.-]+$",
        description="The id by which you know the user, team or machine.",
    ),
]
Expiry = Annotated[
    int, Meta(ge=0, le=LATEST_MS, description="When the key expires, in milliseconds since the epoch.")
]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many to answer at most.")]
Cursor = Annotated[str, Meta(max_length=1024, description="The `cursor` of the page before.")]
Search = Annotated[
    str, Meta(max_length=256, description="What they must contain, whatever its case; blank for all.")
]
IpList = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64)]],
    Meta(max_length=100, description="Addresses and networks (CIDR) that may use the key; empty allows any."),
]
Duration = Annotated[int, Meta(ge=1000, le=2**53 - 1, description="In milliseconds.")]
LimitName = Annotated[str, Meta(min_length=3, max_length=128, description="The limit's name.")]


class LimitBody(TolerantBody):
    """A named limit of a key or an identity."""

    name: LimitName
    limit: Positive
    duration: Duration
    auto_apply: Annotated[bool, Meta(description="Whether every verification checks it.")] = False
    algorithm: Algorithm = SLIDING_WINDOW
    burst: Annotated[Positive | None, Meta(description="Size of a token bucket; its limit by default.")] = (
        None
    )
    mode: Annotated[Mode, Meta(description="`shadow` counts and reports, but never refuses.")] = ENFORCE

    def rule(self) -> LimitRule:
        """The record, with a new id."""
        return LimitRule(
            id=new_id("rl"),
            name=self.name,
            limit=self.limit,
            duration_ms=self.duration,
            auto_apply=self.auto_apply,
            algorithm=self.algorithm,
            burst=self.burst,
            mode=self.mode,
        )


Limits = Annotated[list[LimitBody], Meta(max_length=50)]


class RefillBody(Body):
    """A refill: at the start of every day (UTC), or of the month's `refillDay`, credits rise to `amount`.

    A month without that day is refilled on its last.
    """

    interval: Literal["daily", "monthly"]
    amount: Positive
    refill_day: Annotated[int, Meta(ge=1, le=31)] | UnsetType = UNSET

    def record(self, *, strict: bool) -> Refill:
        """The record. Monthly needs a day; daily has none, and where `strict` refuses one."""
        if self.interval == "monthly":
            if isinstance(self.refill_day, UnsetType):
                raise BadRequest("`credits.refill.refillDay` is required when the interval is monthly.")
            return Refill(interval="monthly", amount=self.amount, day=self.refill_day)
        if strict and not isinstance(self.refill_day, UnsetType):
            raise BadRequest("`credits.refill.refillDay` is not allowed when the interval is daily.")
        return Refill(interval="daily", amount=self.amount, day=None)


class CreditsBody(Body):
    """Credits of a new key or identity; `remaining` of null is unlimited."""

    remaining: Count | None
    refill: RefillBody | UnsetType = UNSET

    def balance(self) -> Balance | None:
        """The record, `None` for unlimited; raises `BadRequest` for a refill of nothing."""
        refill = None if isinstance(self.refill, UnsetType) else self.refill.record(strict=False)
        if self.remaining is None:
            if refill is not None:
                raise BadRequest("`credits.refill` needs `credits.remaining` to be a number.")
            return None
        return Balance(self.remaining, refill)


Operation = Literal["set", "increment", "decrement"]
OperationValue = Annotated[
    Count | UnsetType | None, Meta(description="null, with set, makes the credits unlimited.")
]


def credits_change(operation: Operation, value: int | UnsetType | None) -> Change:
    """The record of an operation on credits; raises `BadRequest` where a number is needed."""
    if operation == "set":
        if isinstance(value, UnsetType):
            return Change(remaining=None)
        return Change(remaining=None, refill=None) if value is None else Change(remaining=value)
    if isinstance(value, UnsetType) or value is None:
        raise BadRequest(f"`value` must be a number when the operation is {operation}.")
    return Change(add=value if operation == "increment" else -value)


class LimitData(Data):
    """A named limit."""

    id: str
    name: str
    limit: int
    duration: int
    auto_apply: bool
    algorithm: Algorithm = SLIDING_WINDOW
    burst: int | UnsetType = UNSET
    mode: Mode = ENFORCE

    @classmethod
    def of(cls, rule: LimitRule) -> "LimitData":
        """The wire form."""
        return cls(
            id=rule.id,
            name=rule.name,
            limit=rule.limit,
            duration=rule.duration_ms,
            auto_apply=rule.auto_apply,
            algorithm=rule.algorithm,
            burst=UNSET if rule.burst is None else rule.burst,
            mode=rule.mode,
        )


class RefillData(Data):
    """A refill; `lastRefillAt` is when it last raised the credits."""

    interval: Literal["daily", "monthly"]
    amount: int
    refill_day: int | UnsetType = UNSET
    last_refill_at: int | UnsetType = UNSET


class CreditsData(Data):
    """Credits; `remaining` is null only in the answer to an update that made the key unlimited."""

    remaining: int | None
    refill: RefillData | UnsetType = UNSET

    @classmethod
    def of(cls, balance: Balance | None) -> "CreditsData":
        """The wire form."""
        if balance is None:
            return cls(remaining=None)
        refill: RefillData | UnsetType = UNSET
        if balance.refill is not None:
            day = balance.refill.day
            refill = RefillData(
                interval=balance.refill.interval,
                amount=balance.refill.amount,
                refill_day=UNSET if day is None else day,
                last_refill_at=balance.refilled_ms or UNSET,
            )
        return cls(remaining=balance.remaining, refill=refill)


class IdentityData(Data):
    """An identity."""

    id: str
    external_id: str
    meta: dict[str, Any] | UnsetType = UNSET
    ratelimits: list[LimitData] | UnsetType = UNSET
    credits: CreditsData | UnsetType = UNSET

    @classmethod
    def of(cls, identity: Identity) -> "IdentityData":
        """The wire form; what is empty is absent."""
        return cls(
            id=identity.id,
            external_id=identity.external_id,
            meta=identity.meta or UNSET,
            ratelimits=[LimitData.of(rule) for rule in identity.limits] or UNSET,
            credits=UNSET if identity.credits is None else CreditsData.of(identity.credits),
        )


class PermissionData(Data):
    """A permission."""

    id: str
    name: str
    slug: str
    description: str | UnsetType = UNSET

    @classmethod
    def of(cls, permission: Permission) -> "PermissionData":
        """The wire form."""
        description = permission.description or UNSET
        return cls(id=permission.id, name=permission.name, slug=permission.slug, description=description)


class RoleData(Data):
    """A role with its permissions."""

    id: str
    name: str
    description: str | UnsetType = UNSET
    permissions: list[PermissionData] | UnsetType = UNSET

    @classmethod
    def of(cls, role: Role) -> "RoleData":
        """The wire form; what is empty is absent."""
        return cls(
            id=role.id,
            name=role.name,
            description=role.description or UNSET,
            permissions=[PermissionData.of(permission) for permission in role.permissions] or UNSET,
        )


class OutcomesData(Data):
    """How verifications ended."""

    valid: int
    not_found: int
    forbidden: int
    usage_exceeded: int
    rate_limited: int
    unauthorized: int
    disabled: int
    insufficient_permissions: int
    expired: int
    total: int

    @classmethod
    def of(cls, counts: Counts) -> "OutcomesData":
        """The wire form."""
        outcomes = counts.outcomes
        return cls(
            valid=outcomes["valid"],
            not_found=outcomes["notFound"],
            forbidden=outcomes["forbidden"],
            usage_exceeded=outcomes["usageExceeded"],
            rate_limited=outcomes["rateLimited"],
            unauthorized=outcomes["unauthorized"],
            disabled=outcomes["disabled"],
            insufficient_permissions=outcomes["insufficientPermissions"],
            expired=outcomes["expired"],
            total=counts.total,
        )


class KeyData(Data):
    """A key. `plaintext` is there only where decryption was asked for and the key is recoverable."""

    key_id: str
    start: str
    enabled: bool
    created_at: int
    api_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    updated_at: int | UnsetType = UNSET
    last_used_at: int | UnsetType = UNSET
    expires: int | UnsetType = UNSET
    permissions: list[str] | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    credits: CreditsData | UnsetType = UNSET
    identity: IdentityData | UnsetType = UNSET
    ratelimits: list[LimitData] | UnsetType = UNSET
    ip_whitelist: list[str] | UnsetType = UNSET
    lineage_id: str | UnsetType = UNSET
    plaintext: str | UnsetType = UNSET
    usage: Annotated[
        OutcomesData | UnsetType, Meta(description="Of the last 30 days, where it was asked for.")
    ] = UNSET

    @classmethod
    def of(cls, view: KeyView, usage: Counts | None = None) -> "KeyData":
        """The wire form; what is empty is absent."""
        key = view.key
        return cls(
            key_id=key.id,
            start=key.start,
            enabled=key.enabled,
            created_at=key.created_ms,
            api_id=key.api_id or UNSET,
            name=key.name or UNSET,
            meta=key.meta or UNSET,
            updated_at=key.updated_ms or UNSET,
            last_used_at=view.last_used_ms or UNSET,
            expires=UNSET if key.expires_ms is None else key.expires_ms,
            permissions=list(view.permissions) or UNSET,
            roles=list(view.roles) or UNSET,
            credits=UNSET if view.credits is None else CreditsData.of(view.credits),
            identity=UNSET if view.identity is None else IdentityData.of(view.identity),
            ratelimits=[LimitData.of(rule) for rule in view.limits] or UNSET,
            ip_whitelist=list(key.ip_whitelist) or UNSET,
            lineage_id=key.lineage_id,
            plaintext=view.text or UNSET,
            usage=UNSET if usage is None else OutcomesData.of(usage),
        )


def paged(items: Sequence[T], limit: int, ids: Sequence[str]) -> Page[T]:
    """A page of `limit` items out of one more; the extra one's id is where the next page begins."""
    return Page(items[:limit], ids[limit] if len(ids) > limit else None)
