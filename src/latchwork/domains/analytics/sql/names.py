"""ClickHouse's names of functions behind the classes into which sqlglot reads them."""

from typing import TYPE_CHECKING

from latchwork.domains.analytics.faults import InvalidFunction, InvalidQuery

if TYPE_CHECKING:
    from sqlglot import exp

_BY_CLASS = {
    "Abs": "abs",
    "AnyValue": "any",
    "ApproxDistinct": "uniq",
    "ArrayContains": "has",
    "Avg": "avg",
    "Ceil": "ceil",
    "Coalesce": "coalesce",
    "Concat": "concat",
    "Count": "count",
    "CountIf": "countIf",
    "DPipe": "concat",
    "DenseRank": "dense_rank",
    "EndsWith": "endsWith",
    "Explode": "arrayJoin",
    "Floor": "floor",
    "Length": "length",
    "Lower": "lower",
    "Max": "max",
    "Min": "min",
    "Quantile": "quantile",
    "Rank": "rank",
    "Round": "round",
    "RowNumber": "row_number",
    "StartsWith": "startsWith",
    "Substring": "substring",
    "Sum": "sum",
    "Trim": "trim",
    "Upper": "upper",
}
_NAMED = ("Anonymous", "AnonymousAggFunc", "CombinedAggFunc")
_TRUNCATED = {"MINUTE": "Minute", "HOUR": "Hour", "DAY": "Day", "MONTH": "Month", "YEAR": "Year"}
_CASTS = {
    "BIGINT": "toInt64",
    "INT": "toInt32",
    "DOUBLE": "toFloat64",
    "TEXT": "toString",
    "DATE": "toDate",
    "DATETIME": "toDateTime",
    "TIMESTAMP": "toDateTime",
}
UNITS = ("Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year")


def function_of(node: "exp.Expression") -> str | None:
    """The name of the function that `node` calls, as far as classes tell; `None` if it is no such call."""
    kind = type(node).__name__
    if kind in _NAMED:
        return str(node.args["this"])
    return _BY_CLASS.get(kind)


def arguments_of(node: "exp.Expression") -> list["exp.Expression"]:
    """The arguments of such a call in ClickHouse's order; raises `InvalidFunction` for those of other databases."""
    known = {"this", "expression", "expressions", "start", "length", "decimals", "quantile"}
    known |= {"safe", "coalesce", "binary", "big_int"}  # what sqlglot notes for its own use
    for name, value in node.args.items():
        if value and name not in known:
            raise InvalidFunction(f"{function_of(node)} is not called that way here.")
    found = [] if type(node).__name__ in _NAMED else [node.args.get("this")]
    found += [node.args.get(name) for name in ("expression", "start", "length", "decimals")]
    found += node.args.get("expressions") or []
    return [argument for argument in found if argument is not None]


def truncating(unit: str) -> str:
    """The function that cuts a time to `unit`; raises `InvalidFunction`."""
    if unit.upper() not in _TRUNCATED:
        raise InvalidFunction(f"Times cannot be cut to {unit[:20].lower()}s here.")
    return f"toStartOf{_TRUNCATED[unit.upper()]}"


def casting(to: "exp.DataType") -> str:
    """The function that converts to the type `to`; raises `InvalidFunction`."""
    name = _CASTS.get(to.this.name)
    if name is None or to.args.get("nullable") or to.expressions:
        raise InvalidFunction("CAST converts to Int64, Int32, Float64, String, Date and DateTime here.")
    return name


def interval(unit: str) -> str:
    """The function that makes an interval of so many of `unit`; raises `InvalidQuery`."""
    singular = unit.capitalize().removesuffix("s")
    if singular not in UNITS:
        raise InvalidQuery(f"{unit[:20]} is no unit of time here.")
    return f"toInterval{singular}"
