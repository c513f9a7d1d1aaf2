"""The family `analytics`: how often keys were verified, and how it ended."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from latchwork.domains.analytics import (
    AnalyticsNotConfigured,
    AnalyticsUnavailable,
    BadQuestion,
    Counts,
    InvalidFunction,
    InvalidQuery,
    InvalidQueryType,
    InvalidTable,
    QueryMemoryExceeded,
    QueryQuotaExceeded,
    QueryRowsExceeded,
    QueryTimeout,
    RangeExceedsRetention,
    VerificationsQuestion,
)
from latchwork.domains.analytics.records import Group, OrderBy
from latchwork.domains.identities import IdentityNotFound
from latchwork.domains.keys import ApiNotFound
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Positive, TolerantBody
from latchwork.surfaces.rpc.procedures import Family, Page, Rendered
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import ApiId, OutcomesData

family: Family[Services] = Family("analytics", "How often keys were verified, and how it ended.")


class VerificationsOf(Body):
    """Which verifications, in which groups."""

    api_id: ApiId
    start: Annotated[Count, Meta(description="In milliseconds since the epoch.")]
    end: Annotated[Count, Meta(description="Before when; now by default.")] | UnsetType = UNSET
    external_id: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    key_id: Annotated[list[str], Meta(max_length=100, description="Only these keys; repeatable.")] = []
    tag: Annotated[
        list[str], Meta(max_length=20, description="Events that carry all of them; repeatable.")
    ] = []
    group_by: Annotated[list[Group], Meta(max_length=7, description="Repeatable.")] = []
    order_by: OrderBy | UnsetType = UNSET
    order: Literal["asc", "desc"] = "asc"
    limit: Positive | UnsetType = UNSET
    cursor: Annotated[str, Meta(max_length=20, pattern=r"^[0-9]*$")] = ""


class GroupIdentity(Data):
    """Whose events a group counts."""

    id: str
    external_id: str


class VerificationsData(OutcomesData):
    """One group. `time` is the start of its bucket."""

    time: int | UnsetType = UNSET
    key_id: str | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    identity: GroupIdentity | UnsetType = UNSET

    @classmethod
    def of(cls, counts: Counts) -> "VerificationsData":
        """The wire form."""
        identity: GroupIdentity | UnsetType = UNSET
        if counts.identity_id is not None:
            identity = GroupIdentity(id=counts.identity_id, external_id=counts.external_id or "")
        return cls(
            **asdict(OutcomesData.of(counts)),
            time=UNSET if counts.time_ms is None else counts.time_ms,
            key_id=UNSET if counts.key_id is None else counts.key_id,
            tag=UNSET if counts.tag is None else counts.tag,
            tags=UNSET if counts.tags is None else list(counts.tags),
            identity=identity,
        )


@family.procedure(
    "getVerifications",
    methods=("GET",),
    answers=Page[VerificationsData],
    summary="Count verifications",
    permission="api.<apiId>.read_analytics or api.<apiId>.read_api (or with *)",
    faults=[
        ApiNotFound,
        IdentityNotFound,
        BadQuestion,
        AnalyticsNotConfigured,
        AnalyticsUnavailable,
        QueryTimeout,
    ],
    example={"apiId": "api_1234567890", "start": 1700000000000, "groupBy": ["hour"]},
)
async def get_verifications(call: Request, query: VerificationsOf) -> Page[VerificationsData]:
    """Counts an API's verifications by outcome; with a bucket of time, empty buckets are there too.

    Buckets are counted whole: an hour if it begins between `start` and `end`, a day or a month if one of its
    days lies there. Verifications are counted a second after their answer at the latest. Keys that were not found are
    not recorded.
    """
    api = await call.platform.apis.observed(call.who, query.api_id)
    external_id = None if isinstance(query.external_id, UnsetType) else query.external_id
    if external_id is not None:
        await call.platform.identities.must_exist(call.who, external_id)
    question = VerificationsQuestion(
        workspace_id=call.who.workspace_id,
        keyspace_id=api.keyspace_id,
        start_ms=query.start,
        end_ms=call.now_ms + 1 if isinstance(query.end, UnsetType) else query.end,
        key_ids=tuple(query.key_id),
        external_id=external_id,
        tags=tuple(query.tag),
        group_by=frozenset(query.group_by),
        order_by=None if isinstance(query.order_by, UnsetType) else query.order_by,
        descending=query.order == "desc",
    )
    found = await call.platform.analytics.get_chart(question)
    begin = int(query.cursor or 0)
    size = len(found) if isinstance(query.limit, UnsetType) else query.limit
    rest = begin + size
    page = [VerificationsData.of(counts) for counts in found[begin:rest]]
    return Page(page, str(rest) if rest < len(found) else None)


_ASKING_FAULTS = [
    InvalidQuery,
    InvalidQueryType,
    InvalidTable,
    InvalidFunction,
    RangeExceedsRetention,
    AnalyticsNotConfigured,
    QueryTimeout,
    QueryMemoryExceeded,
    QueryRowsExceeded,
    QueryQuotaExceeded,
    AnalyticsUnavailable,
]


class Ask(TolerantBody):
    """A query."""

    query: Annotated[
        str, Meta(max_length=10_000, description="One SELECT in ClickHouse's SQL; see the page on analytics.")
    ]


@family.procedure(
    "getVerifications",
    answers=list[dict[str, Any]],
    summary="Ask about verifications in SQL",
    permission="api.*.read_analytics, or api.<apiId>.read_analytics for one API at least",
    faults=_ASKING_FAULTS,
    example={
        "query": "SELECT outcome, count() AS verifications FROM key_verifications_v1 "
        "WHERE time >= toUnixTimestamp64Milli(now64() - INTERVAL 7 DAY) GROUP BY outcome"
    },
)
async def ask_verifications(call: Request, body: Ask) -> Rendered:
    """Answers a query over `key_verifications_v1` and `key_verifications_per_{minute,hour,day,month}_v1`.

    It sees the verifications of the workspace, and where the caller may read the analytics of some APIs only,
    of those. Verifications are there a second after their answer at the latest. Each row is an object of
    columns by name.
    """
    keyspaces = await call.platform.apis.observed_keyspaces(call.who)
    return await _asked(call, body, "verifications", keyspaces)


@family.procedure(
    "getRatelimits",
    answers=list[dict[str, Any]],
    summary="Ask about rate limits in SQL",
    permission="ratelimit.*.read_analytics, or ratelimit.<namespaceId>.read_analytics for one namespace at least",
    faults=_ASKING_FAULTS,
    example={
        "query": "SELECT identifier, countIf(NOT passed) AS refused FROM ratelimits_v1 "
        "GROUP BY identifier ORDER BY refused DESC LIMIT 10"
    },
)
async def ask_ratelimits(call: Request, body: Ask) -> Rendered:
    """Answers a query over `ratelimits_v1` and `ratelimits_per_{minute,hour,day,month}_v1`.

    It sees the limits asked for in the workspace, and where the caller may read the analytics of some
    namespaces only, in those. Requests with `X-Unkey-Metrics: disabled` are not among them.
    """
    return await _asked(call, body, "ratelimits", call.who.among("ratelimit", "read_analytics"))


async def _asked(
    call: Request, body: Ask, family: Literal["verifications", "ratelimits"], spaces: Iterable[str] | None
) -> Rendered:
    rows = await call.platform.analytics.ask(
        body.query,
        family=family,
        workspace_id=call.who.workspace_id,
        spaces=None if spaces is None else sorted(spaces),
    )
    return Rendered(b'{"meta":{"requestId":"%b"},"data":%b}' % (call.request_id.encode(), rows))
