"""The family `ratelimit`: limits on anything that has a name, and overrides for some of it."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.ratelimits import (
    ENFORCE,
    SHADOW,
    SLIDING_WINDOW,
    Algorithm,
    LimitAnswer,
    LimitAsked,
    LimitRequest,
    Mode,
    NamespaceGone,
    NamespaceNotFound,
    Override,
    OverrideNotFound,
)
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.http.hot import Answer, HotHandler
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Empty, Positive
from latchwork.surfaces.rpc.procedures import Family, Page, Rendered
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import Cursor, Duration, Limit, paged

family: Family[Services] = Family("ratelimit", "Rate limits on anything that has a name, with overrides.")

LONGEST_MS = 2_592_000_000  # 30 days
Identifier = Annotated[str, Meta(min_length=1, max_length=512, description="Whom or what to limit.")]
NamespaceName = Annotated[
    str, Meta(min_length=1, max_length=512, description="The namespace's name or id; created when new.")
]
_encode = msgspec.json.Encoder().encode


class LimitIdentifier(Body):
    """One question: may this identifier go on?"""

    namespace: NamespaceName
    identifier: Identifier
    limit: Annotated[Positive, Meta(description="How much may be taken per duration.")]
    duration: Annotated[int, Meta(ge=1000, le=LONGEST_MS, description="In milliseconds, up to 30 days.")]
    cost: Annotated[Count, Meta(description="How much to take; 0 only looks.")] = 1
    algorithm: Algorithm = SLIDING_WINDOW
    burst: (
        Annotated[
            Positive,
            Meta(
                description="Size of a token bucket; its limit by default. At most the limit of an override."
            ),
        ]
        | UnsetType
    ) = UNSET
    mode: Annotated[Mode, Meta(description="`shadow` counts and reports, but never refuses.")] = ENFORCE


class LimitedData(Data):
    """Whether it may go on. `reset` is the end of the window in milliseconds since the epoch."""

    success: bool
    limit: int
    remaining: int
    reset: int
    override_id: str | UnsetType = UNSET
    would_exceed: bool | UnsetType = UNSET


def record_of(body: LimitIdentifier) -> LimitRequest:
    """The record of a question."""
    return LimitRequest(
        body.namespace,
        body.identifier,
        body.limit,
        body.duration,
        body.cost,
        body.algorithm,
        None if isinstance(body.burst, UnsetType) else body.burst,
        body.mode,
    )


def _body(request_id: str, request: LimitRequest, answer: LimitAnswer) -> bytes:
    state = answer.state
    return b'{"meta":{"requestId":"%b"},"data":{"success":%b,"limit":%d,"remaining":%d,"reset":%d%b%b}}' % (
        request_id.encode(),
        b"false" if state.exceeded else b"true",
        answer.limit,
        state.remaining,
        state.reset_ms,
        b"" if answer.override_id is None else b',"overrideId":%b' % _encode(answer.override_id),
        b"" if request.mode != SHADOW else b',"wouldExceed":%b' % _encode(state.would_exceed),
    )


def hot_limit(services: Services) -> HotHandler:
    """The handler that answers from memory, or when the shared counters have counted.

    What it does not accept goes the ordinary way.
    """
    decode = msgspec.json.Decoder(LimitIdentifier).decode
    known, now, limiter = services.callers.known, services.clock.now_ms, services.limiter
    attempt: Callable[..., Any] = limiter.ask if limiter.is_shared else limiter.attempt
    answered: Callable[[str, LimitRequest, Any], bytes | LimitLater]
    answered = LimitLater if limiter.is_shared else _body

    def limit(token: bytes, body: bytes, ip: str) -> "bytes | LimitLater | None":
        now_ms = now()
        caller = known(token, now_ms)
        if caller is None or not body.isascii():
            return None
        try:
            request = record_of(decode(body))
        except msgspec.MsgspecError:
            return None
        request_id = new_request_id()
        answer = attempt(caller.workspace_id, caller.permissions, request, request_id, now_ms)
        return None if answer is None else answered(request_id, request, answer)

    return limit


class LimitLater:
    """An answer that leaves when the shared counters have counted."""

    __slots__ = ("_asked", "_request", "_request_id")

    def __init__(self, request_id: str, request: LimitRequest, asked: LimitAsked) -> None:
        self._asked = asked
        self._request = request
        self._request_id = request_id

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """See `surfaces.http.hot.Later`."""
        self._asked.then(lambda answer: callback(_body(self._request_id, self._request, answer)))


@family.procedure(
    "limit",
    answers=LimitedData,
    summary="Limit an identifier",
    permission=(
        "ratelimit.*.limit or ratelimit.<namespaceId>.limit; "
        "ratelimit.*.create_namespace where the namespace is new"
    ),
    faults=[NamespaceGone],
    allows_nul=True,
    urgency="prompt",
    heat=hot_limit,
    example={"namespace": "email.send", "identifier": "user_42", "limit": 10, "duration": 60000},
)
async def limit(call: Request, body: LimitIdentifier) -> Rendered:
    """Takes `cost` if it fits and says whether it did; always 200, a refusal is `success: false`.

    `X-Unkey-Metrics: disabled` keeps the event out of analytics.
    """
    request = _storable(record_of(body))
    await call.platform.operations.charge(call.who.workspace_id, call.who.operations_per_month)
    answer = await call.platform.limiter.limit(
        call.who, request, decided_at(call), observe=call.header("x-unkey-metrics") != "disabled"
    )
    return Rendered(_body(call.request_id, request, answer))


class OneLimited(Data):
    """One of the answers, `namespace` as it was sent."""

    namespace: str
    identifier: str
    limit: int
    remaining: int
    reset: int
    passed: bool
    override_id: str | UnsetType = UNSET
    would_exceed: bool | UnsetType = UNSET

    @classmethod
    def of(cls, request: LimitRequest, answer: LimitAnswer) -> "OneLimited":
        """The wire form."""
        return cls(
            namespace=request.namespace,
            identifier=request.identifier,
            limit=answer.limit,
            remaining=answer.state.remaining,
            reset=answer.state.reset_ms,
            passed=not answer.state.exceeded,
            override_id=UNSET if answer.override_id is None else answer.override_id,
            would_exceed=answer.state.would_exceed if request.mode == SHADOW else UNSET,
        )


class ManyLimited(Data):
    """Whether all may go on, and what each limit says, in the order asked."""

    passed: bool
    limits: list[OneLimited]


@family.procedure(
    "multiLimit",
    answers=ManyLimited,
    summary="Limit many identifiers at once",
    permission="ratelimit.*.limit or ratelimit.<namespaceId>.limit for each",
    faults=[NamespaceGone],
    allows_nul=True,
    urgency="prompt",
    example=[
        {"namespace": "requests", "identifier": "user_42", "limit": 100, "duration": 60000},
        {"namespace": "tokens", "identifier": "user_42", "limit": 5000, "duration": 60000, "cost": 320},
    ],
)
async def multi_limit(
    call: Request, body: Annotated[list[LimitIdentifier], Meta(min_length=1, max_length=100)]
) -> ManyLimited:
    """Takes every cost or none. Limits of the same identifier count against each other."""
    requests = [_storable(record_of(question)) for question in body]
    await call.platform.operations.charge(call.who.workspace_id, call.who.operations_per_month, len(requests))
    answers = await call.platform.limiter.limit_all(call.who, requests, decided_at(call))
    items = [OneLimited.of(request, answer) for request, answer in zip(requests, answers, strict=True)]
    return ManyLimited(passed=all(item.passed for item in items), limits=items)


@family.procedure(
    "getStatus",
    answers=LimitedData,
    summary="Look at a limit",
    permission="ratelimit.*.limit or ratelimit.<namespaceId>.limit",
    faults=[NamespaceGone],
    allows_nul=True,
    example={"namespace": "email.send", "identifier": "user_42", "limit": 10, "duration": 60000},
)
async def get_status(call: Request, body: LimitIdentifier) -> Rendered:
    """Answers what `limit` would, and takes nothing."""
    request = _storable(record_of(body))
    answer = await call.platform.limiter.status(call.who, request, decided_at(call))
    return Rendered(_body(call.request_id, request, answer))


class SetOverride(Body):
    """Another limit for an identifier, or for all that match a pattern with `*`."""

    namespace: NamespaceName
    identifier: Annotated[str, Meta(min_length=1, max_length=512, description="`*` stands for anything.")]
    limit: Annotated[Count, Meta(description="0 refuses everything.")]
    duration: Duration
    expires_at: (
        Annotated[Count, Meta(description="Until when it holds, in milliseconds since the epoch.")]
        | UnsetType
    ) = UNSET
    reason: Annotated[str, Meta(max_length=512, description="Why, for people.")] | UnsetType = UNSET


class SetOverrideData(Data):
    """The id of the override."""

    override_id: str


@family.procedure(
    "setOverride",
    answers=SetOverrideData,
    summary="Set an override",
    permission="ratelimit.*.set_override or ratelimit.<namespaceId>.set_override",
    faults=[NamespaceNotFound],
    example={"namespace": "email.send", "identifier": "vip_*", "limit": 1000, "duration": 60000},
)
async def set_override(call: Request, body: SetOverride) -> SetOverrideData:
    """Sets the limit of an identifier, in force from this answer on; the same identifier keeps its override's id."""
    override = await call.platform.overrides.set(
        call.who,
        namespace=body.namespace,
        identifier=body.identifier,
        limit=body.limit,
        duration_ms=body.duration,
        expires_ms=None if isinstance(body.expires_at, UnsetType) else body.expires_at,
        reason=None if isinstance(body.reason, UnsetType) else body.reason,
    )
    return SetOverrideData(override_id=override.id)


