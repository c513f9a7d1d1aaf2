"""Questions as SQL: every value is a parameter, every name is ours."""

from typing import Any

from latchwork.adapters.clickhouse.schema import EVENTS, HOURS, LIMITS
from latchwork.domains.analytics import VerificationsQuestion
from latchwork.domains.analytics.records import OUTCOMES
from latchwork.domains.analytics.rules import DAY_MS, HOUR_MS, MINUTE_MS, truncated

Asked = tuple[str, dict[str, Any]]
_TIMES = {
    "minute": f"time - time % {MINUTE_MS}",
    "hour": f"time - time % {HOUR_MS}",
    "day": f"time - time % {DAY_MS}",
    "month": "toInt64(toUnixTimestamp(toStartOfMonth(toDateTime(intDiv(time, 1000), 'UTC')), 'UTC')) * 1000",
}
_BUCKETS = {"hour", "day", "month"}
TAGGED = (
    f"SELECT DISTINCT key_id FROM {EVENTS} WHERE workspace_id = {{workspace:String}} "  # noqa: S608
    "AND has(tags, {tag:String}) ORDER BY key_id LIMIT {most:Int64}"
)
"""The ids of the keys that were verified with a tag, in a workspace, at most so many."""


def counting(question: VerificationsQuestion) -> Asked:
    """The statement and its parameters; a row has the groups, the outcomes by name and the total."""
    source, parameters = _by_hours(question) if _is_whole(question) else _by_events(question)
    groups = _groups(question)
    columns = groups | {
        name: f"toInt64(sumIf(verifications, outcome = '{outcome}'))" for name, outcome in OUTCOMES.items()
    }
    columns["total"] = "toInt64(sum(verifications))"
    selected = ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())
    grouped = f" GROUP BY {', '.join(f'{each}' for each in groups.values())}" if groups else ""
    sql = f"SELECT {selected} FROM ({source}){grouped} HAVING total > 0"  # noqa: S608
    return sql, parameters


def used(workspace_id: str, start_ms: int, end_ms: int) -> Asked:
    """The statement and its parameters for how many verifications and limits a workspace has recorded."""
    first, last = _whole_hours(start_ms, end_ms)

    def counted(what: str, table: str, begin: str, end: str) -> str:
        return (
            f"(SELECT {what} FROM {table} FINAL WHERE workspace_id = {{workspace:String}} "  # noqa: S608
            f"AND time >= {{{begin}:Int64}} AND time < {{{end}:Int64}})"
        )

    sql = (
        f"SELECT toInt64(coalesce({counted('sum(verifications)', HOURS, 'first', 'last')}, 0)"
        f" + {counted('count()', EVENTS, 'start', 'first')} + {counted('count()', EVENTS, 'last', 'end')}),"
        f" toInt64({counted('count()', LIMITS, 'start', 'end')})"
    )
    times = {"start": start_ms, "first": first, "last": last, "end": end_ms}
    return sql, {"workspace": workspace_id, **times}


def _groups(question: VerificationsQuestion) -> dict[str, str]:
    groups: dict[str, str] = {}
    if question.bucket is not None:
        groups["time"] = _TIMES[question.bucket]
    if "key" in question.group_by:
        groups["key_id"] = "key_id"
    if "identity" in question.group_by:
        groups |= {"identity_id": "identity_id", "external_id": "external_id"}
    if "tag" in question.group_by:
        groups["tag"] = "tag"
    if "tags" in question.group_by:
        groups["tags"] = "tags"
    return groups


def _start_ms(question: VerificationsQuestion) -> int:
    return question.start_ms if question.bucket is None else truncated(question.start_ms, question.bucket)


def _is_whole(question: VerificationsQuestion) -> bool:
    """Whether it asks of a keyspace as a whole, so that the counts by hour answer it."""
    filtered = question.key_ids or question.external_id is not None or question.tags
    return not filtered and question.group_by <= _BUCKETS


def _parameters(question: VerificationsQuestion) -> dict[str, Any]:
    return {
        "workspace": question.workspace_id,
        "space": question.keyspace_id,
        "start": _start_ms(question),
        "end": question.end_ms,
    }


_MINE = "workspace_id = {workspace:String} AND key_space_id = {space:String}"


def _by_hours(question: VerificationsQuestion) -> Asked:
    """The whole hours from the counts by hour, what is before and after them from the events."""
    parameters = _parameters(question)
    parameters["first"], parameters["last"] = _whole_hours(parameters["start"], question.end_ms)

    def of(table: str, what: str, begin: str, end: str) -> str:
        return (
            f"SELECT time, outcome, {what} FROM {table} FINAL WHERE {_MINE} "  # noqa: S608
            f"AND time >= {{{begin}:Int64}} AND time < {{{end}:Int64}}"
        )

    one = "toInt64(1) AS verifications"
    parts = [of(HOURS, "verifications", "first", "last"), of(EVENTS, one, "start", "first")]
    return " UNION ALL ".join([*parts, of(EVENTS, one, "last", "end")]), parameters


def _whole_hours(start_ms: int, end_ms: int) -> tuple[int, int]:
    first, last = -(-start_ms // HOUR_MS) * HOUR_MS, end_ms // HOUR_MS * HOUR_MS
    return (first, last) if first < last else (end_ms, end_ms)


def _by_events(question: VerificationsQuestion) -> Asked:
    """Events are chosen before what is there twice is made one: it is quicker, and both are the same."""
    parameters = _parameters(question)
    columns = ["time", "outcome", "toInt64(1) AS verifications"]
    conditions = [_MINE, "time >= {start:Int64}", "time < {end:Int64}"]
    if question.group_by & {"key", "identity"}:
        columns += ["key_id", "identity_id", "external_id"]
    if "tag" in question.group_by:
        columns.append("arrayJoin(arrayDistinct(tags)) AS tag")
    if "tags" in question.group_by:
        columns.append("arraySort(tags) AS tags")
    if question.key_ids:
        conditions.append("key_id IN {keys:Array(String)}")
        parameters["keys"] = list(question.key_ids)
    if question.external_id is not None:
        conditions.append("external_id = {external:String}")
        parameters["external"] = question.external_id
    if "identity" in question.group_by:
        conditions.append("identity_id <> ''")
    if question.tags:
        conditions.append("hasAll(tags, {tags:Array(String)})")
        parameters["tags"] = list(question.tags)
    return (
        f"SELECT {', '.join(columns)} FROM {EVENTS} FINAL PREWHERE {' AND '.join(conditions)}",  # noqa: S608
        parameters,
    )
