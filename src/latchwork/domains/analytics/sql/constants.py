"""The value of an expression that depends on no row, as far as times are made of it."""

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from latchwork.domains.analytics.sql.tree import Call, Constant, Expression

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1)
_SECONDS = {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86_400, "Week": 604_800}
_MONTHS = {"Month": 1, "Quarter": 3, "Year": 12}


def milliseconds(expression: Expression) -> int | None:
    """The point in time that a constant expression means, in ms since the epoch; `None` if it is not known here."""
    value = _value(expression)
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(milliseconds=1)
    if isinstance(value, date):
        return milliseconds_of(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def milliseconds_of(day: date) -> int:
    """When a day begins, in ms since the epoch."""
    return (datetime.combine(day, datetime.min.time()) - _EPOCH) // timedelta(milliseconds=1)


def _value(expression: Expression) -> Any:
    if isinstance(expression, Constant):
        return expression.value
    if not isinstance(expression, Call) or expression.name not in _FUNCTIONS:
        return None
    arguments = [_value(argument) for argument in expression.arguments]
    if None in arguments:
        return None
    try:
        return _FUNCTIONS[expression.name](*arguments)
    except (ValueError, TypeError, OverflowError):
        return None


def _moment(value: Any, *_: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time())
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=None)
    return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)


def _seconds(value: Any, *_: Any) -> datetime:
    return _moment(value).replace(microsecond=0)


def _day(value: int) -> date:
    """Small numbers are days, others seconds."""
    return (_EPOCH + timedelta(days=value)).date() if value < 65_536 else _moment(value).date()


def _cut(unit_s: int) -> Callable[..., datetime]:
    unit = timedelta(seconds=unit_s)
    return lambda value, *_: _moment(value) - (_moment(value) - _EPOCH) % unit


def _week(value: Any, mode: int = 0) -> date:
    day = _moment(value).date()
    return day - timedelta(days=day.weekday() if mode == 1 else day.isoweekday() % 7)


def _shift(value: Any, by: Any, sign: int) -> Any:
    if isinstance(by, tuple):
        seconds, months = by
        return _later(value, seconds * sign, months * sign)
    if isinstance(value, datetime):
        return value + timedelta(seconds=by * sign)
    return value + (timedelta(days=by) if isinstance(value, date) else by) * sign


def _later(value: date | datetime, seconds: int, months: int) -> date | datetime:
    if months:
        count = value.year * 12 + value.month - 1 + months
        year, month = divmod(count, 12)
        return value.replace(year=year, month=month + 1, day=min(value.day, monthrange(year, month + 1)[1]))
    if not isinstance(value, datetime) and seconds % 86_400:
        value = _moment(value)
    return value + timedelta(seconds=seconds)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "plus": lambda a, b: _shift(a, b, 1),
    "minus": lambda a, b: _shift(a, b, -1),
    "multiply": lambda a, b: a * b,
    "negate": lambda a: -a,
    "toDate": lambda value: _moment(value).date() if not isinstance(value, int) else _day(value),
    "toDateTime": _seconds,
    "toDateTime64": _moment,
    "toInt64": lambda value: value if isinstance(value, int) else None,
    "fromUnixTimestamp64Milli": lambda value: _EPOCH + timedelta(milliseconds=value),
    "toUnixTimestamp64Milli": lambda value: (value - _EPOCH) // timedelta(milliseconds=1),
    "toStartOfMinute": _cut(60),
    "toStartOfHour": _cut(3600),
    "toStartOfDay": _cut(86_400),
    "toStartOfWeek": _week,
    "toStartOfMonth": lambda value: _moment(value).date().replace(day=1),
    "toStartOfYear": lambda value: _moment(value).date().replace(day=1, month=1),
    **{f"toInterval{unit}": lambda n, s=seconds: (n * s, 0) for unit, seconds in _SECONDS.items()},
    **{f"toInterval{unit}": lambda n, m=months: (0, n * m) for unit, months in _MONTHS.items()},
}
