"""Queries: from a user's text to a question in our own tree, fenced in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latchwork.domains.analytics.faults import InvalidFunction, InvalidQuery, InvalidQueryType, InvalidTable
from latchwork.domains.analytics.sql import operators
from latchwork.domains.analytics.sql.calls import only
from latchwork.domains.analytics.sql.expressions import ExpressionReader
from latchwork.domains.analytics.sql.fences import Fence, fenced
from latchwork.domains.analytics.sql.scopes import Budget, Scope, Visible
from latchwork.domains.analytics.sql.selects import finished
from latchwork.domains.analytics.sql.tables import TABLES
from latchwork.domains.analytics.sql.tree import (
    Column,
    Combined,
    Constant,
    Expression,
    Item,
    Join,
    Nested,
    Ordering,
    Query,
    Question,
    Select,
    Source,
)
from latchwork.domains.analytics.sql.types import NULL, Type, united

if TYPE_CHECKING:
    from sqlglot import exp

_MOST_ITEMS = 100
_MOST_ROWS = 2**53
_OPERATORS = {"Union": "union", "Except": "except", "Intersect": "intersect"}
_STARTS = ("SELECT", "WITH", "FROM", "(")


@dataclass(frozen=True, slots=True)
class Named:
    """A query and the user's names of its columns."""

    query: Query
    names: tuple[str, ...]


def read(text: str, fence: Fence) -> Question:
    """The question that `text` asks of what is within `fence`.

    Raises `InvalidQuery`, `InvalidQueryType`, `InvalidTable`, `InvalidFunction`, `RangeExceedsRetention`.
    """
    try:
        node = _parsed(text)
        named = _Reader(fence).query(node, {})
    except RecursionError:
        raise InvalidQuery("The query is nested too deeply.") from None
    if len(set(named.names)) != len(named.names):
        raise InvalidQuery("Two columns of the answer have the same name; name them with AS.")
    return Question(named.query, named.names)


def _parsed(text: str) -> "exp.Expression":
    import sqlglot
    from sqlglot import errors, exp

    try:
        tokens = sqlglot.tokenize(text, read="clickhouse")
        statements = [node for node in sqlglot.parse(text, read="clickhouse") if node is not None]
    except (errors.SqlglotError, ValueError) as error:
        raise InvalidQuery(_complaint(error)) from None
    if not tokens:
        raise InvalidQuery("The query is empty.")
    if tokens[0].text.upper() not in _STARTS:
        raise InvalidQueryType
    if len(statements) != 1:
        raise InvalidQueryType("Send one statement at a time.")
    node = statements[0]
    if not isinstance(node, exp.Query):
        raise InvalidQueryType
    return node  # type: ignore[return-value]


def _complaint(error: Exception) -> str:
    details = getattr(error, "errors", None) or [{}]
    at = f" in line {details[0]['line']}, column {details[0]['col']}" if details[0].get("line") else ""
    return f"The query cannot be read{at}."


