"""The fence around every stored table: whose rows, of which keyspaces or namespaces, from when on."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from latchwork.domains.analytics.sql.scopes import Budget
from latchwork.domains.analytics.sql.tables import Family, Table
from latchwork.domains.analytics.sql.tree import (
    Call,
    Column,
    Constant,
    Expression,
    Item,
    Nested,
    Select,
    Source,
    Stored,
    both,
)
from latchwork.domains.analytics.sql.types import BOOL, DATE, INT, STRING, Type

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Fence:
    """What a caller may ask: one workspace's events of one family, younger than `since_ms`.

    `spaces` are the only keyspaces or namespaces, `None` means all of the workspace.
    """

    family: Family
    workspace_id: str
    spaces: tuple[str, ...] | None
    since_ms: int
    now_ms: int


def fenced(alias: str, table: Table, fence: Fence, budget: Budget) -> Nested:
    """The table as a source of which nothing beyond the fence can be seen."""
    inner = budget.alias()
    items = tuple(Item(name, Column(type_, inner, name)) for name, type_ in table.columns.items())
    conditions: list[Expression] = [
        _equals(Column(STRING, inner, "workspace_id"), (fence.workspace_id,)),
        since(table, inner, fence.since_ms),
    ]
    if fence.spaces:
        conditions.append(_equals(Column(STRING, inner, table.space), fence.spaces))
    elif fence.spaces is not None:
        conditions.append(Constant(BOOL, False))
    stored = Stored(inner, table, tuple(table.columns), fence.since_ms)
    return Nested(alias, Select(items, stored, where=both(conditions)))


def stored_in(source: Source | None) -> tuple[Nested, Select, Stored] | None:
    """The parts of a fenced table, `None` for any other source."""
    if isinstance(source, Nested) and isinstance(source.query, Select):
        stored = source.query.source
        if isinstance(stored, Stored):
            return source, source.query, stored
    return None


def narrowed(source: Source, columns: tuple[str, ...], since_ms: int, *, merged: bool) -> Source:
    """A fenced table with these columns only, and rows from `since_ms` on; any other source as it is."""
    found = stored_in(source)
    if found is None:
        return source
    nested, select, stored = found
    kept = tuple(item for item in select.items if item.name in columns) or select.items[1:2]
    names = tuple(stored.table.columns)
    needed = {item.name for item in kept} | {"workspace_id", "time", stored.table.space}
    stored = replace(
        stored,
        columns=tuple(name for name in names if name in needed),
        since_ms=max(stored.since_ms, since_ms),
        merged=merged,
    )
    return replace(nested, query=replace(select, items=kept, source=stored))


def since(table: Table, alias: str, time_ms: int) -> Expression:
    """The condition that a row is not older; a row of counts belongs to the time at which its period begins."""
    type_ = table.columns["time"]
    return Call(BOOL, "greaterOrEquals", (Column(type_, alias, "time"), _start(table, type_, time_ms)))


def _start(table: Table, type_: Type, time_ms: int) -> Constant:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).replace(tzinfo=None)
    if table.period is None:
        return Constant(INT, time_ms)
    if type_ == DATE:
        return Constant(DATE, moment.date().replace(day=1) if table.period == "month" else moment.date())
    minute = 0 if table.period == "hour" else moment.minute
    return Constant(type_, moment.replace(minute=minute, second=0))


def _equals(column: Column, values: tuple[str, ...]) -> Expression:
    return Call(BOOL, "in", (column, *(Constant(STRING, value) for value in values)))