class NameOverride(Body):
    """Which override."""

    namespace: NamespaceName
    identifier: Identifier


class OverrideData(Data):
    """An override."""

    override_id: str
    identifier: str
    limit: int
    duration: int
    expires_at: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET

    @classmethod
    def of(cls, override: Override) -> "OverrideData":
        """The wire form."""
        return cls(
            override_id=override.id,
            identifier=override.identifier,
            limit=override.limit,
            duration=override.duration_ms,
            expires_at=UNSET if override.expires_at_ms is None else override.expires_at_ms,
            reason=override.reason or UNSET,
        )


@family.procedure(
    "getOverride",
    answers=OverrideData,
    summary="Get the override that holds for an identifier",
    permission="ratelimit.*.read_override or ratelimit.<namespaceId>.read_override",
    faults=[NamespaceNotFound, OverrideNotFound],
    example={"namespace": "email.send", "identifier": "vip_7"},
)
async def get_override(call: Request, body: NameOverride) -> OverrideData:
    """Answers the rule that matches: the identifier's own, else the most specific pattern."""
    found = await call.platform.overrides.get(call.who, namespace=body.namespace, identifier=body.identifier)
    return OverrideData.of(found)


class ListOverrides(Body):
    """Which page of which namespace."""

    namespace: NamespaceName
    limit: Limit = 50
    cursor: Cursor = ""


