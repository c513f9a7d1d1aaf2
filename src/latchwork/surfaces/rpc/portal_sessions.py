"""The procedures of the family `portal` that end users call, and the portal session that they call them with."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import (
    AnalyticsNotConfigured,
    Counts,
    QueryTimeout,
    RangeExceedsRetention,
    Series,
)
from latchwork.domains.keys import ApiNotFound, KeyNotFound
from latchwork.domains.portals import PortalSessionNotFound, Visitor
from latchwork.domains.workspaces import WorkspaceDisabled
from latchwork.kernel.faults import (
    BadRequest,
    Forbidden,
    InsufficientPermissions,
    PreconditionFailed,
    TooManyRequests,
)
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.rpc.bodies import Body, Count, Data, or_none
from latchwork.surfaces.rpc.keys import CreatedKey, RerollKey
from latchwork.surfaces.rpc.portal import family
from latchwork.surfaces.rpc.procedures import Call, Credential, Page, Spread, Visit
from latchwork.surfaces.rpc.services import Services
from latchwork.surfaces.rpc.shapes import Cursor, KeyData, KeyId, Limit, paged

__all__ = ["COOKIE", "PORTAL_SESSION", "PortalCall", "PortalTokenMissing", "family"]

COOKIE = "portal_session"


class PortalTokenMissing(BadRequest):
    """The request carries no access token of a portal session."""

    code = "unkey/authentication/portal_token_missing"
    default_detail = (
        f"Send the access token of the portal session in the cookie '{COOKIE}', or in the Authorization header "
        "in the format 'Bearer ACCESS_TOKEN'."
    )
    remedy = f"Send the token that `portal.exchangeCode` answered, in the cookie `{COOKIE}` or as a bearer."


class CrossSite(Forbidden):
    """Another site made the end user's browser send its cookie along."""

    default_detail = "The portal session's cookie is not accepted from another site."


@dataclass(slots=True)
class PortalCall(Call[Services]):
    """One request of an end user; `who` may do what the session may."""

    visitor: Visitor = field(kw_only=True)


def _token(headers: Headers) -> bytes:
    """The access token; raises `PortalTokenMissing`."""
    return _bearer(headers) or _cookie(headers) or _missing()


def _missing() -> bytes:
    raise PortalTokenMissing


def _bearer(headers: Headers) -> bytes:
    if headers.repeated(b"authorization"):
        return b""
    scheme, _, token = (headers.get(b"authorization") or b"").strip().partition(b" ")
    return token.strip() if scheme == b"Bearer" else b""


def _cookie(headers: Headers) -> bytes:
    pairs = b";".join(headers.all(b"cookie")).split(b";")
    named = (pair.partition(b"=") for pair in pairs)
    return next(
        (value.strip().strip(b'"') for name, _, value in named if name.strip() == COOKIE.encode()), b""
    )


async def _admit(services: Services, facts: RequestFacts) -> PortalCall:
    token = _token(facts.headers)
    if not _bearer(facts.headers) and facts.headers.get(b"sec-fetch-site") == b"cross-site":
        raise CrossSite
    visitor = await services.portal_sessions.enter(
        token, remote_ip=facts.remote_ip, user_agent=facts.user_agent, request_id=facts.request_id
    )
    return PortalCall(services, facts, who=visitor.who, visitor=visitor)


PORTAL_SESSION: Credential[Services] = Credential(
    schemes={
        "portalSession": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "The access token of a portal session, from portal.exchangeCode.",
        },
        "portalToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "ACCESS_TOKEN",
            "description": "The same access token, in the Authorization header.",
        },
    },
    find=_token,
    admit=_admit,
    faults=(PortalTokenMissing, PortalSessionNotFound, InsufficientPermissions, CrossSite, WorkspaceDisabled),
)


class ExchangeCode(Body):
    """The code of a session's address."""

    code: Annotated[str, Meta(min_length=1, max_length=512)]


class ExchangedCode(Data):
    """The access token, told only here, and until when it works."""

    access_token: str
    expires_at: int


@family.procedure(
    "exchangeCode",
    open=True,
    answers=ExchangedCode,
    summary="Open a portal session",
    faults=[PortalSessionNotFound, TooManyRequests],
    example={"code": "pst_3kTnYe2aFxQv7p1M5jZ8cR4k"},
)
async def exchange_code(visit: Visit[Services], body: ExchangeCode) -> ExchangedCode:
    """Exchanges the code of a session's address, once, for an access token that works for 24 hours.

    Needs no authentication: whoever has the code is the end user. Keep the token in a cookie that scripts
    cannot read.
    """
    opened = await visit.platform.portal_sessions.exchange(
        body.code,
        remote_ip=visit.remote_ip,
        user_agent=visit.facts.user_agent,
        request_id=visit.request_id,
    )
    visit.answer_headers.append((b"pragma", b"no-cache"))
    return ExchangedCode(access_token=opened.token, expires_at=opened.session.expires_ms)


