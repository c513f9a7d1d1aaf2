"""The family `workspace`: what the workspace may use, and what it has used."""

from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.analytics import AnalyticsNotConfigured, QueryTimeout, Usage
from latchwork.domains.workspaces import MOST, Quotas, first_of, following_month_ms, month_start_ms
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc.bodies import Body, Data
from latchwork.surfaces.rpc.procedures import Family
from latchwork.surfaces.rpc.services import Request, Services

family: Family[Services] = Family("workspace", "What the workspace may use, and what it has used.")

_REACH_MS = 90 * 86_400_000  # of a month that may be asked for, as upstream


class LimitData(Data):
    """A limit, null for none, and what is used of it now where that can be told."""

    limit: int | None
    current: int | UnsetType = UNSET


class LimitsData(Data, rename="camel"):
    """The limits of the workspace."""

    api_billable_operations_count_max_per_month: LimitData
    api_requests_count_max_per_minute: LimitData
    logs_retention_days_max: LimitData
    logs_audit_retention_days_max: LimitData
    logdrains_max: LimitData

    @classmethod
    def of(cls, quotas: Quotas, usage: Usage | None) -> "LimitsData":
        """The wire form; there are no log drains."""
        used: int | UnsetType = UNSET if usage is None else usage.verifications + usage.ratelimits
        return cls(
            api_billable_operations_count_max_per_month=LimitData(
                limit=quotas.operations_per_month, current=used
            ),
            api_requests_count_max_per_minute=LimitData(limit=quotas.requests_per_minute),
            logs_retention_days_max=LimitData(limit=quotas.logs_retention_days),
            logs_audit_retention_days_max=LimitData(limit=quotas.audit_retention_days),
            logdrains_max=LimitData(limit=quotas.log_drains, current=0),
        )


@family.procedure(
    "getLimits",
    answers=LimitsData,
    summary="Get the workspace's limits",
    permission="workspace.*.read_limits or unkey:v1:<workspaceId>:limits#read",
    faults=[QueryTimeout],
)
async def get_limits(call: Request) -> LimitsData:
    """Answers every limit of the workspace, null for none, and what is used of it where that can be told.

    Operations are verifications and limits of the current calendar month (UTC).
    """
    quotas = await call.platform.workspace_limits.get(call.who)
    return LimitsData.of(quotas, await _used_this_month(call))


async def _used_this_month(call: Request) -> Usage | None:
    try:
        return await call.platform.analytics.usage(
            call.who.workspace_id, month_start_ms(call.now_ms), call.now_ms + 1
        )
    except AnalyticsNotConfigured:
        return None


Many = Annotated[int, Meta(ge=0, le=MOST)]
Days = Annotated[int, Meta(ge=1, le=36_500)]


class UpdateLimits(Body):
    """What to change: a number, or null for no limit; what is absent stays."""

    api_requests_per_minute: (
        Annotated[Many | None, Meta(description="Authenticated requests; 0 refuses all.")] | UnsetType
    ) = UNSET
    api_requests_count_max_per_minute: (
        Annotated[Many | None, Meta(description="The same, as `getLimits` calls it.")] | UnsetType
    ) = UNSET
    api_billable_operations_count_max_per_month: (
        Annotated[Many | None, Meta(description="Verifications and limits per calendar month (UTC).")]
        | UnsetType
    ) = UNSET
    logs_retention_days_max: (
        Annotated[Days | None, Meta(description="How far analytics reach back.")] | UnsetType
    ) = UNSET
    logs_audit_retention_days_max: (
        Annotated[Days | None, Meta(description="How far `auditLogs.list` reaches back.")] | UnsetType
    ) = UNSET
    logdrains_max: Annotated[Many | None, Meta(description="Kept; there are no log drains.")] | UnsetType = (
        UNSET
    )

    def changes(self) -> dict[str, int | None]:
        """What to change of the record; raises `BadRequest` where one thing is said twice, differently."""
        per_minute = [
            each
            for each in (self.api_requests_per_minute, self.api_requests_count_max_per_minute)
            if not isinstance(each, UnsetType)
        ]
        if len(set(per_minute)) > 1:
            raise BadRequest(
                "`apiRequestsPerMinute` and `apiRequestsCountMaxPerMinute` are two names of one limit."
            )
        given = {
            "requests_per_minute": per_minute[0] if per_minute else UNSET,
            "operations_per_month": self.api_billable_operations_count_max_per_month,
            "logs_retention_days": self.logs_retention_days_max,
            "audit_retention_days": self.logs_audit_retention_days_max,
            "log_drains": self.logdrains_max,
        }
        return {name: value for name, value in given.items() if not isinstance(value, UnsetType)}


