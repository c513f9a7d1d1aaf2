"""The tree as text: what engines have in common. What they have not is said by their adapters."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from latchwork.domains.analytics.sql.tree import (
    Call,
    Case,
    Column,
    Combined,
    Constant,
    Element,
    Expression,
    Lambda,
    Nested,
    Ordering,
    Query,
    Scalar,
    Select,
    Source,
    Stored,
    Window,
    Within,
)

_EACH = {
    "equals": "({0} = {1})",
    "notEquals": "({0} <> {1})",
    "less": "({0} < {1})",
    "lessOrEquals": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greaterOrEquals": "({0} >= {1})",
    "not": "(NOT {0})",
    "isNull": "({0} IS NULL)",
    "negate": "(- {0})",
}


def quoted(name: str) -> str:
    """A name as an identifier. All names in a tree are ours."""
    return f'"{name}"'


class Writer(ABC):
    """Writes queries in an engine's SQL."""

    @abstractmethod
    def constant(self, constant: Constant) -> str:
        """A value."""

    @abstractmethod
    def call(self, call: Call, arguments: list[str], over: str) -> str:
        """A call of a function; `over` is what follows an aggregate over a window."""

    @abstractmethod
    def function(self, element: str, body: str) -> str:
        """A function of one element."""

    @abstractmethod
    def stored(self, stored: Stored) -> str:
        """A stored table, as something that FROM may name."""

    def within(self, what: str, query: str) -> str:
        """Whether a value is among those that a query answers: NULL for NULL only, whatever else is among them."""
        return f"({what} IN ({query}))"

    def among(self, what: str, values: str) -> str:
        """The same of values of which some may be NULL."""
        return f"({what} IN ({values}))"

    def query(self, query: Query) -> str:
        """A whole query."""
        return self._combined(query) if isinstance(query, Combined) else self._select(query)

    def expression(self, expression: Expression) -> str:
        """Any expression."""
        match expression:
            case Constant():
                return self.constant(expression)
            case Column():
                return f"{quoted(expression.source)}.{quoted(expression.name)}"
            case Call():
                return self._call(expression, "")
            case Window():
                return self._call(expression.call, self._over(expression))
            case Case():
                branches = (
                    f"WHEN {self.expression(when)} THEN {self.expression(then)}"
                    for when, then in expression.branches
                )
                return f"CASE {' '.join(branches)} ELSE {self.expression(expression.otherwise)} END"
            case Element():
                return f"e{expression.number}"
        return self._nested(expression)

    def _nested(self, expression: Expression) -> str:
        match expression:
            case Within():
                return self.within(self.expression(expression.what), self.query(expression.query))
            case Lambda():
                return self.function(f"e{expression.number}", self.expression(expression.body))
            case Scalar():
                return f"({self.query(expression.query)})"
        raise TypeError(f"no such expression: {expression!r}")

    def _call(self, call: Call, over: str) -> str:
        arguments = [self.expression(argument) for argument in call.arguments]
        if call.name in ("and", "or"):
            return "(" + f" {call.name.upper()} ".join(arguments) + ")"
        if call.name == "in":
            known = all(isinstance(each, Constant) and each.value is not None for each in call.arguments[1:])
            listed = ", ".join(arguments[1:])
            return f"({arguments[0]} IN ({listed}))" if known else self.among(arguments[0], listed)
        if call.name in _EACH:
            return _EACH[call.name].format(*arguments)
        return self.call(call, arguments, over)

    def _over(self, window: Window) -> str:
        parts = []
        if window.partition:
            parts.append(f"PARTITION BY {self._all(window.partition)}")
        if window.order:
            parts.append(f"ORDER BY {self._ordering(window.order)}")
        if window.frame is not None:
            before, after = ("UNBOUNDED" if rows is None else rows for rows in window.frame)
            parts.append(f"ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING")
        return f" OVER ({' '.join(parts)})"

    def _select(self, select: Select) -> str:
        items = ", ".join(
            f"{self.expression(item.expression)} AS {quoted(item.name)}" for item in select.items
        )
        parts = [f"SELECT {'DISTINCT ' if select.distinct else ''}{items}"]
        if select.source is not None:
            parts.append(f"FROM {self._source(select.source)}")
        for join in select.joins:
            kind = "LEFT JOIN" if join.outer else "INNER JOIN"
            parts.append(f"{kind} {self._source(join.source)} ON {self.expression(join.on)}")
        if select.where is not None:
            parts.append(f"WHERE {self.expression(select.where)}")
        if select.group:
            parts.append(f"GROUP BY {self._all(select.group)}")
        if select.having is not None:
            parts.append(f"HAVING {self.expression(select.having)}")
        if select.order:
            parts.append(f"ORDER BY {self._ordering(select.order)}")
        return " ".join([*parts, *_limits(select)])

    def _combined(self, combined: Combined) -> str:
        names = [item.name for item in combined.items]
        left, right = self.query(combined.left), self.query(combined.right)
        both = f"({left}) {combined.operator.upper()} ({right})"
        parts = [f"SELECT {', '.join(map(quoted, names))} FROM ({both}) AS {quoted('both')}"]  # noqa: S608
        if combined.order:
            by = (
                f"{quoted(names[index])}{' DESC' if down else ''} NULLS LAST"
                for index, down in combined.order
            )
            parts.append(f"ORDER BY {', '.join(by)}")
        return " ".join([*parts, *_limits(combined)])

    def _source(self, source: Source) -> str:
        inner = self.stored(source) if isinstance(source, Stored) else f"({self.query(source.query)})"
        return f"{inner} AS {quoted(source.alias)}"

    def _ordering(self, order: Iterable[Ordering]) -> str:
        return ", ".join(
            f"{self.expression(each.expression)}{' DESC' if each.descending else ''} NULLS LAST"
            for each in order
        )

    def _all(self, expressions: Iterable[Expression]) -> str:
        return ", ".join(map(self.expression, expressions))


def _limits(query: Query) -> list[str]:
    parts = [] if query.limit is None else [f"LIMIT {query.limit}"]
    return [*parts, f"OFFSET {query.offset}"] if query.offset else parts


__all__ = ["Nested", "Writer", "quoted"]
