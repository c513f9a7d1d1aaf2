"""One SELECT, completed: what is aggregated, how far back it reaches, lists taken apart."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from latchwork.domains.analytics.faults import InvalidQuery, RangeExceedsRetention
from latchwork.domains.analytics.sql import constants
from latchwork.domains.analytics.sql.fences import Fence, narrowed, since, stored_in
from latchwork.domains.analytics.sql.functions import FUNCTIONS
from latchwork.domains.analytics.sql.scopes import Budget
from latchwork.domains.analytics.sql.tree import (
    Call,
    Column,
    Constant,
    Expression,
    Item,
    Lambda,
    Nested,
    Ordering,
    Scalar,
    Select,
    Source,
    Stored,
    Window,
    Within,
    both,
    every,
)

Used = Mapping[str, tuple[str, ...]]
_LOWER = {"greater", "greaterOrEquals", "equals"}
_TURNED = {"less": "greater", "lessOrEquals": "greaterOrEquals", "equals": "equals"}
_OF_ANY_NUMBER = ("min", "max", "any", "uniq", "uniqExact", "groupUniqArray")
"""Aggregates that do not care how often a row is there."""


def finished(select: Select, used: Used, fence: Fence, budget: Budget) -> Select:
    """The select, checked, its tables narrowed down, its lists taken apart.

    Raises `InvalidQuery`, and `RangeExceedsRetention` for a time before the fence.
    """
    _check_aggregates(select)
    _check_range(select, fence)
    merged = not _adds_up(select)
    select = replace(
        select,
        source=select.source and _narrow(select.source, select, used, merged=merged),
        joins=tuple(replace(j, source=_narrow(j.source, select, used, merged=True)) for j in select.joins),
    )
    return _exploded(select, budget)


# -- aggregates


def _check_aggregates(select: Select) -> None:
    rows = [*([select.where] if select.where else []), *select.group, *(join.on for join in select.joins)]
    if any(_is_aggregate(part) or isinstance(part, Window) for row in rows for part in every(row)):
        raise InvalidQuery("An aggregate stands where rows are chosen or grouped; use HAVING.")
    told = list(_told(select))
    for aggregate in (part for expression in told for part in _aggregates(expression)):
        if any(_aggregates(inner) for inner in aggregate.parts()):
            raise InvalidQuery("An aggregate cannot be within another.")
    if any(_ranks(expression) for expression in told):
        raise InvalidQuery("row_number, rank and dense_rank need OVER.")
    if not select.group and not any(_aggregates(each) for each in told):
        if select.having is not None:
            raise InvalidQuery("HAVING chooses groups; choose rows with WHERE.")
        return
    for expression in told:
        _must_be_grouped(expression, select.group)


def _told(select: Select) -> Iterator[Expression]:
    """The expressions that are told of groups, where there are any."""
    yield from (item.expression for item in select.items)
    yield from (each.expression for each in select.order)
    if select.having is not None:
        yield select.having


def _is_aggregate(expression: Expression) -> bool:
    return (
        isinstance(expression, Call) and expression.name in FUNCTIONS and FUNCTIONS[expression.name].aggregate
    )


def _aggregates(expression: Expression) -> list[Expression]:
    """The outermost aggregates in it; one over a window is none."""
    if _is_aggregate(expression):
        return [expression]
    inner = _around(expression) if isinstance(expression, Window) else expression.parts()
    return [found for part in inner for found in _aggregates(part)]


def _around(window: Window) -> Iterator[Expression]:
    yield from window.call.arguments
    yield from window.partition
    yield from (each.expression for each in window.order)


def _ranks(expression: Expression) -> bool:
    if isinstance(expression, Call) and expression.name in FUNCTIONS and FUNCTIONS[expression.name].ranks:
        return True
    inner = _around(expression) if isinstance(expression, Window) else expression.parts()
    return any(_ranks(part) for part in inner)


def _must_be_grouped(expression: Expression, group: tuple[Expression, ...]) -> None:
    if expression in group or _is_aggregate(expression):
        return
    if isinstance(expression, Column):
        raise InvalidQuery(f"A column ({expression.name}) is neither in GROUP BY nor in an aggregate.")
    for part in _around(expression) if isinstance(expression, Window) else expression.parts():
        _must_be_grouped(part, group)


# -- time


def _check_range(select: Select, fence: Fence) -> None:
    for alias, time_ms in _bounds(select):
        found = stored_in(_source_of(select, alias))
        if found is None:
            continue
        earliest = constants.milliseconds(_earliest(found[2], fence))
        if earliest is not None and time_ms < earliest:
            days = (fence.now_ms - fence.since_ms) // constants.DAY_MS
            raise RangeExceedsRetention(f"The query reaches back further than events are kept, {days} days.")


def _earliest(stored: Stored, fence: Fence) -> Expression:
    return next(
        part for part in since(stored.table, "", fence.since_ms).parts() if isinstance(part, Constant)
    )


def _bounds(select: Select) -> Iterator[tuple[str, int]]:
    """From when on rows of which source are asked for, in ms, as far as WHERE says so."""
    for condition in _conjuncts(select.where):
        if not isinstance(condition, Call) or len(condition.arguments) != 2:
            continue
        column, limit, name = *condition.arguments, condition.name
        if _time_column(column) is None:
            column, limit, name = limit, column, _TURNED.get(name, "")
        alias, time_ms = _time_column(column), constants.milliseconds(limit)
        if alias is not None and time_ms is not None and name in _LOWER:
            yield alias, time_ms


def _conjuncts(condition: Expression | None) -> Iterator[Expression]:
    if isinstance(condition, Call) and condition.name == "and":
        for part in condition.arguments:
            yield from _conjuncts(part)
    elif condition is not None:
        yield condition


def _time_column(expression: Expression) -> str | None:
    """The source whose time it is, where it is nothing else."""
    if isinstance(expression, Call) and expression.name == "fromUnixTimestamp64Milli":
        expression = expression.arguments[0]
    return expression.source if isinstance(expression, Column) and expression.name == "time" else None


def _source_of(select: Select, alias: str) -> Source | None:
    sources = [select.source, *(join.source for join in select.joins)]
    return next((source for source in sources if source is not None and source.alias == alias), None)


def _narrow(source: Source, select: Select, used: Used, *, merged: bool) -> Source:
    times = [time_ms for alias, time_ms in _bounds(select) if alias == source.alias]
    return narrowed(source, used.get(source.alias, ()), max(times, default=0), merged=merged)


# -- rows of counts that need not be added up beforehand


def _adds_up(select: Select) -> bool:
    """Whether the answer is the same when a row of counts comes in several parts."""
    found = stored_in(select.source)
    if found is None or select.joins or not found[2].table.period:
        return False
    expressions = list(_told(select))
    if select.where is not None:
        expressions.append(select.where)
    expressions += select.group
    grouped = bool(select.group) or any(_aggregates(each) for each in expressions)
    return grouped and all(_is_sum_of_parts(each, found[2].table.summed) for each in expressions)


def _is_sum_of_parts(expression: Expression, summed: frozenset[str]) -> bool:
    if isinstance(expression, Window | Scalar | Within):
        return False
    if isinstance(expression, Column):
        return expression.name not in summed and not expression.name.startswith("latency")
    if _is_aggregate(expression) and isinstance(expression, Call):
        if expression.name in ("sum", "sumIf") and not expression.distinct:
            column, *condition = expression.arguments
            if isinstance(column, Column) and column.name in summed:
                return all(_is_sum_of_parts(each, summed) for each in condition)
            return False
        if expression.name not in _OF_ANY_NUMBER:
            return False
    return all(_is_sum_of_parts(part, summed) for part in expression.parts())


# -- arrayJoin


def _exploded(select: Select, budget: Budget) -> Select:
    """Where a list is taken apart: the sources become a source of their own, with a row for each element."""
    calls = {part for each in _all(select) for part in every(each) if _explodes(part)}
    if not calls:
        return select
    if len(calls) > 1:
        raise InvalidQuery("A query takes one list apart; nest queries to take apart more.")
    call = calls.pop()
    if select.source is None or any(_is_aggregate(p) or isinstance(p, Window) for p in every(call)):
        raise InvalidQuery("arrayJoin takes a list of a row.")
    alias = budget.alias()
    conjuncts = list(_conjuncts(select.where))
    inside = [each for each in conjuncts if call not in set(every(each))]
    outside = [each for each in conjuncts if call in set(every(each))]
    shown: dict[Column, str] = {}

    def moved(part: Expression) -> Expression | None:
        if part == call:
            return Column(call.type, alias, "each")
        if isinstance(part, Column):
            return Column(part.type, alias, shown.setdefault(part, f"v{len(shown) + 1}"))
        return None

    rest = _changed(replace(select, where=both(outside) if outside else None, joins=()), moved)
    items = [Item("each", call), *(Item(name, column) for column, name in shown.items())]
    inner = Select(tuple(items), select.source, select.joins, both(inside) if inside else None)
    return replace(rest, source=Nested(alias, inner))


def _explodes(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.name == "arrayJoin"


def _all(select: Select) -> Iterator[Expression]:
    yield from _told(select)
    yield from select.group
    yield from (join.on for join in select.joins)
    if select.where is not None:
        yield select.where


def _changed(select: Select, change: Callable[[Expression], Expression | None]) -> Select:
    def changed(expression: Expression) -> Expression:
        return _rebuilt(expression, change)

    return replace(
        select,
        items=tuple(Item(item.name, changed(item.expression)) for item in select.items),
        where=select.where and changed(select.where),
        group=tuple(map(changed, select.group)),
        having=select.having and changed(select.having),
        order=tuple(Ordering(changed(each.expression), each.descending) for each in select.order),
    )


def _rebuilt(expression: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """The expression with every part replaced for which `change` answers another."""
    changed = change(expression)
    if changed is not None:
        return changed
    parts = {field.name: getattr(expression, field.name) for field in fields(expression)}
    new: dict[str, Any] = {name: _in(value, change) for name, value in parts.items()}
    return expression if new == parts else replace(expression, **new)


def _in(value: object, change: Callable[[Expression], Expression | None]) -> object:
    if isinstance(value, Expression):
        return _rebuilt(value, change)
    if isinstance(value, Ordering):
        return Ordering(_rebuilt(value.expression, change), value.descending)
    return tuple(_in(each, change) for each in value) if isinstance(value, tuple) else value


__all__ = ["Lambda", "finished"]