@family.procedure(
    "updateLimits",
    answers=LimitsData,
    summary="Change the workspace's limits",
    permission="workspace.*.update_limits or unkey:v1:<workspaceId>:limits#write",
    faults=[QueryTimeout],
    example={"apiRequestsPerMinute": 600, "logsAuditRetentionDaysMax": None},
    metered=False,  # else a limit of 0 could never be lifted
)
async def update_limits(call: Request, body: UpdateLimits) -> LimitsData:
    """Changes what is given, in force for the very next request, and answers all limits.

    It is not held to the limit of requests itself, so that any can be undone.
    """
    quotas = await call.platform.workspace_limits.update(call.who, body.changes())
    return LimitsData.of(quotas, await _used_this_month(call))


class PeriodOf(Body):
    """A calendar month, in UTC."""

    year: Annotated[int, Meta(ge=2000, le=2100)]
    month: Annotated[int, Meta(ge=1, le=12)]


class GetUsage(Body):
    """Which month; the current one by default."""

    period: PeriodOf | UnsetType = UNSET


class PeriodData(Data):
    """From when to before when, in milliseconds since the epoch; the current month ends now."""

    start: int
    end: int


class ApiUsageData(Data):
    """How many keys were verified and limits checked."""

    verifications: int
    ratelimits: int


class ComputeUsageData(Data):
    """There is no compute here."""

    cpu_seconds: int
    memory_gi_b_hours: int
    storage_gi_b_hours: int
    egress_gi_b: int


class GatewayUsageData(Data):
    """There is no gateway here."""

    active_keys: int


class TotalsData(Data):
    """What was used."""

    api: ApiUsageData
    compute: ComputeUsageData
    gateway: GatewayUsageData


class BreakdownsData(Data):
    """Always empty, as there are neither environments nor apps."""

    by_environment: list[str]
    by_app: list[str]


class UsageData(Data):
    """What the workspace has used in a month."""

    period: PeriodData
    totals: TotalsData
    breakdowns: BreakdownsData


@family.procedure(
    "getUsage",
    answers=UsageData,
    summary="Get the workspace's usage",
    permission="workspace.*.read_usage or unkey:v1:<workspaceId>:usage#read",
    faults=[AnalyticsNotConfigured, QueryTimeout],
    example={"period": {"year": 2026, "month": 11}},
)
async def get_usage(call: Request, body: GetUsage) -> UsageData:
    """Counts what analytics have recorded of a calendar month (UTC) that began within the last 90 days."""
    call.who.must("workspace", "*", "read_usage")
    start_ms, end_ms = _span(body.period, call.now_ms + 1)  # what is recorded in this millisecond counts
    usage = await call.platform.analytics.usage(call.who.workspace_id, start_ms, end_ms)
    return UsageData(
        period=PeriodData(start=start_ms, end=min(end_ms, call.now_ms)),
        totals=TotalsData(
            api=ApiUsageData(verifications=usage.verifications, ratelimits=usage.ratelimits),
            compute=ComputeUsageData(cpu_seconds=0, memory_gi_b_hours=0, storage_gi_b_hours=0, egress_gi_b=0),
            gateway=GatewayUsageData(active_keys=0),
        ),
        breakdowns=BreakdownsData(by_environment=[], by_app=[]),
    )


def _span(period: PeriodOf | UnsetType, now_ms: int) -> tuple[int, int]:
    this_month_ms = month_start_ms(now_ms)
    start_ms = this_month_ms if isinstance(period, UnsetType) else first_of(period.year, period.month)
    if start_ms > now_ms:
        raise BadRequest("`period` must not be in the future.")
    if start_ms < min(now_ms - _REACH_MS, this_month_ms):
        since = datetime.fromtimestamp((now_ms - _REACH_MS) / 1000, UTC).date()
        raise BadRequest(f"`period` must begin within the last 90 days, on {since} or later.")
    return start_ms, min(following_month_ms(start_ms), now_ms)
