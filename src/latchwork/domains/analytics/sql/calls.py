"""Calls of functions, and what is written like one."""

import re
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from latchwork.domains.analytics.faults import InvalidFunction, InvalidQuery
from latchwork.domains.analytics.sql import names, operators
from latchwork.domains.analytics.sql.functions import FUNCTIONS
from latchwork.domains.analytics.sql.scopes import Scope
from latchwork.domains.analytics.sql.tree import Call, Constant, Element, Expression, Lambda
from latchwork.domains.analytics.sql.types import BOOL, DATE, DATETIME, INT, MOMENT, NULL, STRING, listed

if TYPE_CHECKING:
    from sqlglot import exp

_FORMAT = re.compile(r"(?:[^%\\]|%[YmdHiSFTyj%])*")
_BY_LOWER = {name.lower(): name for name in FUNCTIONS}
_OF_TEXT = ("toDate", "toDateTime", "toDateTime64")
_DISTINCT = ("count", "sum")
"""The aggregates of which DISTINCT may be asked."""


def only(node: "exp.Expression", *allowed: str) -> None:
    """Raise `InvalidQuery` for a clause of `node` that is not `allowed`."""
    for name, value in node.args.items():
        if value and name not in allowed:
            what = name.strip("_").upper().replace("_", " ")
            raise InvalidQuery(f"{what} is not allowed here.")


