"""What a name means at a place of a query."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from latchwork.domains.analytics.faults import InvalidQuery
from latchwork.domains.analytics.sql.tree import Column, Element, Expression, every
from latchwork.domains.analytics.sql.types import Type

if TYPE_CHECKING:
    from sqlglot import exp

_MOST_EXPRESSIONS = 3_000
"""How much a question may hold when everything that has a name is written out wherever it is named."""


class Budget:
    """What is left of a question's size, and of our names in it."""

    def __init__(self) -> None:
        self._left = _MOST_EXPRESSIONS
        self._sources = 0

    def spend(self, amount: int = 1) -> None:
        """Raise `InvalidQuery` when the question has become too large."""
        self._left -= amount
        if self._left < 0:
            raise InvalidQuery("The query is too large.")

    def alias(self) -> str:
        """A name for a source that no other has."""
        self._sources += 1
        return f"s{self._sources}"


@dataclass(slots=True)
class Visible:
    """A source as expressions see it: the user's name of it, ours, and its columns by the user's names."""

    called: str
    alias: str
    columns: dict[str, tuple[str, Type]]
    used: dict[str, None] = field(default_factory=dict)
    """Our names of the columns that were asked for."""

    def column(self, name: str) -> Column:
        """The column of that name."""
        ours, type_ = self.columns[name]
        self.used[ours] = None
        return Column(type_, self.alias, ours)


class Scope:
    """The names that hold in one SELECT: columns of its sources, and of its own items."""

    def __init__(self, budget: Budget, sources: list[Visible]) -> None:
        self.budget = budget
        self.sources = sources
        self.items: dict[str, exp.Expression] = {}
        self.elements: dict[str, Element] = {}
        self.items_first = False
        self._reading: set[str] = set()

    def resolve(self, table: str, name: str, read: "Callable[[exp.Expression], Expression]") -> Expression:
        """What `table.name` or `name` means; `read` reads the item of that name. Raises `InvalidQuery`."""
        self.budget.spend()
        if not table and name in self.elements:
            return self.elements[name]
        if not table and self.items_first and name in self.items:
            return self._item(name, read)
        found = [s for s in self.sources if name in s.columns and (not table or s.called == table)]
        if len(found) > 1:
            raise InvalidQuery(f"`{name[:60]}` may mean a column of more than one table; write which.")
        if found:
            return found[0].column(name)
        if not table and name in self.items:
            return self._item(name, read)
        raise InvalidQuery(f"There is no column `{name[:60]}` here.")

    def _item(self, name: str, read: "Callable[[exp.Expression], Expression]") -> Expression:
        if name in self._reading:
            raise InvalidQuery(f"`{name[:60]}` is defined by itself.")
        self._reading.add(name)
        items_first, self.items_first = self.items_first, False
        try:
            expression = read(self.items[name])
        finally:
            self.items_first = items_first
            self._reading.discard(name)
        self.budget.spend(sum(1 for _ in every(expression)))
        return expression
