"""The tables that may be asked, as documented to users."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from latchwork.domains.analytics.sql.types import (
    BOOL,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    STRING,
    Type,
    listed,
)

Family = Literal["verifications", "ratelimits"]
Period = Literal["minute", "hour", "day", "month"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its rows are events, or with a `period` counts of them."""

    name: str
    family: Family
    period: Period | None
    columns: Mapping[str, Type]
    summed: frozenset[str] = frozenset()
    """The columns that are counts and sums: rows that are otherwise equal may be added up."""

    @property
    def space(self) -> str:
        """The column that says which keyspace or namespace a row belongs to."""
        return "key_space_id" if self.family == "verifications" else "namespace_id"

    def __hash__(self) -> int:
        return hash(self.name)


_SUBJECT = {
    "workspace_id": STRING,
    "key_space_id": STRING,
    "identity_id": STRING,
    "external_id": STRING,
    "key_id": STRING,
    "outcome": STRING,
    "tags": listed(STRING),
}
_VERIFICATIONS = {
    "request_id": STRING,
    "time": INT,
    **_SUBJECT,
    "region": STRING,
    "source": STRING,
    "app_id": STRING,
    "spent_credits": INT,
    "latency": FLOAT,
}
_RATELIMITS = {
    "request_id": STRING,
    "time": INT,
    "workspace_id": STRING,
    "namespace_id": STRING,
    "identifier": STRING,
    "passed": BOOL,
    "latency": FLOAT,
    "override_id": STRING,
    "limit": INT,
    "remaining": INT,
    "reset_at": INT,
    "tokens": INT,
}
_PERIODS: dict[Period, Type] = {"minute": DATETIME, "hour": DATETIME, "day": DATE, "month": DATE}


def _verifications_per(period: Period, time: Type) -> Table:
    columns = {"time": time, **_SUBJECT, "count": INT, "spent_credits": INT}
    name = f"key_verifications_per_{period}_v1"
    return Table(name, "verifications", period, columns, frozenset({"count", "spent_credits"}))


def _ratelimits_per(period: Period, time: Type) -> Table:
    columns = {
        "time": time,
        "workspace_id": STRING,
        "namespace_id": STRING,
        "identifier": STRING,
        **dict.fromkeys(("passed", "total", "total_tokens", "passed_tokens"), INT),
        **dict.fromkeys(("latency_avg", "latency_p75", "latency_p99"), FLOAT),
    }
    summed = frozenset({"passed", "total", "total_tokens", "passed_tokens"})
    return Table(f"ratelimits_per_{period}_v1", "ratelimits", period, columns, summed)


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table("key_verifications_v1", "verifications", None, _VERIFICATIONS),
        *(_verifications_per(period, time) for period, time in _PERIODS.items()),
        Table("ratelimits_v1", "ratelimits", None, _RATELIMITS),
        *(_ratelimits_per(period, time) for period, time in _PERIODS.items()),
    )
}