class _Reader:
    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._budget = Budget()

    def query(self, node: "exp.Expression", tables: dict[str, Named]) -> Named:
        """Any query; `tables` are those that WITH has named around it."""
        kind = type(node).__name__
        if kind == "Subquery":
            return self._parenthesised(node, tables)
        if kind not in ("Select", *_OPERATORS):
            raise InvalidQuery(f"{kind} is not allowed here.")
        tables = self._with(node.args.get("with_") or node.args.get("with"), tables)
        return self._select(node, tables) if kind == "Select" else self._combined(node, tables)

    def _parenthesised(self, node: "exp.Expression", tables: dict[str, Named]) -> Named:
        only(node, "this", "alias")
        return self.query(node.args["this"], tables)

    def _with(self, node: "exp.Expression | None", tables: dict[str, Named]) -> dict[str, Named]:
        if node is None:
            return tables
        only(node, "expressions")
        known = dict(tables)
        for each in node.expressions:
            only(each, "this", "alias")
            only(each.args["alias"], "this")
            if each.alias in TABLES:
                raise InvalidTable(f"`{each.alias}` is the name of a table; call it otherwise.")
            known[each.alias] = self.query(each.args["this"], known)
        return known

    # -- UNION and the like

    def _combined(self, node: "exp.Expression", tables: dict[str, Named]) -> Named:
        only(node, "with", "with_", "this", "expression", "distinct", "order", "limit", "offset")
        left, right = self.query(node.args["this"], tables), self.query(node.args["expression"], tables)
        types = _united(left, right)
        left, right = (Named(self._typed(each.query, types), left.names) for each in (left, right))
        order = self._combined_order(node.args.get("order"), left.names)
        limit, offset = _limits(node)
        which = "distinct" if node.args.get("distinct") else "all"
        operator = f"{_OPERATORS[type(node).__name__]} {which}"
        combined = Combined(operator, left.query, right.query, left.query.items, order, limit, offset)
        return Named(combined, left.names)

    def _typed(self, query: Query, types: Sequence[Type]) -> Query:
        """The query with columns of these types: engines make different ones of different types."""
        if [item.expression.type for item in query.items] == types:
            return query
        alias = self._budget.alias()
        items = []
        for item, type_ in zip(query.items, types, strict=True):
            column = Column(item.expression.type, alias, item.name)
            nothing = column.type == NULL and type_ != NULL
            items.append(
                Item(item.name, Constant(type_, None) if nothing else operators.converted(column, type_))
            )
        return Select(tuple(items), Nested(alias, query))

    def _combined_order(
        self, node: "exp.Expression | None", names: Sequence[str]
    ) -> tuple[tuple[int, bool], ...]:
        if node is None:
            return ()
        only(node, "expressions")
        found = []
        for each in node.expressions:
            only(each, "this", "desc")
            what = each.args["this"]
            name, text = what.name, str(what.args.get("this"))
            if type(what).__name__ == "Literal" and text.isdigit() and 0 < int(text) <= len(names):
                index = int(text) - 1
            elif type(what).__name__ == "Column" and not what.text("table") and name in names:
                index = list(names).index(name)
            else:
                raise InvalidQuery("The answer of a UNION is sorted by its columns only.")
            found.append((index, bool(each.args.get("desc"))))
        return tuple(found)

    # -- SELECT

    def _select(self, node: "exp.Expression", tables: dict[str, Named]) -> Named:
        only(
            node,
            *("with", "with_", "kind", "expressions", "distinct", "from", "from_", "joins", "where", "group"),
            *("having", "order", "limit", "offset"),
        )
        if node.args.get("distinct"):
            only(node.args["distinct"])
        sources, joins = self._sources(node, tables)
        scope = Scope(self._budget, [visible for visible, _ in sources])
        reader = ExpressionReader(scope, self._fence.now_ms, self._within(tables))
        joined = [_joined(reader, source, join) for (_, source), join in zip(sources[1:], joins, strict=True)]
        names, items = self._items(node.expressions, scope, reader)
        where = reader.condition(node.args["where"].args["this"]) if node.args.get("where") else None
        scope.items_first = True
        group = self._group(node.args.get("group"), items, reader)
        having = reader.condition(node.args["having"].args["this"]) if node.args.get("having") else None
        order = reader.sorting(node.args.get("order"), items)
        limit, offset = _limits(node)
        select = Select(
            items=tuple(Item(f"c{number}", item) for number, item in enumerate(items, start=1)),
            source=sources[0][1] if sources else None,
            joins=tuple(joined),
            where=where,
            group=group,
            having=having,
            distinct=bool(node.args.get("distinct")),
            order=order,
            limit=limit,
            offset=offset,
        )
        used = {visible.alias: tuple(visible.used) for visible, _ in sources}
        return Named(finished(select, used, self._fence, self._budget), names)

    def _within(
        self, tables: dict[str, Named]
    ) -> "Callable[[exp.Expression], tuple[Query, list[Expression]]]":
        """What reads the queries within one SELECT's expressions: the same text as the same query, so that
        what is grouped by can be told of the groups."""
        known: dict[str, Query] = {}

        def within(node: "exp.Expression") -> tuple[Query, list[Expression]]:
            text = node.sql(dialect="clickhouse", comments=False)
            if text in known:
                self._budget.spend(_weight(known[text]))
            else:
                known[text] = self.query(node, tables).query
            return known[text], [item.expression for item in known[text].items]

        return within

    def _items(
        self, nodes: "Sequence[exp.Expression]", scope: Scope, reader: ExpressionReader
    ) -> tuple[tuple[str, ...], list[Expression]]:
        names: list[str] = []
        items: list[Expression] = []
        for node in nodes:
            if type(node).__name__ == "Alias":
                scope.items[node.alias] = node.args["this"]
        for node in nodes:
            starred = _starred(node, scope)
            if starred is not None:
                names += [name for _, name in starred]
                items += [visible.column(name) for visible, name in starred]
                continue
            names.append(_name(node))
            items.append(reader.read(node.args["this"] if type(node).__name__ == "Alias" else node))
        if len(items) > _MOST_ITEMS:
            raise InvalidQuery(f"A query answers at most {_MOST_ITEMS} columns.")
        if any(item.type.kind == "interval" for item in items):
            raise InvalidQuery("An interval is no answer; add it to a time.")
        return tuple(names), items

    def _group(
        self, node: "exp.Expression | None", items: list[Expression], reader: ExpressionReader
    ) -> tuple[Expression, ...]:
        if node is None:
            return ()
        only(node, "expressions")
        group = []
        for each in node.expressions:
            group.append(reader.counted(each, items) or reader.read(each))
        return tuple(group)

    # -- FROM

    def _sources(
        self, node: "exp.Expression", tables: dict[str, Named]
    ) -> "tuple[list[tuple[Visible, Source]], list[exp.Expression]]":
        first = node.args.get("from_") or node.args.get("from")
        joins = node.args.get("joins") or []
        if first is None:
            return [], []
        only(first, "this")
        found = [self._source(first.args["this"], tables)]
        found += [self._source(join.args["this"], tables) for join in joins]
        called = [visible.called for visible, _ in found if visible.called]
        if len(set(called)) != len(called):
            raise InvalidQuery("Two tables of one query have the same name; name them with AS.")
        return found, joins

    def _source(self, node: "exp.Expression", tables: dict[str, Named]) -> tuple[Visible, Source]:
        self._budget.spend()
        alias = self._budget.alias()
        if type(node).__name__ == "Subquery":
            only(node, "this", "alias")
            if node.args.get("alias"):
                only(node.args["alias"], "this")
            named = self.query(node.args["this"], tables)
            return _nested(node.alias, alias, named)
        if type(node).__name__ != "Table":
            raise InvalidQuery(
                f"{type(node).__name__.upper()} is not allowed here; FROM names a table or a query."
            )
        name = _table_name(node)
        called = node.alias or name
        if name in tables:
            self._budget.spend(_weight(tables[name].query))
            return _nested(called, alias, tables[name])
        table = TABLES.get(name)
        if table is None or table.family != self._fence.family:
            raise InvalidTable(f"There is no table `{name[:60]}` here.")
        columns = {column: (column, type_) for column, type_ in table.columns.items()}
        return Visible(called, alias, columns), fenced(alias, table, self._fence, self._budget)


