"""The tables that users know, made of those of the server."""

from latchwork.adapters.clickhouse.schema import EVENTS, LIMITS
from latchwork.domains.analytics.sql.tables import Table
from latchwork.domains.analytics.sql.tree import Stored
from latchwork.domains.analytics.sql.writing import quoted

_LATENCY = "(e.latency_us / 1000.0)"
_MADE = {
    "key_id": "CAST(e.key_id AS String)",
    "identity_id": "CAST(e.identity_id AS String)",
    "external_id": "CAST(e.external_id AS String)",
    "outcome": "CAST(e.outcome AS String)",
    "identifier": "CAST(e.identifier AS String)",
    "override_id": "CAST(e.override_id AS String)",
    "tags": "CAST(e.tags AS Array(String))",
    "region": "''",
    "source": "'api'",
    "app_id": "''",
    "latency": _LATENCY,
}
_MOMENT = "toDateTime(intDiv(e.time, 1000), 'UTC')"
_BUCKETS = {
    "minute": f"toStartOfMinute({_MOMENT})",
    "hour": f"toStartOfHour({_MOMENT})",
    "day": f"toDate({_MOMENT}, 'UTC')",
    "month": f"toStartOfMonth({_MOMENT}, 'UTC')",
}
_COUNTED = {
    "count": "toInt64(count())",
    "spent_credits": "sum(e.spent_credits)",
    "passed": "toInt64(countIf(e.passed))",
    "total": "toInt64(count())",
    "total_tokens": "sum(e.tokens)",
    "passed_tokens": "coalesce(sumIf(e.tokens, e.passed), 0)",
    "latency_avg": f"avg({_LATENCY})",
    "latency_p75": f"quantileExactInclusive(0.75)({_LATENCY})",
    "latency_p99": f"quantileExactInclusive(0.99)({_LATENCY})",
}
_ONE_BY_ONE = {
    "count": "toInt64(1)",
    "spent_credits": "e.spent_credits",
    "passed": "toInt64(e.passed)",
    "total": "toInt64(1)",
    "total_tokens": "e.tokens",
    "passed_tokens": "if(e.passed, e.tokens, 0)",
}
_PERIOD_MS = {None: 0, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "month": 31 * 86_400_000}


def stored_table(stored: Stored) -> str:
    """The columns of the table that are read, from the tables of the server that have them."""
    table = stored.table
    events = f"{EVENTS if table.family == 'verifications' else LIMITS} AS e FINAL"
    since = f"e.time >= {max(0, stored.since_ms - _PERIOD_MS[table.period])}"
    named = {name: f"e.{quoted(name)}" for name in stored.columns} | {
        name: text for name, text in _columns(table, merged=stored.merged).items() if name in stored.columns
    }
    items = ", ".join(f"{text} AS {quoted(name)}" for name, text in named.items())
    sql = f"SELECT {items} FROM {events} WHERE {since}"  # noqa: S608 - all names are ours
    if table.period is not None and stored.merged:
        keys = [f"e.{quoted(name)}" for name in table.columns if name not in _COUNTED and name != "time"]
        sql += f" GROUP BY {', '.join([_BUCKETS[table.period], *keys])}"
    return f"({sql})"


def _columns(table: Table, *, merged: bool) -> dict[str, str]:
    if table.period is None:
        return _MADE
    counted = _COUNTED if merged else _ONE_BY_ONE
    return _MADE | counted | {"time": _BUCKETS[table.period]}
