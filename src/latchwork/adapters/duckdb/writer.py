"""Queries in DuckDB's SQL, spelled so that they answer what ClickHouse would."""

from collections.abc import Callable
from datetime import date, datetime

from latchwork.adapters.duckdb.stored import stored_table
from latchwork.domains.analytics.sql.tree import Call, Constant, Stored
from latchwork.domains.analytics.sql.types import (
    BOOL,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    INTERVAL,
    MOMENT,
    STRING,
    Type,
)
from latchwork.domains.analytics.sql.writing import Writer

_TYPES = {
    "int": "BIGINT",
    "float": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "moment": "TIMESTAMP",
    "null": "VARCHAR",
}
_SPECIFIERS = {"%i": "%M", "%F": "%Y-%m-%d", "%T": "%H:%M:%S"}

PLAIN = {
    "avg": "avg({0}){over}",
    "min": "min({0}){over}",
    "max": "max({0}){over}",
    "any": "any_value({0}){over}",
    "groupArray": "coalesce(list({0}) FILTER (WHERE {0} IS NOT NULL){over}, [])",
    "groupUniqArray": "list_sort(coalesce(list(DISTINCT {0}) FILTER (WHERE {0} IS NOT NULL){over}, []))",
    "uniq": "count(DISTINCT {0}){over}",
    "uniqExact": "count(DISTINCT {0}){over}",
    "countIf": "count(*) FILTER (WHERE {0}){over}",
    "row_number": "row_number(){over}",
    "rank": "rank(){over}",
    "dense_rank": "dense_rank(){over}",
    "toStartOfMinute": "date_trunc('minute', {0})",
    "toStartOfHour": "date_trunc('hour', {0})",
    "toStartOfDay": "CAST(date_trunc('day', {0}) AS TIMESTAMP)",
    "toStartOfMonth": "CAST(date_trunc('month', {0}) AS DATE)",
    "toStartOfYear": "CAST(date_trunc('year', {0}) AS DATE)",
    "fromUnixTimestamp64Milli": "make_timestamp({0} * 1000)",
    "toUnixTimestamp64Milli": "epoch_ms({0})",
    "toIntervalSecond": "to_seconds({0})",
    "toIntervalMinute": "to_minutes({0})",
    "toIntervalHour": "to_hours({0})",
    "toIntervalDay": "to_days(CAST({0} AS INTEGER))",
    "toIntervalWeek": "to_weeks(CAST({0} AS INTEGER))",
    "toIntervalMonth": "to_months(CAST({0} AS INTEGER))",
    "toIntervalQuarter": "to_months(CAST(3 * {0} AS INTEGER))",
    "toIntervalYear": "to_years(CAST({0} AS INTEGER))",
    "lower": "clickhouse_lower({0})",
    "upper": "clickhouse_upper({0})",
    "trim": "trim({0}, ' ')",
    "startsWith": "starts_with({0}, {1})",
    "endsWith": "ends_with({0}, {1})",
    "has": "coalesce(list_contains({0}, {1}), false)",
    "hasAny": "list_has_any({0}, {1})",
    "hasAll": "list_has_all({0}, {1})",
    "arrayJoin": "unnest({0})",
    "arrayFilter": "list_filter({1}, {0})",
    "like": "({0} LIKE {1} ESCAPE '\\')",
    "ilike": "({0} ILIKE {1} ESCAPE '\\')",
    "multiply": "({0} * {1})",
    "divide": "(CAST({0} AS DOUBLE) / CAST({1} AS DOUBLE))",
    "abs": "abs({0})",
}
"""Functions that are spelled in one way, whatever the types."""


