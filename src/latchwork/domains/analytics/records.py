"""Events, the questions about them, and the answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OUTCOMES = {
    "valid": "VALID",
    "notFound": "NOT_FOUND",
    "forbidden": "FORBIDDEN",
    "usageExceeded": "USAGE_EXCEEDED",
    "rateLimited": "RATE_LIMITED",
    "unauthorized": "UNAUTHORIZED",
    "disabled": "DISABLED",
    "insufficientPermissions": "INSUFFICIENT_PERMISSIONS",
    "expired": "EXPIRED",
}
"""The counted outcomes by the name under which they are counted."""
OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES.values())}
"""The outcomes by the number with which they are stored."""

Group = Literal["key", "identity", "tags", "tag", "month", "day", "hour"]
Bucket = Literal["month", "day", "hour", "minute"]
OrderBy = Literal[
    "time",
    "valid",
    "notFound",
    "forbidden",
    "usageExceeded",
    "rateLimited",
    "unauthorized",
    "disabled",
    "insufficientPermissions",
    "expired",
    "total",
]


@dataclass(frozen=True, slots=True)
class VerificationsQuestion:
    """How often keys of a keyspace were verified, in [start, end), with which outcomes, grouped how.

    `tags` must all be on an event for it to count. Of several buckets of time the longest counts.
    """

    workspace_id: str
    keyspace_id: str
    start_ms: int
    end_ms: int
    key_ids: tuple[str, ...] = ()
    external_id: str | None = None
    tags: tuple[str, ...] = ()
    group_by: frozenset[Group | Bucket] = field(default_factory=frozenset)
    order_by: OrderBy | None = None
    descending: bool = False
    limit: int | None = None

    @property
    def bucket(self) -> Bucket | None:
        """The length of the buckets of time, `None` when time is one."""
        lengths: tuple[Bucket, ...] = ("month", "day", "hour", "minute")
        return next((length for length in lengths if length in self.group_by), None)


@dataclass(slots=True)
class Counts:
    """One group: how many events ended how. `outcomes` by the names in `OUTCOMES`."""

    outcomes: dict[str, int]
    total: int
    time_ms: int | None = None
    key_id: str | None = None
    identity_id: str | None = None
    external_id: str | None = None
    tag: str | None = None
    tags: tuple[str, ...] | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Counts":
        """The group that a store counted, by the names of its columns."""
        tags = row.get("tags")
        return cls(
            outcomes={name: row[name] for name in OUTCOMES},
            total=row["total"],
            time_ms=row.get("time"),
            key_id=row.get("key_id"),
            identity_id=row.get("identity_id"),
            external_id=row.get("external_id"),
            tag=row.get("tag"),
            tags=None if tags is None else tuple(tags),
        )

    def value(self, name: str) -> int:
        """What to order by."""
        if name == "time":
            return self.time_ms or 0
        return self.total if name == "total" else self.outcomes[name]


@dataclass(frozen=True, slots=True)
class Usage:
    """How many operations of a workspace were recorded."""

    verifications: int
    ratelimits: int


@dataclass(frozen=True, slots=True)
class Health:
    """How analytics fare, and why they are off where they are.

    `dropped` events are lost; `oldest_spooled_ms` is since when the oldest waits that are not in the store yet.
    """

    state: Literal["ok", "failing", "off"]
    buffered: int
    dropped: int
    spooled_bytes: int
    oldest_spooled_ms: int | None = None
    why_off: str = ""


Row = tuple[Any, ...]
"""A buffered event.

Verification: `(time_ms, request_id, snapshot, outcome, tags, spent_credits, latency_us)`, the snapshot
having workspace_id, keyspace_id, key_id, identity_id and external_id. Rate limit: `(time_ms, request_id,
namespace, identifier, passed, latency_us, override_id, limit, remaining, reset_ms, tokens)`.
"""
