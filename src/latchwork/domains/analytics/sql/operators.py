"""Operators: their types, and what must be converted so that every engine can apply them."""

from collections.abc import Callable
from datetime import date, datetime

from latchwork.domains.analytics.faults import InvalidQuery
from latchwork.domains.analytics.sql import constants
from latchwork.domains.analytics.sql.tree import Call, Constant, Expression
from latchwork.domains.analytics.sql.types import (
    BOOL,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    INTERVAL,
    MOMENT,
    NULL,
    STRING,
    Type,
    united,
)

_END_OF_TIME_MS = 4_291_747_200_000  # 2106-01-01; a DateTime ends a month later
_DAYS = ("toIntervalDay", "toIntervalWeek", "toIntervalMonth", "toIntervalQuarter", "toIntervalYear")


def condition(expression: Expression) -> Expression:
    """The expression as something that holds or does not."""
    if expression.type in (BOOL, NULL):
        return expression
    if expression.type == INT:
        return Call(BOOL, "notEquals", (expression, Constant(INT, 0)))
    raise InvalidQuery(f"A {expression.type} stands where a condition is needed.")


def number(expression: Expression) -> Expression:
    """The expression as an integer or a float."""
    if expression.type == BOOL:
        return Call(INT, "toInt64", (expression,))
    return expression


def converted(expression: Expression, to: Type) -> Expression:
    """The expression with the type `to`, with which it can be united."""
    if expression.type in (to, NULL):
        return expression
    if to == FLOAT:
        return Call(FLOAT, "toFloat64", (number(expression),))
    if to == MOMENT:
        return Call(MOMENT, "toDateTime64", (expression, Constant(INT, 3)))
    return number(expression)


def unified(expressions: list[Expression]) -> list[Expression]:
    """All with one type; raises `InvalidQuery` where there is none."""
    to = united([expression.type for expression in expressions])
    if to is None:
        kinds = " and a ".join(sorted({str(expression.type) for expression in expressions}))
        raise InvalidQuery(f"A {kinds} cannot be values of one expression.")
    return [converted(expression, to) for expression in expressions]


def arithmetic(name: str, left: Expression, right: Expression) -> Expression:
    """`plus`, `minus`, `multiply`, `divide` or `modulo`, of numbers and of times."""
    if left.type.is_time or right.type.is_time:
        return _of_times(name, left, right)
    left, right = number(left), number(right)
    if not {left.type, right.type} <= {INT, FLOAT, NULL}:
        raise InvalidQuery(f"{name} does not take a {left.type} and a {right.type}.")
    if name == "modulo" and FLOAT in (left.type, right.type):
        raise InvalidQuery("The remainder of floats cannot be told; round them first.")
    is_float = name == "divide" or FLOAT in (left.type, right.type)
    return Call(FLOAT if is_float else INT, name, (left, right))


def within_time(expression: Expression) -> Expression:
    """The expression, unless it is a time that is known and beyond what ClickHouse has; raises `InvalidQuery`."""
    if expression.type.is_time:
        time_ms = constants.milliseconds(expression)
        if time_ms is not None and not 0 <= time_ms < _END_OF_TIME_MS:
            raise InvalidQuery("Times are from 1970 to 2105 here.")
    return expression


def _of_times(name: str, left: Expression, right: Expression) -> Expression:
    if name == "plus" and right.type.is_time:
        left, right = right, left
    if name in ("plus", "minus"):
        if right.type == INTERVAL:
            return within_time(Call(_shifted(left.type, right), name, (left, right)))
        if right.type == INT and left.type in (DATE, DATETIME):
            return within_time(Call(left.type, name, (left, right)))
        if name == "minus" and left.type == right.type and left.type in (DATE, DATETIME):
            return Call(INT, name, (left, right))
    raise InvalidQuery(f"{name} does not take a {left.type} and a {right.type}.")


def _shifted(type_: Type, interval: Expression) -> Type:
    by_days = isinstance(interval, Call) and interval.name in _DAYS
    return DATETIME if type_ == DATE and not by_days else type_


def compared(name: str, left: Expression, right: Expression) -> Expression:
    """`equals`, `less` and so on; a string constant that is compared with a time is read as one."""
    left, right = _as_time(left, right.type), _as_time(right, left.type)
    if left.type == BOOL and right.type == BOOL and name in ("equals", "notEquals"):
        return Call(BOOL, name, (left, right))
    left, right = number(left), number(right)
    alike = {left.type, right.type} - {NULL}
    if len(alike) > 1 and not (alike <= {INT, FLOAT} or all(type_.is_time for type_ in alike)):
        raise InvalidQuery(f"A {left.type} cannot be compared with a {right.type}.")
    if any(type_.kind in ("list", "interval") for type_ in alike):
        raise InvalidQuery(f"A {alike.pop()} cannot be compared.")
    return Call(BOOL, name, (left, right))


def _as_time(expression: Expression, other: Type) -> Expression:
    if other.is_time and isinstance(expression, Constant) and expression.type == STRING:
        return read_time(str(expression.value), DATE if other == DATE else DATETIME)
    return expression


def read_time(text: str, type_: Type) -> Constant:
    """The constant time that `text` means; raises `InvalidQuery`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidQuery(f"'{text[:40]}' is not a time such as '2026-01-31 12:00:00'.") from None
    if moment.tzinfo is not None:
        raise InvalidQuery("Times are in UTC; leave the zone out.")
    if type_ == DATE and moment == datetime.combine(moment.date(), datetime.min.time()):
        return Constant(DATE, moment.date())
    return Constant(MOMENT if moment.microsecond else DATETIME, moment)


Shift = Callable[[date | datetime], date | datetime]
