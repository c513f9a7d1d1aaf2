"""The family `auditLogs`: who did what to what."""

from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.audit import Filter, Row
from latchwork.surfaces.rpc.bodies import Body, Count, Data
from latchwork.surfaces.rpc.procedures import Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import Cursor, Limit, paged

family: Family[Services] = Family("auditLogs", "Who did what to what, in a log that can only grow.")

T = TypeVar("T")
Word = Annotated[str, Meta(min_length=1, max_length=255)]


class ListAuditLogs(Body):
    """Which rows: everything that is given must hold."""

    limit: Limit = 100
    cursor: Cursor = ""
    events: Annotated[
        list[Word], Meta(max_length=50, description="Names of events, or beginnings such as `key.*`.")
    ] = []
    actor_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Who did it, such as a root key's id.")]
        | UnsetType
    ) = UNSET
    resource_type: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Such as `key` or `api`.")] | UnsetType
    ) = UNSET
    resource_id: (
        Annotated[str, Meta(min_length=1, max_length=512, description="The id of what it was done to.")]
        | UnsetType
    ) = UNSET
    correlation_id: (
        Annotated[str, Meta(min_length=1, max_length=255, description="The id of the request that did it.")]
        | UnsetType
    ) = UNSET
    start: Annotated[Count, Meta(description="From when, in milliseconds since the epoch.")] | UnsetType = (
        UNSET
    )
    end: Annotated[Count, Meta(description="Before when.")] | UnsetType = UNSET

    def record(self) -> Filter:
        """The record."""
        return Filter(
            events=tuple(self.events),
            actor_id=_or_none(self.actor_id),
            resource_type=_or_none(self.resource_type),
            resource_id=_or_none(self.resource_id),
            correlation_id=_or_none(self.correlation_id),
            start_ms=_or_none(self.start),
            end_ms=_or_none(self.end),
        )


class ActorData(Data):
    """Who did it: a root key (`key`), an end user, or the operator (`system`)."""

    type: str
    id: str
    name: str | UnsetType = UNSET


class ResourceData(Data):
    """What it was done to; `meta` holds what changed."""

    type: str
    id: str
    name: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET


class AuditLogData(Data):
    """One row. `seq` counts the rows of the workspace without a gap."""

    id: str
    seq: int
    time: int
    event: str
    description: str
    actor: ActorData
    ip: str
    user_agent: str
    correlation_id: str
    resources: list[ResourceData]

    @classmethod
    def of(cls, row: Row) -> "AuditLogData":
        """The wire form."""
        actor = row.actor
        return cls(
            id=row.id,
            seq=row.seq,
            time=row.time_ms,
            event=row.event,
            description=row.display,
            actor=ActorData(type=actor["type"], id=actor["id"], name=actor["name"] or UNSET),
            ip=row.remote_ip,
            user_agent=row.user_agent,
            correlation_id=row.correlation_id,
            resources=[
                ResourceData(
                    type=each["type"],
                    id=each["id"],
                    name=each["name"] or UNSET,
                    meta=each["meta"] or UNSET,
                )
                for each in row.resources
            ],
        )


@family.procedure(
    "list",
    answers=Page[AuditLogData],
    summary="Read the audit log",
    permission="workspace.*.read_audit_log or unkey:v1:<workspaceId>:auditLogs/*#read",
    example={"events": ["key.*"], "limit": 50},
)
async def list_audit_logs(call: Request, body: ListAuditLogs) -> Page[AuditLogData]:
    """Answers the workspace's rows, the newest first. That they were read is recorded too."""
    found = await call.platform.audit_log.page(
        call.who, body.record(), cursor=body.cursor, limit=body.limit + 1
    )
    return paged([AuditLogData.of(row) for row in found], body.limit, [row.id for row in found])


def _or_none(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
