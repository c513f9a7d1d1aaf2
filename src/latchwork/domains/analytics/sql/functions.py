"""The functions that may be called: what each takes and gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from latchwork.domains.analytics.faults import InvalidFunction, InvalidQuery
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
    listed,
    united,
)

Rule = Callable[[Type], bool]
Gives = Type | Callable[[Sequence[Type]], Type]


@dataclass(frozen=True, slots=True)
class Function:
    """One function: a rule for each argument, of which the last `optional` may be missing."""

    name: str
    takes: tuple[Rule, ...]
    gives: Gives
    optional: int = 0
    repeats: bool = False
    aggregate: bool = False
    ranks: bool = False
    """Whether it is one that only a window has."""

    def type_of(self, types: Sequence[Type]) -> Type:
        """The type of a call with arguments of these types; raises `InvalidFunction`, `InvalidQuery`."""
        least = len(self.takes) - self.optional
        if len(types) < least or (len(types) > len(self.takes) and not self.repeats):
            raise InvalidFunction(f"{self.name} takes {self._count()}, not {len(types)}.")
        for index, type_ in enumerate(types):
            rule = self.takes[min(index, len(self.takes) - 1)]
            if type_ != NULL and not rule(type_):
                raise InvalidQuery(f"{self.name} does not take a {type_} as argument {index + 1}.")
        return self.gives(types) if callable(self.gives) else self.gives

    def _count(self) -> str:
        most = len(self.takes)
        least = most - self.optional
        if self.repeats:
            return f"at least {least} arguments"
        return f"{most} arguments" if least == most else f"{least} to {most} arguments"


def _is(*allowed: Type) -> Rule:
    return lambda type_: type_ in allowed


def _number(type_: Type) -> bool:
    return type_.is_number


def _time(type_: Type) -> bool:
    return type_.is_time


def _scalar(type_: Type) -> bool:
    return type_.kind not in ("list", "interval")


def _comparable(type_: Type) -> bool:
    return _scalar(type_) and type_ != BOOL


def _list(type_: Type) -> bool:
    return type_.kind == "list"


def _condition(type_: Type) -> bool:
    return type_ in (BOOL, INT)


def _same(types: Sequence[Type]) -> Type:
    return types[0]


def _whole(types: Sequence[Type]) -> Type:
    return FLOAT if types[0] == FLOAT else INT


def _elements(types: Sequence[Type]) -> Type:
    return listed(types[0])


def _element(types: Sequence[Type]) -> Type:
    return types[0].of or NULL


def _united(types: Sequence[Type]) -> Type:
    found = united(list(types))
    if found is None:
        raise InvalidQuery("One expression cannot have values of different types.")
    return found


def _has(types: Sequence[Type]) -> Type:
    _united([_element(types), types[1]])
    return BOOL


def _share(types: Sequence[Type]) -> Type:
    _united([_element(types), types[1].of or NULL])
    return BOOL


_dated = (_is(DATETIME, MOMENT),)
_timed = (_time,)

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        Function("count", (_scalar,), INT, optional=1, aggregate=True),
        Function("sum", (_number,), _whole, aggregate=True),
        Function("avg", (_number,), FLOAT, aggregate=True),
        Function("min", (_comparable,), _same, aggregate=True),
        Function("max", (_comparable,), _same, aggregate=True),
        Function("any", (_scalar,), _same, aggregate=True),
        Function("groupArray", (_scalar,), _elements, aggregate=True),
        Function("groupUniqArray", (_scalar,), _elements, aggregate=True),
        Function("uniq", (_scalar,), INT, aggregate=True),
        Function("uniqExact", (_scalar,), INT, aggregate=True),
        Function("quantile", (_number,), FLOAT, aggregate=True),
        Function("countIf", (_condition,), INT, aggregate=True),
        Function("sumIf", (_number, _condition), _whole, aggregate=True),
        Function("row_number", (), INT, ranks=True),
        Function("rank", (), INT, ranks=True),
        Function("dense_rank", (), INT, ranks=True),
        Function("now", (), DATETIME),
        Function("now64", (_is(INT),), MOMENT, optional=1),
        Function("today", (), DATE),
        Function("toDate", (lambda t: t in (STRING, INT) or t.is_time,), DATE),
        Function("toDateTime", (lambda t: t in (STRING, INT, FLOAT) or t.is_time,), DATETIME),
        Function("toDateTime64", (lambda t: t in (STRING, INT, FLOAT) or t.is_time, _is(INT)), MOMENT),
        Function("toStartOfMinute", _dated, DATETIME),
        Function("toStartOfHour", _dated, DATETIME),
        Function("toStartOfDay", _timed, DATETIME),
        Function("toStartOfWeek", (_time, _is(INT)), DATE, optional=1),
        Function("toStartOfMonth", _timed, DATE),
        Function("toStartOfYear", _timed, DATE),
        Function("formatDateTime", (_time, _is(STRING)), STRING),
        Function("fromUnixTimestamp64Milli", (_is(INT),), MOMENT),
        Function("toUnixTimestamp64Milli", (_is(MOMENT),), INT),
        *(
            Function(f"toInterval{unit}", (_is(INT),), INTERVAL)
            for unit in ("Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year")
        ),
        Function("lower", (_is(STRING),), STRING),
        Function("upper", (_is(STRING),), STRING),
        Function("substring", (_is(STRING), _is(INT), _is(INT)), STRING, optional=1),
        Function("concat", (_is(STRING, INT),), STRING, repeats=True),
        Function("length", (lambda t: t == STRING or _list(t),), INT),
        Function("trim", (_is(STRING),), STRING),
        Function("startsWith", (_is(STRING), _is(STRING)), BOOL),
        Function("endsWith", (_is(STRING), _is(STRING)), BOOL),
        Function("JSONExtractString", (_is(STRING), _is(STRING)), STRING, repeats=True),
        Function("round", (_is(INT, FLOAT), _is(INT)), _same, optional=1),
        Function("floor", (_is(INT, FLOAT),), _same),
        Function("ceil", (_is(INT, FLOAT),), _same),
        Function("abs", (_is(INT, FLOAT),), _same),
        Function("coalesce", (_scalar,), _united, repeats=True),
        Function("toString", (lambda t: t in (STRING, INT, FLOAT) or t.is_time,), STRING),
        Function("toInt32", (_is(STRING, INT, FLOAT, BOOL),), INT),
        Function("toInt64", (_is(STRING, INT, FLOAT, BOOL, DATETIME),), INT),
        Function("toFloat64", (_is(STRING, INT, FLOAT, BOOL),), FLOAT),
        Function("has", (_list, _scalar), _has),
        Function("hasAny", (_list, _list), _share),
        Function("hasAll", (_list, _list), _share),
        Function("arrayJoin", (_list,), _element),
    )
}
"""By ClickHouse's name. `if`, `case`, `date_trunc` and `arrayFilter` are read by themselves."""