class ListOwnKeys(Body):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor = ""


@family.procedure(
    "listKeys",
    credential=PORTAL_SESSION,
    answers=Page[KeyData],
    summary="List the end user's keys",
    permission="the scope keys:read",
    faults=[ApiNotFound],
    example={"limit": 100},
)
async def list_keys(call: PortalCall, body: ListOwnKeys) -> Page[KeyData]:
    """Answers the keys of the session's end user in the portal's keyspace, oldest first, disabled ones too."""
    found = await call.platform.self_service.page(call.visitor, cursor=body.cursor, limit=body.limit + 1)
    return paged([KeyData.of(view) for view in found], body.limit, [view.key.id for view in found])


@family.procedure(
    "rerollKey",
    credential=PORTAL_SESSION,
    answers=CreatedKey,
    summary="Replace a key of the end user by a new one",
    permission="the scope keys:reroll",
    faults=[ApiNotFound, KeyNotFound, PreconditionFailed],
    example={"keyId": "key_1234567890", "expiration": 0},
)
async def reroll_key(call: PortalCall, body: RerollKey) -> CreatedKey:
    """Issues a new key with everything the old one has, as `keys.rerollKey` does. A key of somebody else is
    not found.

    The text is in this answer and nowhere else. A key with credits of its own has to end at once
    (`expiration` 0), so that nobody has its credits twice. At most 10 an hour for each end user.
    """
    minted = await call.platform.self_service.reroll(call.visitor, body.key_id, grace_ms=body.expiration)
    return CreatedKey(key_id=minted.key_id, key=minted.key)


class UsageOf(Body):
    """Which time: from `startTime` to before `endTime`, in milliseconds since the epoch."""

    start_time: Count
    end_time: Count
    key_id: KeyId | UnsetType = UNSET


class UsagePoint(Data):
    """The verifications of one bucket, which begins at `time`."""

    time: int
    total: int
    valid: int
    rate_limited: int
    insufficient_permissions: int
    forbidden: int
    disabled: int
    expired: int
    usage_exceeded: int

    @classmethod
    def of(cls, counts: Counts) -> "UsagePoint":
        """The wire form."""
        outcomes = counts.outcomes
        return cls(
            time=counts.time_ms or 0,
            total=counts.total,
            valid=outcomes["valid"],
            rate_limited=outcomes["rateLimited"],
            insufficient_permissions=outcomes["insufficientPermissions"],
            forbidden=outcomes["forbidden"],
            disabled=outcomes["disabled"],
            expired=outcomes["expired"],
            usage_exceeded=outcomes["usageExceeded"],
        )


class KeyUsage(Data):
    """One key's buckets, oldest first; the key may have been deleted since."""

    key_id: str
    data: list[UsagePoint]


class Usage(Data):
    """The verifications of each key that has any, and in `data` those of all keys together, without gaps."""

    bucket_millis: int
    keys: list[KeyUsage]
    data: list[UsagePoint]

    @classmethod
    def of(cls, series: Series) -> "Usage":
        """The wire form."""
        keys = [
            KeyUsage(key_id=key_id, data=[UsagePoint.of(each) for each in points])
            for key_id, points in series.by_key.items()
        ]
        return cls(
            bucket_millis=series.bucket_ms, keys=keys, data=[UsagePoint.of(each) for each in series.total]
        )


@family.procedure(
    "getVerifications",
    credential=PORTAL_SESSION,
    answers=Spread[Usage],
    summary="Count the end user's verifications",
    permission="the scope analytics:read",
    faults=[ApiNotFound, RangeExceedsRetention, AnalyticsNotConfigured, QueryTimeout],
    example={"startTime": 1700000000000, "endTime": 1700086400000},
)
async def get_verifications(call: PortalCall, body: UsageOf) -> Spread[Usage]:
    """Counts the verifications of the end user's keys by minute (up to 6 hours), hour (up to 7 days) or day."""
    series = await call.platform.self_service.usage(
        call.visitor, start_ms=body.start_time, end_ms=body.end_time, key_id=or_none(body.key_id)
    )
    return Spread(Usage.of(series))
