"""Questions as SQL: every value is a parameter, every name is ours."""

from typing import Any

from latchwork.domains.analytics import VerificationsQuestion
from latchwork.domains.analytics.records import OUTCOMES
from latchwork.domains.analytics.rules import DAY_MS, HOUR_MS, MINUTE_MS, truncated

_TIMES = {
    "minute": f"time - time % {MINUTE_MS}",
    "hour": f"time - time % {HOUR_MS}",
    "day": f"time - time % {DAY_MS}",
    "month": "epoch_ms(date_trunc('month', make_timestamp(time * 1000)))",
}
_BUCKETS = {"hour", "day", "month"}

TAGGED = (
    "SELECT DISTINCT key_id FROM subjects WHERE number IN (SELECT subject FROM verifications WHERE tags IN "
    "(SELECT number FROM tagsets WHERE list_contains(tags, ?)) "
    "AND space IN (SELECT number FROM spaces WHERE workspace_id = ?)) ORDER BY key_id LIMIT ?"
)
"""The ids of the keys that were verified with a tag, in a workspace, at most so many."""


def counting(question: VerificationsQuestion, space: int) -> tuple[str, list[Any], list[str]]:
    """The statement, its parameters and the names of its columns; `space` is the number of the keyspace."""
    source, parameters = _by_hours(question, space) if _is_whole(question) else _by_events(question, space)
    groups = _groups(question)
    counts = {
        name: f"coalesce(sum(verifications) FILTER (outcome = '{outcome}'), 0)::BIGINT"
        for name, outcome in OUTCOMES.items()
    }
    columns = groups | counts | {"total": "coalesce(sum(verifications), 0)::BIGINT"}
    selected = ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())
    sql = f"SELECT {selected} FROM ({source})"  # noqa: S608 - no value is part of the text
    if groups:
        sql += " GROUP BY " + ", ".join(str(number + 1) for number in range(len(groups)))
    return sql, parameters, list(columns)


def used(workspace_id: str, start_ms: int, end_ms: int) -> tuple[str, list[Any]]:
    """The statement and its parameters for how many verifications and limits a workspace has recorded."""
    first, last = _whole_hours(start_ms, end_ms)
    mine = "space IN (SELECT number FROM spaces WHERE workspace_id = ?) AND time >= ? AND time < ?"
    spans = [[workspace_id, first, last], [workspace_id, start_ms, first], [workspace_id, last, end_ms]]
    sql = (
        f"SELECT (SELECT coalesce(sum(verifications), 0) FROM hours WHERE {mine})::BIGINT"  # noqa: S608
        f" + (SELECT count(*) FROM verifications WHERE {mine})"
        f" + (SELECT count(*) FROM verifications WHERE {mine}),"
        f" (SELECT count(*) FROM limits WHERE {mine})"
    )
    return sql, [each for span in [*spans, [workspace_id, start_ms, end_ms]] for each in span]


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


def _by_hours(question: VerificationsQuestion, space: int) -> tuple[str, list[Any]]:
    """The whole hours from the counts by hour, what is before and after them from the events."""
    start_ms, end_ms = _start_ms(question), question.end_ms
    first, last = _whole_hours(start_ms, end_ms)
    source = (
        "SELECT time, outcome, verifications FROM hours WHERE space = ? AND time >= ? AND time < ? "
        "UNION ALL SELECT time, outcome, 1 FROM verifications WHERE space = ? AND time >= ? AND time < ? "
        "UNION ALL SELECT time, outcome, 1 FROM verifications WHERE space = ? AND time >= ? AND time < ?"
    )
    return source, [space, first, last, space, start_ms, first, space, last, end_ms]


def _whole_hours(start_ms: int, end_ms: int) -> tuple[int, int]:
    first, last = -(-start_ms // HOUR_MS) * HOUR_MS, end_ms // HOUR_MS * HOUR_MS
    return (first, last) if first < last else (end_ms, end_ms)


def _by_events(question: VerificationsQuestion, space: int) -> tuple[str, list[Any]]:
    """Counts by number of key and of tags, to which their names are joined afterwards: there are fewer of them."""
    counted, named, joins = ["outcome", "count(*) AS verifications"], ["outcome", "verifications"], ""
    if question.bucket is not None:
        counted.append(f"{_TIMES[question.bucket]} AS time")
        named.append("time")
    if question.group_by & {"key", "identity"}:
        counted.append("subject")
        named += ["key_id", "identity_id", "external_id"]
        joins += " JOIN subjects ON subjects.number = counted.subject"
    if question.group_by & {"tag", "tags"}:
        counted.append("tags")
        one = "tag" in question.group_by
        named.append("unnest(list_distinct(held.tags)) AS tag" if one else "list_sort(held.tags) AS tags")
        joins += " JOIN tagsets AS held ON held.number = counted.tags"
    where, parameters = _conditions(question, space)
    source = f"SELECT {', '.join(counted)} FROM verifications WHERE {where} GROUP BY ALL"  # noqa: S608
    return f"SELECT {', '.join(named)} FROM ({source}) AS counted{joins}", parameters  # noqa: S608


def _conditions(question: VerificationsQuestion, space: int) -> tuple[str, list[Any]]:
    texts = ["verifications.space = ?", "time >= ?", "time < ?"]
    parameters: list[Any] = [space, _start_ms(question), question.end_ms]
    whose = []
    if question.key_ids:
        whose.append("key_id IN (SELECT unnest(?))")
        parameters.append(list(question.key_ids))
    if question.external_id is not None:
        whose.append("external_id = ?")
        parameters.append(question.external_id)
    if "identity" in question.group_by:
        whose.append("identity_id <> ''")
    if whose:
        texts.append(f"subject IN (SELECT number FROM subjects WHERE {' AND '.join(whose)})")  # noqa: S608
    if question.tags:
        texts.append("verifications.tags IN (SELECT number FROM tagsets WHERE list_has_all(tags, ?))")
        parameters.append(list(question.tags))
    return " AND ".join(texts), parameters