class DuckDbWriter(Writer):
    """Writes queries for a database that `schema.prepare` has prepared."""

    def constant(self, constant: Constant) -> str:
        """A value; integers with 64 bits, so that products of small ones do not overflow."""
        value = constant.value
        match value:
            case None:
                return "NULL"
            case bool():
                return str(value).lower()
            case int():
                return f"CAST({value} AS BIGINT)"
            case float():
                return f"CAST({value!r} AS DOUBLE)"
            case str():
                return _text(value)
            case datetime():
                return f"TIMESTAMP '{value.isoformat(' ')}'"
            case date():
                return f"DATE '{value}'"

    def call(self, call: Call, arguments: list[str], over: str) -> str:
        """A function, spelled for the types of its arguments."""
        if call.name in PLAIN:
            return PLAIN[call.name].format(*arguments, over=over)
        if call.name in _AGGREGATES:
            return _AGGREGATES[call.name](call, arguments, over)
        return SPELLED[call.name](call, arguments)

    def function(self, element: str, body: str) -> str:
        """A function of one element."""
        return f"lambda {element}: {body}"

    def within(self, what: str, query: str) -> str:
        """In DuckDB's own IN a NULL among the values makes all that is not found NULL."""
        return f"(CASE WHEN {what} IS NULL THEN NULL ELSE coalesce({what} IN ({query}), false) END)"

    def among(self, what: str, values: str) -> str:
        """Likewise."""
        return f"list_contains([{values}], {what})"

    def stored(self, stored: Stored) -> str:
        """A table of users, made of ours."""
        return stored_table(stored)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _count(call: Call, arguments: list[str], over: str) -> str:
    what = arguments[0] if arguments else "*"
    return f"count({'DISTINCT ' if call.distinct else ''}{what}){over}"


def _sum(call: Call, arguments: list[str], over: str) -> str:
    what, *condition = arguments
    chosen = f" FILTER (WHERE {condition[0]})" if condition else ""
    text = f"sum({'DISTINCT ' if call.distinct else ''}{what}){chosen}{over}"
    return f"CAST({text} AS BIGINT)" if call.type == INT else text


def _quantile(call: Call, arguments: list[str], over: str) -> str:
    return f"quantile_cont(CAST({arguments[0]} AS DOUBLE), {call.level!r}){over}"


_AGGREGATES: dict[str, Callable[[Call, list[str], str], str]] = {
    "count": _count,
    "sum": _sum,
    "sumIf": _sum,
    "quantile": _quantile,
}


def _to_date(call: Call, arguments: list[str]) -> str:
    if call.arguments[0].type == INT:
        return f"clickhouse_date({arguments[0]})"
    return f"CAST(CAST({arguments[0]} AS TIMESTAMP) AS DATE)"


def _to_time(call: Call, arguments: list[str]) -> str:
    unit = "second" if call.type == DATETIME else "millisecond"
    what, of = arguments[0], call.arguments[0].type
    if of == INT:
        return f"make_timestamp({what} * 1000000)"
    if of == FLOAT:
        return f"date_trunc('{unit}', make_timestamp(CAST({what} * 1000000 AS BIGINT)))"
    return f"date_trunc('{unit}', CAST({what} AS TIMESTAMP))"


def _to_week(call: Call, arguments: list[str]) -> str:
    mode = call.arguments[1] if len(call.arguments) > 1 else None
    if isinstance(mode, Constant) and mode.value == 1:
        return f"CAST(date_trunc('week', {arguments[0]}) AS DATE)"
    return f"clickhouse_sunday({arguments[0]})"


def _format(call: Call, arguments: list[str]) -> str:
    pattern = call.arguments[1]
    assert isinstance(pattern, Constant)
    text = str(pattern.value)
    for theirs, ours in _SPECIFIERS.items():
        text = text.replace(theirs, ours)
    return f"strftime({arguments[0]}, {_text(text)})"


def _to_string(call: Call, arguments: list[str]) -> str:
    of, what = call.arguments[0].type, arguments[0]
    if of == FLOAT:
        return f"clickhouse_float({what})"
    if of in (DATETIME, MOMENT):
        return f"strftime({what}, '%Y-%m-%d %H:%M:%S{'' if of == DATETIME else '.%g'}')"
    return f"CAST({what} AS VARCHAR)"


