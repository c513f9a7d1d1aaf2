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


def counting(question: VerificationsQuestion) -> tuple[str, list[Any], list[str]]:
    """The statement, its parameters and the names of its columns."""
    groups = _groups(question)
    counts = {name: f"count(*) FILTER (outcome = '{outcome}')" for name, outcome in OUTCOMES.items()}
    columns = groups | counts | {"total": "count(*)"}
    where, parameters = _conditions(question)
    selected = ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())
    table = "key_verifications_v1"
    if "tag" in question.group_by:
        table = "(SELECT *, unnest(list_distinct(tags)) AS one_tag FROM key_verifications_v1)"
    sql = f"SELECT {selected} FROM {table} WHERE {where}"  # noqa: S608 - no value is part of the text
    if groups:
        sql += " GROUP BY " + ", ".join(str(number + 1) for number in range(len(groups)))
    return sql, parameters, list(columns)


def _groups(question: VerificationsQuestion) -> dict[str, str]:
    groups: dict[str, str] = {}
    if question.bucket is not None:
        groups["time"] = _TIMES[question.bucket]
    if "key" in question.group_by:
        groups["key_id"] = "key_id"
    if "identity" in question.group_by:
        groups |= {"identity_id": "identity_id", "external_id": "external_id"}
    if "tag" in question.group_by:
        groups["tag"] = "one_tag"
    if "tags" in question.group_by:
        groups["tags"] = "list_sort(tags)"
    return groups


def _conditions(question: VerificationsQuestion) -> tuple[str, list[Any]]:
    start_ms = question.start_ms if question.bucket is None else truncated(question.start_ms, question.bucket)
    conditions = {
        "workspace_id = ?": question.workspace_id,
        "key_space_id = ?": question.keyspace_id,
        "time >= ?": start_ms,
        "time < ?": question.end_ms,
    }
    parameters: list[Any] = list(conditions.values())
    texts = list(conditions)
    if question.key_ids:
        texts.append("key_id IN (SELECT unnest(?))")
        parameters.append(list(question.key_ids))
    if question.external_id is not None:
        texts.append("external_id = ?")
        parameters.append(question.external_id)
    if question.tags:
        texts.append("list_has_all(tags, ?)")
        parameters.append(list(question.tags))
    if "identity" in question.group_by:
        texts.append("identity_id <> ''")
    return " AND ".join(texts), parameters