@family.procedure(
    "listOverrides",
    answers=Page[OverrideData],
    summary="List overrides",
    permission="ratelimit.*.read_override or ratelimit.<namespaceId>.read_override",
    faults=[NamespaceNotFound],
    example={"namespace": "email.send"},
)
async def list_overrides(call: Request, body: ListOverrides) -> Page[OverrideData]:
    """Answers a namespace's overrides, oldest first."""
    found = await call.platform.overrides.page(
        call.who, namespace=body.namespace, cursor=body.cursor, limit=body.limit + 1
    )
    return paged([OverrideData.of(item) for item in found], body.limit, [item.id for item in found])


@family.procedure(
    "deleteOverride",
    answers=Empty,
    summary="Delete an override",
    permission="ratelimit.*.delete_override or ratelimit.<namespaceId>.delete_override",
    faults=[NamespaceNotFound, OverrideNotFound],
    example={"namespace": "email.send", "identifier": "vip_*"},
)
async def delete_override(call: Request, body: NameOverride) -> Empty:
    """Deletes the override of exactly that identifier or pattern."""
    await call.platform.overrides.delete(call.who, namespace=body.namespace, identifier=body.identifier)
    return Empty()


def decided_at(call: Request) -> int:
    """When a limit is decided: now, or where the test clock is on when `X-Test-Time` says."""
    told = call.header("x-test-time") if call.platform.test_clock else None
    if told is None:
        return call.now_ms
    if not told.isascii() or not told.isdigit() or len(told) > 15:
        raise BadRequest("`X-Test-Time` is a time in milliseconds since the epoch.")
    return int(told)


def storable(text: str, name: str) -> str:
    """The text, unless no database could keep it; identifiers are only counted, and may be anything."""
    if "\0" in text:
        raise BadRequest(f"`{name}` must not hold a NUL character.")
    return text


def _storable(request: LimitRequest) -> LimitRequest:
    storable(request.namespace, "namespace")
    return request
