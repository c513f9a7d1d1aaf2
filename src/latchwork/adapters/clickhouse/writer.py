"""Queries in ClickHouse's own SQL, with the one width of integers that both engines have."""

from datetime import date, datetime

from latchwork.adapters.clickhouse.stored import stored_table
from latchwork.domains.analytics.sql.tree import Call, Constant, Stored
from latchwork.domains.analytics.sql.types import FLOAT, INT, Type
from latchwork.domains.analytics.sql.writing import Writer

SETTINGS: dict[str, object] = {
    "prefer_column_name_to_alias": 1,
    "aggregate_functions_null_for_empty": 1,
    "join_use_nulls": 1,
    "session_timezone": "UTC",
    "enable_positional_arguments": 0,
    "date_time_input_format": "basic",
}
"""What the queries are written for."""

_SPELLED = {"substring": "substringUTF8"}
_FIXED = ("toDateTime64", "toStartOfWeek", "round")
"""Functions whose further arguments are part of what they are, and have no type of their own."""
_UNSIGNED = (
    "abs",
    "count",
    "countIf",
    "length",
    "minus",
    "modulo",
    "toInt32",
    "uniq",
    "uniqExact",
)
_UNSIGNED_RANKS = ("row_number", "rank", "dense_rank")
_TYPES = {
    "int": "Int64",
    "float": "Float64",
    "string": "String",
    "bool": "Bool",
    "date": "Date",
    "datetime": "DateTime('UTC')",
    "moment": "DateTime64(3, 'UTC')",
}


class ClickHouseWriter(Writer):
    """Writes queries for ClickHouse under `SETTINGS`."""

    def constant(self, constant: Constant) -> str:
        """A value; integers with 64 bits, where ClickHouse would take as few as will do."""
        value = constant.value
        match value:
            case None:
                return "NULL"
            case bool():
                return str(value).lower()
            case int():
                return f"toInt64({value})"
            case float():
                return f"toFloat64({value!r})"
            case str():
                return _text(value)
            case datetime():
                text = value.isoformat(" ", "milliseconds")
                return f"{'toDateTime64' if constant.type.kind == 'moment' else 'toDateTime'}" + (
                    f"('{text}', 3, 'UTC')" if constant.type.kind == "moment" else f"('{text[:19]}', 'UTC')"
                )
            case date():
                return f"toDate('{value}')"

    def call(self, call: Call, arguments: list[str], over: str) -> str:
        """A function under its own name; what would be unsigned or narrow is made an Int64."""
        name, level = _SPELLED.get(call.name, call.name), ""
        if call.name == "quantile":
            level = f"({call.level!r})"
        if call.name == "array":
            return f"CAST([{', '.join(arguments)}] AS Array({_TYPES[_element(call.type).kind]}))"
        if call.name in _FIXED:
            fixed = (str(each.value) for each in call.arguments[1:] if isinstance(each, Constant))
            arguments = [arguments[0], *fixed]
        if call.name == "has" and not isinstance(call.arguments[1], Constant):  # its own overlooks NULL
            return f"arrayExists(h -> coalesce(h = {arguments[1]}, false), {arguments[0]})"
        if call.name == "substring" and len(arguments) == 3:
            arguments[2] = f"greatest({arguments[2]}, 0)"
        checked = call.type == INT and self._checked(call, arguments, over)
        if checked:
            return f"accurateCast({checked}, 'Nullable(Int64)')"
        distinct = "DISTINCT " if call.distinct else ""
        text = f"{name}{level}({distinct}{', '.join(arguments)}){over}"
        if call.name == "groupUniqArray":
            return f"arraySort({text})"
        if call.type == INT and call.name in _UNSIGNED + _UNSIGNED_RANKS:
            return f"toInt64({text})"
        return text

    def _checked(self, call: Call, arguments: list[str], over: str) -> str:
        """What may go beyond the bits that it has, with more of them; ClickHouse would begin anew from below."""
        of = call.arguments[0].type if call.arguments else INT
        if call.name in ("sum", "sumIf"):
            what = ", ".join([f"toInt128({arguments[0]})", *arguments[1:]])
            return f"{call.name}({'DISTINCT ' if call.distinct else ''}{what}){over}"
        if call.name == "multiply":
            return f"toInt128({arguments[0]}) * toInt128({arguments[1]})"
        if call.name in ("toInt32", "toInt64") and of in (INT, FLOAT):
            whole = f"trunc({arguments[0]})" if of == FLOAT else arguments[0]
            return whole if call.name == "toInt64" else f"accurateCast({whole}, 'Nullable(Int32)')"
        return ""

    def function(self, element: str, body: str) -> str:
        """A function of one element."""
        return f"{element} -> {body}"

    def stored(self, stored: Stored) -> str:
        """A table of users, made of ours."""
        return stored_table(stored)


def _element(type_: Type) -> Type:
    assert type_.of is not None
    return type_.of


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