def _table_name(node: "exp.Expression") -> str:
    from sqlglot import exp

    if isinstance(node.args.get("this"), exp.Func):
        raise InvalidFunction(f"The table function {node.args['this'].name[:60]} is not allowed.")
    if node.args.get("db") or node.args.get("catalog"):
        raise InvalidTable("Tables are named without a database.")
    only(node, "this", "alias")
    if node.args.get("alias"):
        only(node.args["alias"], "this")
    return node.name


def _nested(called: str, alias: str, named: Named) -> tuple[Visible, Source]:
    items = named.query.items
    if len(set(named.names)) != len(named.names):
        raise InvalidQuery("Two columns of a nested query have the same name; name them with AS.")
    columns = {name: (item.name, item.expression.type) for name, item in zip(named.names, items, strict=True)}
    return Visible(called, alias, columns), Nested(alias, named.query)


def _joined(reader: ExpressionReader, source: Source, node: "exp.Expression") -> Join:
    only(node, "this", "on", "side", "kind")
    side, kind = (node.args.get("side") or "").upper(), (node.args.get("kind") or "").upper()
    if (side, kind) not in (("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")):
        raise InvalidQuery(f"{side} {kind} JOIN is not allowed here.".replace("  ", " ").lstrip())
    if node.args.get("on") is None:
        raise InvalidQuery("A join needs ON; every row with every other is too much.")
    return Join(source, reader.condition(node.args["on"]), side == "LEFT")


def _starred(node: "exp.Expression", scope: Scope) -> list[tuple[Visible, str]] | None:
    """The columns that `*` or `t.*` stand for; `None` for anything else."""
    star = node.args.get("this") if type(node).__name__ == "Column" else node
    if type(star).__name__ != "Star":
        return None
    only(star)  # type: ignore[arg-type]
    table = node.text("table") if star is not node else ""
    sources = [source for source in scope.sources if not table or source.called == table]
    if not sources:
        raise InvalidQuery("There is no table whose columns `*` could mean.")
    return [(source, name) for source in sources for name in source.columns]


def _name(node: "exp.Expression") -> str:
    """The name of a column of the answer: its alias, the column's name, or what was written."""
    if type(node).__name__ in ("Alias", "Column"):
        return str(node.alias_or_name)
    return str(node.sql(dialect="clickhouse", comments=False))[:200]


def _united(left: Named, right: Named) -> list[Type]:
    """The types of the columns of both together."""
    if len(left.query.items) != len(right.query.items):
        raise InvalidQuery("The queries of a UNION answer as many columns each.")
    types = []
    for index, (one, other) in enumerate(zip(left.query.items, right.query.items, strict=True), start=1):
        type_ = united([one.expression.type, other.expression.type])
        if type_ is None or (type_.of and NULL in (one.expression.type, other.expression.type)):
            raise InvalidQuery(f"Column {index} of a UNION has different types.")
        types.append(type_)
    return types


def _limits(node: "exp.Expression") -> tuple[int | None, int]:
    found: list[int | None] = []
    for name in ("limit", "offset"):
        clause = node.args.get(name)
        if clause is None:
            found.append(None)
            continue
        only(clause, "expression")
        text = str(clause.args["expression"].args.get("this"))
        if (
            type(clause.args["expression"]).__name__ != "Literal"
            or not text.isdigit()
            or int(text) > _MOST_ROWS
        ):
            raise InvalidQuery(f"{name.upper()} is followed by a constant.")
        found.append(int(text))
    return found[0], found[1] or 0


def _weight(query: Query) -> int:
    """About how much a query holds, to count it again wherever it is named."""
    if isinstance(query, Combined):
        return _weight(query.left) + _weight(query.right)
    from latchwork.domains.analytics.sql.tree import every

    size = sum(1 for item in query.items for _ in every(item.expression))
    for source in (query.source, *(join.source for join in query.joins)):
        size += 1 + (_weight(source.query) if isinstance(source, Nested) else 0)
    return size


__all__ = ["Ordering", "read"]
