"""The tables that users know, made of those in the file."""

from latchwork.domains.analytics.sql.tables import Table
from latchwork.domains.analytics.sql.tree import Stored
from latchwork.domains.analytics.sql.writing import quoted

_OF_VERIFICATIONS = {
    "request_id": "events.request_id",
    "time": "events.time",
    "workspace_id": "spaces.workspace_id",
    "key_space_id": "spaces.space_id",
    "identity_id": "subjects.identity_id",
    "external_id": "subjects.external_id",
    "key_id": "subjects.key_id",
    "outcome": "CAST(events.outcome AS VARCHAR)",
    "region": "''",
    "source": "'api'",
    "app_id": "''",
    "tags": "tagsets.tags",
    "spent_credits": "events.spent_credits",
    "latency": "events.latency_us / 1000.0::DOUBLE",
}
_OF_RATELIMITS = {
    "workspace_id": "spaces.workspace_id",
    "namespace_id": "spaces.space_id",
    "latency": "events.latency_us / 1000.0::DOUBLE",
}
_BUCKETS = {
    "minute": "make_timestamp((events.time - events.time % 60000) * 1000)",
    "hour": "make_timestamp((events.time - events.time % 3600000) * 1000)",
    "day": "CAST(make_timestamp(events.time * 1000) AS DATE)",
    "month": "CAST(date_trunc('month', make_timestamp(events.time * 1000)) AS DATE)",
}
_COUNTED = {"count": "count(*)", "spent_credits": "CAST(sum(events.spent_credits) AS BIGINT)"}
_LIMITED = {
    "passed": "count(*) FILTER (WHERE events.passed)",
    "total": "count(*)",
    "total_tokens": "CAST(sum(events.tokens) AS BIGINT)",
    "passed_tokens": "CAST(coalesce(sum(events.tokens) FILTER (WHERE events.passed), 0) AS BIGINT)",
    "latency_avg": "avg(events.latency_us / 1000.0::DOUBLE)",
    "latency_p75": "quantile_cont(events.latency_us / 1000.0::DOUBLE, 0.75)",
    "latency_p99": "quantile_cont(events.latency_us / 1000.0::DOUBLE, 0.99)",
}
_ONE_BY_ONE = {
    "count": "1::BIGINT",
    "spent_credits": "events.spent_credits",
    "passed": "CAST(events.passed AS BIGINT)",
    "total": "1::BIGINT",
    "total_tokens": "events.tokens",
    "passed_tokens": "CASE WHEN events.passed THEN events.tokens ELSE 0 END",
}
_SUBJECTS = ("identity_id", "external_id", "key_id")
_PERIOD_MS = {None: 0, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "month": 31 * 86_400_000}


def stored_table(stored: Stored) -> str:
    """The columns of the table that are read, from the tables in the file that have them."""
    table = stored.table
    if table.period is not None and stored.merged:
        return _merged(stored)
    columns = _columns(table)
    items = ", ".join(f"{columns[name]} AS {quoted(name)}" for name in stored.columns)
    joins = _joins(table, set(stored.columns))
    return f"(SELECT {items} FROM {_events(table)}{joins} WHERE {_since(stored)})"  # noqa: S608 - all names are ours


def _columns(table: Table) -> dict[str, str]:
    columns = _OF_VERIFICATIONS if table.family == "verifications" else _OF_RATELIMITS
    columns = {name: f"events.{quoted(name)}" for name in table.columns} | columns
    return columns if table.period is None else columns | _ONE_BY_ONE | {"time": _BUCKETS[table.period]}


def _events(table: Table) -> str:
    return f"{'verifications' if table.family == 'verifications' else 'limits'} AS events"


def _joins(table: Table, columns: set[str], events: str = "events") -> str:
    joins = f" JOIN spaces ON spaces.number = {events}.space"
    if columns & set(_SUBJECTS):
        joins += f" JOIN subjects ON subjects.number = {events}.subject"
    if "tags" in columns:
        joins += f" JOIN tagsets ON tagsets.number = {events}.tags"
    return joins


def _since(stored: Stored) -> str:
    return f"events.time >= {max(0, stored.since_ms - _PERIOD_MS[stored.table.period])}"


def _merged(stored: Stored) -> str:
    """A row for all events that differ in no column of the table: counted by number, named afterwards."""
    table = stored.table
    assert table.period is not None
    is_verifications = table.family == "verifications"
    keys = ["space", "subject", "outcome", "tags"] if is_verifications else ["space", "identifier"]
    counted = _COUNTED if is_verifications else _LIMITED
    told = {name: text for name, text in counted.items() if name in stored.columns}
    items = [f"{_BUCKETS[table.period]} AS time", *(f"events.{key}" for key in keys)]
    items += [f"{text} AS {quoted(name)}" for name, text in told.items()]
    inner = f"SELECT {', '.join(items)} FROM {_events(table)} WHERE {_since(stored)} GROUP BY ALL"  # noqa: S608
    columns = _OF_VERIFICATIONS if is_verifications else _OF_RATELIMITS
    named = {
        name: f"events.{quoted(name)}" if name in told or name not in columns else columns[name]
        for name in stored.columns
    }
    items = [f"{text} AS {quoted(name)}" for name, text in named.items()]
    return f"(SELECT {', '.join(items)} FROM ({inner}) AS events{_joins(table, set(stored.columns))})"  # noqa: S608
