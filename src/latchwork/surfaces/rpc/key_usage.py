"""How often keys were verified, in the family `keys`, in the words of the version before."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import (
    AnalyticsNotConfigured,
    AnalyticsUnavailable,
    BadQuestion,
    Counts,
    QueryTimeout,
)
from latchwork.domains.keys import KeyNotFound
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc import key_lists
from latchwork.surfaces.rpc.bodies import Body, Count, Data
from latchwork.surfaces.rpc.procedures import Spread
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import KeyId

family = key_lists.family  # this adds to it

DAY_MS = 24 * 3_600_000
_PAGE = 1_000
Owner = Annotated[str, Meta(min_length=1, max_length=255, description="All keys of this identity.")]


class DaysOf(Body):
    """Whose verifications, and when: of one key, or of all keys of an identity."""

    key_id: KeyId | UnsetType = UNSET
    external_id: Owner | UnsetType = UNSET
    owner_id: Annotated[Owner, Meta(description="Another name for `externalId`.")] | UnsetType = UNSET
    start: (
        Annotated[Count, Meta(description="In milliseconds since the epoch; 24 hours ago by default.")]
        | UnsetType
    ) = UNSET
    end: Annotated[Count, Meta(description="Now by default.")] | UnsetType = UNSET
    granularity: Literal["day"] = "day"
    cursor: Annotated[str, Meta(max_length=20, pattern=r"^[0-9]*$")] = ""


class DayData(Data):
    """One day, which begins at `time`, in UTC."""

    time: int
    success: int
    rate_limited: int
    usage_exceeded: int


class DaysData(Data):
    """The days, oldest first; none where nothing was verified."""

    verifications: list[DayData]


class DaysPagination(Data):
    """Whether there are more days, and where they begin."""

    has_more: bool
    cursor: str | UnsetType = UNSET


class DaysPage(Data):
    """Some of the days."""

    data: DaysData
    pagination: DaysPagination

    @classmethod
    def of(cls, days: Sequence[Counts], begin: int) -> "DaysPage":
        """The page that begins with that day."""
        end = begin + _PAGE
        shown = [
            DayData(
                time=counts.time_ms or 0,
                success=counts.outcomes["valid"],
                rate_limited=counts.outcomes["rateLimited"],
                usage_exceeded=counts.outcomes["usageExceeded"],
            )
            for counts in days[begin:end]
        ]
        has_more = end < len(days)
        pagination = DaysPagination(has_more=has_more, cursor=str(end) if has_more else UNSET)
        return cls(data=DaysData(verifications=shown), pagination=pagination)


@family.procedure(
    "getVerifications",
    methods=("GET",),
    answers=Spread[DaysPage],
    summary="Count verifications of keys by day",
    permission="read_key, read_api or read_analytics of every API that is involved, by id or with *",
    faults=[KeyNotFound, BadQuestion, AnalyticsNotConfigured, AnalyticsUnavailable, QueryTimeout],
    example={"keyId": "key_1234567890", "start": 1700000000000},
)
async def get_verifications(call: Request, query: DaysOf) -> Spread[DaysPage]:
    """Counts the verifications of a key, or of all keys of an identity, by day.

    Days are counted whole, from that of `start` to that of `end`.
    """
    end_ms = call.now_ms + 1 if isinstance(query.end, UnsetType) else query.end
    start_ms = call.now_ms - DAY_MS if isinstance(query.start, UnsetType) else query.start
    named = [name for name in (query.key_id, query.external_id, query.owner_id) if name is not UNSET]
    if len(named) != 1:
        raise BadRequest("Give either `keyId` or `externalId` (which `ownerId` is another name for).")
    usage = call.platform.key_usage
    if isinstance(query.key_id, UnsetType):
        days = await usage.days_of_owner(call.who, str(named[0]), start_ms, end_ms)
    else:
        days = await usage.days_of_key(call.who, query.key_id, start_ms, end_ms)
    return Spread(DaysPage.of(days, int(query.cursor or 0)))