def _to_int(call: Call, arguments: list[str]) -> str:
    of, what = call.arguments[0].type, arguments[0]
    if of == STRING:
        what = f"clickhouse_int({what})"
    elif of == FLOAT:
        what = f"trunc({what})"
    elif of == DATETIME:
        what = f"epoch({what})"
    if call.name == "toInt32":
        what = f"CAST({what} AS INTEGER)"
    return f"CAST({what} AS BIGINT)"


def _substring(call: Call, arguments: list[str]) -> str:
    return f"CASE WHEN {arguments[1]} = 0 THEN '' ELSE substring({', '.join(arguments)}) END"


def _length(call: Call, arguments: list[str]) -> str:
    name = "strlen" if call.arguments[0].type == STRING else "len"
    return f"CAST({name}({arguments[0]}) AS BIGINT)"


def _json(call: Call, arguments: list[str]) -> str:
    keys = (str(key.value) for key in call.arguments[1:] if isinstance(key, Constant))
    pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
    return f"clickhouse_json_text({arguments[0]}, {_text(pointer)})"


def _rounded(call: Call, arguments: list[str]) -> str:
    if call.type == INT:
        return arguments[0]
    if call.name != "round":
        return f"{call.name}({arguments[0]})"
    return f"round_even({arguments[0]}, CAST({arguments[1] if len(arguments) > 1 else 0} AS INTEGER))"


def _plus(call: Call, arguments: list[str]) -> str:
    left, right = (argument.type for argument in call.arguments)
    sign = "+" if call.name == "plus" else "-"
    one, other = arguments
    if left == DATE and right == INT:
        return f"({one} {sign} CAST({other} AS INTEGER))"
    if left == DATETIME and right == INT:
        return f"({one} {sign} to_seconds({other}))"
    if left.is_time and right == left:
        return f"CAST(epoch({one}) - epoch({other}) AS BIGINT)" if left == DATETIME else _days(one, other)
    if right == INTERVAL and call.type == DATE:
        return f"CAST({one} {sign} {other} AS DATE)"
    return f"({one} {sign} {other})"


def _modulo(call: Call, arguments: list[str]) -> str:
    """A window cannot be ordered by what may raise an error."""
    by = call.arguments[1]
    if isinstance(by, Constant) and by.value:
        return f"({arguments[0]} % {arguments[1]})"
    return f"clickhouse_modulo({arguments[0]}, {arguments[1]})"


def _days(one: str, other: str) -> str:
    return f"CAST({one} - {other} AS BIGINT)"


def _array(call: Call, arguments: list[str]) -> str:
    elements = (
        text if isinstance(each, Constant) else f"clickhouse_element({text})"
        for each, text in zip(call.arguments, arguments, strict=True)
    )
    return f"CAST([{', '.join(elements)}] AS {_typed(call.type)})"


def _typed(type_: Type) -> str:
    return f"{_typed(type_.of)}[]" if type_.of is not None else _TYPES[type_.kind]


SPELLED: dict[str, Callable[[Call, list[str]], str]] = {
    "toDate": _to_date,
    "toDateTime": _to_time,
    "toDateTime64": _to_time,
    "toStartOfWeek": _to_week,
    "formatDateTime": _format,
    "toString": _to_string,
    "toInt32": _to_int,
    "toInt64": _to_int,
    "toFloat64": lambda call, arguments: f"CAST({arguments[0]} AS DOUBLE)",
    "substring": _substring,
    "concat": lambda call, arguments: f"({' || '.join(arguments)})",
    "length": _length,
    "JSONExtractString": _json,
    "round": _rounded,
    "floor": _rounded,
    "ceil": _rounded,
    "coalesce": lambda call, arguments: f"coalesce({', '.join(arguments)})",
    "plus": _plus,
    "minus": _plus,
    "modulo": _modulo,
    "array": _array,
}
"""Functions whose spelling depends on the types."""

__all__ = ["BOOL", "DuckDbWriter"]