class CallReader(ABC):
    """Reads calls in a scope; all else is read by whoever completes it."""

    def __init__(self, scope: Scope, now_ms: int) -> None:
        self.scope = scope
        self._now_ms = now_ms

    @abstractmethod
    def read(self, node: "exp.Expression") -> Expression:
        """Any expression."""

    def condition(self, node: "exp.Expression") -> Expression:
        """The expression as one that holds or does not."""
        return operators.condition(self.read(node))

    def _call(self, name: str, node: "exp.Expression") -> Expression:
        called = _BY_LOWER.get(name.lower())
        if called is None:
            raise unknown(name)
        arguments = names.arguments_of(node)
        distinct = len(arguments) == 1 and type(arguments[0]).__name__ == "Distinct"
        if distinct:
            only(arguments[0], "expressions")
            arguments = arguments[0].expressions
            if called not in _DISTINCT or len(arguments) != 1:
                raise InvalidFunction(f"{called} of DISTINCT values is not allowed.")
        if called == "count" and len(arguments) == 1 and type(arguments[0]).__name__ == "Star":
            arguments = []
        level = _level(node.args["quantile"]) if called == "quantile" else None
        return self._called(called, [self.read(argument) for argument in arguments], distinct, level)

    def _called(
        self, name: str, arguments: list[Expression], distinct: bool = False, level: float | None = None
    ) -> Expression:
        type_ = FUNCTIONS[name].type_of([argument.type for argument in arguments])
        if name in ("now", "now64", "today"):
            return self._now(name, arguments)
        if name in ("toDateTime64", "toStartOfWeek", "round", "JSONExtractString"):
            _must_be_constant(name, arguments[1:])
        if name == "substring":
            _check_substring(arguments)
        if name in _OF_TEXT and arguments[0].type == STRING and isinstance(arguments[0], Constant):
            operators.read_time(str(arguments[0].value), DATE if name == "toDate" else DATETIME)
        if name in ("sum", "avg", "quantile", "sumIf"):
            arguments[0] = operators.number(arguments[0])
        if name in ("countIf", "sumIf"):
            arguments[-1] = operators.condition(arguments[-1])
        if name == "coalesce":
            arguments = operators.unified(arguments)
        if name == "concat":
            arguments = [a if a.type == STRING else Call(STRING, "toString", (a,)) for a in arguments]
        return operators.within_time(Call(type_, name, tuple(arguments), distinct, level))

    def _now(self, name: str, arguments: list[Expression]) -> Expression:
        if arguments:
            _must_be_constant("toDateTime64", arguments)
        now = datetime.fromtimestamp(self._now_ms // 1000, UTC).replace(tzinfo=None)
        if name == "today":
            return Constant(DATE, now.date())
        if name == "now":
            return Constant(DATETIME, now)
        return Constant(MOMENT, now.replace(microsecond=self._now_ms % 1000 * 1000))

    def _truncated(self, node: "exp.Expression") -> Expression:
        only(node, "this", "unit")
        what = self.read(node.args["this"])
        unit = node.args["unit"].name
        if unit.upper() == "WEEK":
            return self._called("toStartOfWeek", [what, Constant(INT, 1)])
        name = names.truncating(unit)
        if what.type == DATE and name in ("toStartOfMinute", "toStartOfHour"):
            raise InvalidQuery(f"{name} does not take a date.")
        return self._called(name, [what])

    def _formatted(self, node: "exp.Expression") -> Expression:
        only(node, "this", "format")
        what, pattern = self.read(node.args["this"]), self.read(node.args["format"])
        if not isinstance(pattern, Constant) or not _FORMAT.fullmatch(str(pattern.value)):
            raise InvalidFunction("formatDateTime takes a constant of %Y %m %d %H %i %S %F %T %y %j and %%.")
        return self._called("formatDateTime", [what, pattern])

    def _json(self, node: "exp.Expression") -> Expression:
        only(node, "this", "expression", "only_json_types", "expressions", "json_type")
        path = node.args["expression"]
        if node.expressions or type(path).__name__ != "JSONPath":
            raise InvalidFunction("JSONExtractString takes a string and the names of members, constants.")
        keys = [part.args.get("this") for part in path.expressions[1:]]
        kinds = {type(part).__name__ for part in path.expressions[1:]}
        if kinds != {"JSONPathKey"} or not all(isinstance(key, str) for key in keys):
            raise InvalidFunction("JSONExtractString takes a string and the names of members, constants.")
        return self._called(
            "JSONExtractString", [self.read(node.args["this"]), *(Constant(STRING, key) for key in keys)]
        )

    def _cast(self, node: "exp.Expression") -> Expression:
        only(node, "this", "to")
        return self._called(names.casting(node.args["to"]), [self.read(node.args["this"])])

    def _interval(self, node: "exp.Expression") -> Expression:
        only(node, "this", "unit")
        amount, unit = node.args.get("this"), node.args.get("unit")
        if amount is None or unit is None:
            raise InvalidQuery("An interval is written as INTERVAL 7 DAY.")
        count = self.read(amount)
        if (
            isinstance(count, Constant)
            and count.type == STRING
            and re.fullmatch(r"-?\d{1,9}", str(count.value))
        ):
            count = Constant(INT, int(str(count.value)))
        return self._called(names.interval(unit.name), [count])

    def _array(self, node: "exp.Expression") -> Expression:
        only(node, "expressions", "bracket_notation", "value_constructor")
        elements = operators.unified([self.read(each) for each in node.expressions])
        if Constant(NULL, None) in elements:
            raise InvalidQuery("A list holds no NULL.")
        of = elements[0].type if elements else STRING
        if of.kind in ("list", "interval"):
            raise InvalidQuery("A list holds strings, numbers or times.")
        return Call(listed(of), "array", tuple(elements))

    def _filtered_list(self, node: "exp.Expression") -> Expression:
        only(node, "this", "expression")
        what, told = self.read(node.args["this"]), node.args["expression"]
        if what.type.of is None or type(told).__name__ != "Lambda" or len(told.expressions) != 1:
            raise InvalidFunction(
                "arrayFilter takes a function of one element, such as x -> x != 'a', and a list."
            )
        only(told, "this", "expressions")
        name = told.expressions[0].name
        outer = dict(self.scope.elements)
        element = Element(what.type.of, len(outer))
        self.scope.elements[name] = element
        try:
            body = self.condition(told.args["this"])
        finally:
            self.scope.elements = outer
        return Call(what.type, "arrayFilter", (Lambda(BOOL, element.number, body), what))


def _check_substring(arguments: list[Expression]) -> None:
    _, begin, *length = arguments
    if begin == Constant(INT, 0):
        raise InvalidQuery("The characters of a string are counted from 1.")
    if (
        length
        and isinstance(length[0], Constant)
        and isinstance(length[0].value, int)
        and length[0].value < 0
    ):
        raise InvalidQuery("A string has no fewer than 0 characters.")


def unknown(name: str) -> InvalidFunction:
    """What is said of a function that may not be called."""
    return InvalidFunction(f"The function {name[:60]} is not allowed.")


def _level(node: "exp.Expression") -> float:
    text = node.name
    level = float(text) if re.fullmatch(r"[0-9.eE-]{1,30}", text) and text.count(".") < 2 else -1
    if not 0 <= level <= 1:
        raise InvalidFunction("The level of quantile is from 0 to 1.")
    return level


def _must_be_constant(name: str, arguments: list[Expression]) -> None:
    """Those functions whose further arguments are part of what they are."""
    allowed = {"toDateTime64": {3}, "toStartOfWeek": {0, 1}, "round": set(range(16))}.get(name)
    for argument in arguments:
        if not isinstance(argument, Constant) or (allowed and argument.value not in allowed):
            which = f" of {sorted(allowed)}" if allowed else ""
            raise InvalidFunction(f"{name} takes a constant{which} there.")
