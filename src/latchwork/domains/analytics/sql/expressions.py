"""Expressions: from sqlglot's tree into ours, each kind by a reader of its own, and all else refused."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from latchwork.domains.analytics.faults import InvalidFunction, InvalidQuery
from latchwork.domains.analytics.sql import names, operators
from latchwork.domains.analytics.sql.calls import CallReader, only, unknown
from latchwork.domains.analytics.sql.functions import FUNCTIONS
from latchwork.domains.analytics.sql.scopes import Scope
from latchwork.domains.analytics.sql.tree import (
    Call,
    Case,
    Constant,
    Expression,
    Ordering,
    Query,
    Scalar,
    Window,
    Within,
    both,
    every,
)
from latchwork.domains.analytics.sql.types import (
    BOOL,
    FLOAT,
    INT,
    NULL,
    STRING,
)

if TYPE_CHECKING:
    from sqlglot import exp

_LARGEST = 2**63 - 1
_COMPARISONS = {
    "EQ": "equals",
    "NEQ": "notEquals",
    "LT": "less",
    "LTE": "lessOrEquals",
    "GT": "greater",
    "GTE": "greaterOrEquals",
}
_ARITHMETIC = {"Add": "plus", "Sub": "minus", "Mul": "multiply", "Div": "divide", "Mod": "modulo"}


class ExpressionReader(CallReader):
    """Reads expressions in a scope. `query` reads queries within them, and answers the types of their items."""

    def __init__(
        self, scope: Scope, now_ms: int, query: "Callable[[exp.Expression], tuple[Query, list[Expression]]]"
    ) -> None:
        super().__init__(scope, now_ms)
        self._query = query

    def read(self, node: "exp.Expression") -> Expression:
        """The expression; raises `InvalidQuery` or `InvalidFunction` for what may not be said."""
        self.scope.budget.spend()
        kind = type(node).__name__
        if kind in _COMPARISONS:
            return operators.compared(_COMPARISONS[kind], *self._two(node))
        if kind in _ARITHMETIC:
            only(node, "this", "expression", "typed", "safe")
            return operators.arithmetic(_ARITHMETIC[kind], *self._both_of(node))
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(self, node)
        name = names.function_of(node)
        if name is not None:
            return self._call(name, node)
        raise _refused(node)

    def _two(self, node: "exp.Expression") -> tuple[Expression, Expression]:
        only(node, "this", "expression")
        return self._both_of(node)

    def _both_of(self, node: "exp.Expression") -> tuple[Expression, Expression]:
        return self.read(node.args["this"]), self.read(node.args["expression"])

    # -- leaves

    def _literal(self, node: "exp.Expression") -> Expression:
        text = str(node.args["this"])
        if node.args.get("is_string"):
            return Constant(STRING, text)
        if re.fullmatch(r"[0-9]{1,20}", text):
            if int(text) > _LARGEST:
                raise InvalidQuery("An integer is too large.")
            return Constant(INT, int(text))
        try:
            value = float(text)
        except ValueError:
            raise InvalidQuery(f"{text[:40]} is no number.") from None
        if value in (float("inf"), float("-inf")):
            raise InvalidQuery("A number is too large.")
        return Constant(FLOAT, value)

    def _boolean(self, node: "exp.Expression") -> Expression:
        return Constant(BOOL, bool(node.args["this"]))

    def _null(self, node: "exp.Expression") -> Expression:
        return Constant(NULL, None)

    def _column(self, node: "exp.Expression") -> Expression:
        only(node, "this", "table")
        if type(node.args["this"]).__name__ != "Identifier":
            raise InvalidQuery("`*` and positions of tuples do not belong in an expression.")
        return self.scope.resolve(node.text("table"), node.name, self.read)

    def _identifier(self, node: "exp.Expression") -> Expression:
        return self.scope.resolve("", node.name, self.read)

    def _paren(self, node: "exp.Expression") -> Expression:
        only(node, "this")
        return self.read(node.args["this"])

    # -- logic

    def _and_or(self, node: "exp.Expression") -> Expression:
        """AND and OR, flattened, so that a long chain of them is no deep one."""
        name = type(node).__name__.lower()
        only(node, "this", "expression")
        conditions: list[Expression] = []
        while type(node).__name__.lower() == name:
            conditions.insert(0, self.condition(node.args["expression"]))
            node = node.args["this"]
        conditions.insert(0, self.condition(node))
        return Call(BOOL, name, tuple(conditions))

    def _not(self, node: "exp.Expression") -> Expression:
        only(node, "this")
        return Call(BOOL, "not", (self.condition(node.args["this"]),))

    def _between(self, node: "exp.Expression") -> Expression:
        only(node, "this", "low", "high")
        what, low, high = (self.read(node.args[name]) for name in ("this", "low", "high"))
        return both(
            [
                operators.compared("greaterOrEquals", what, low),
                operators.compared("lessOrEquals", what, high),
            ]
        )

    def _is(self, node: "exp.Expression") -> Expression:
        what, null = self._two(node)
        if null != Constant(NULL, None):
            raise InvalidQuery("IS is followed by NULL or NOT NULL here.")
        return Call(BOOL, "isNull", (what,))

    def _like(self, node: "exp.Expression") -> Expression:
        only(node, "this", "expression", "negate")
        what, pattern = self._both_of(node)
        if not {what.type, pattern.type} <= {STRING, NULL}:
            raise InvalidQuery("LIKE compares strings.")
        like = Call(BOOL, type(node).__name__.lower(), (what, pattern))
        return Call(BOOL, "not", (like,)) if node.args.get("negate") else like

    def _in(self, node: "exp.Expression") -> Expression:
        only(node, "this", "expressions", "query")
        what = self.read(node.args["this"])
        nested = node.args.get("query")
        if nested is not None:
            query, items = self._query(nested)
            if len(items) != 1:
                raise InvalidQuery("A query after IN answers one column.")
            if any(isinstance(part, Within | Scalar) for part in every(what)):  # it is written out twice
                raise InvalidQuery(
                    "What stands before IN and a query holds no query itself; nest them in FROM."
                )
            compared = operators.compared("equals", what, items[0])
            if not isinstance(compared, Call) or compared.arguments != (what, items[0]):
                raise InvalidQuery(f"A {what.type} is not among values that are a {items[0].type} each.")
            return Within(BOOL, what, query)
        compared_with = [operators.compared("equals", what, self.read(e)) for e in node.expressions]
        found = [c.arguments for c in compared_with if isinstance(c, Call)]
        if not found:
            raise InvalidQuery("IN is followed by at least one value.")
        return Call(BOOL, "in", (found[0][0], *(values[1] for values in found)))

    # -- branches

    def _if(self, node: "exp.Expression") -> Expression:
        only(node, "this", "true", "false")
        if node.args.get("false") is None:
            raise InvalidFunction("if takes 3 arguments.")
        then, otherwise = operators.unified([self.read(node.args["true"]), self.read(node.args["false"])])
        return _case([(self.condition(node.args["this"]), then)], otherwise)

    def _case(self, node: "exp.Expression") -> Expression:
        only(node, "this", "ifs", "default")
        what = node.args.get("this")
        conditions, values = [], []
        for branch in node.args["ifs"]:
            when = branch.args["this"]
            compared = what is not None and operators.compared("equals", self.read(what), self.read(when))
            conditions.append(compared or self.condition(when))
            values.append(self.read(branch.args["true"]))
        default = node.args.get("default")
        values.append(Constant(NULL, None) if default is None else self.read(default))
        *then, otherwise = operators.unified(values)
        return _case(list(zip(conditions, then, strict=True)), otherwise)

    def _negated(self, node: "exp.Expression") -> Expression:
        only(node, "this")
        what = operators.number(self.read(node.args["this"]))
        if isinstance(what, Constant) and isinstance(what.value, int | float) and what.type != BOOL:
            return Constant(what.type, -what.value)
        if what.type not in (INT, FLOAT):
            raise InvalidQuery(f"A {what.type} has no negative.")
        return Call(what.type, "negate", (what,))

    # -- queries and windows

    def _scalar(self, node: "exp.Expression") -> Expression:
        query, items = self._query(node)
        if len(items) != 1:
            raise InvalidQuery("A query that stands for a value answers one column.")
        return Scalar(items[0].type, query)

    def _filtered(self, node: "exp.Expression") -> Expression:
        only(node, "this", "expression")
        call = self.read(node.args["this"])
        holds = self.condition(node.args["expression"].args["this"])
        if isinstance(call, Call) and call.name in ("count", "sum") and not call.distinct:
            if call.name == "sum":
                return Call(call.type, "sumIf", (*call.arguments, holds))
            if not call.arguments:
                return Call(call.type, "countIf", (holds,))
        raise InvalidFunction("FILTER follows count() and sum only.")

    def _window(self, node: "exp.Expression") -> Expression:
        only(node, "this", "partition_by", "order", "spec", "over")
        call = self.read(node.args["this"])
        if not isinstance(call, Call) or not (FUNCTIONS[call.name].aggregate or FUNCTIONS[call.name].ranks):
            raise InvalidFunction("OVER follows an aggregate, row_number, rank or dense_rank.")
        partition = tuple(self.read(each) for each in node.args.get("partition_by") or [])
        order = self.ordering(node.args.get("order"))
        return Window(call.type, call, partition, order, _frame(node.args.get("spec")))

    def ordering(self, node: "exp.Expression | None") -> tuple[Ordering, ...]:
        """What follows ORDER BY."""
        if node is None:
            return ()
        only(node, "expressions")
        return tuple(self._ordered(each) for each in node.expressions)

    def sorting(self, node: "exp.Expression | None", items: Sequence[Expression]) -> tuple[Ordering, ...]:
        """What follows the ORDER BY of a query that answers `items`; what is the same of all rows is left out."""
        if node is None:
            return ()
        only(node, "expressions")
        order = [self._ordered(each, items) for each in node.expressions]
        return tuple(each for each in order if not isinstance(each.expression, Constant))

    def counted(self, node: "exp.Expression", items: Sequence[Expression]) -> Expression | None:
        """The item that a number counts, from 1 on; `None` for all else. A name is a name, whatever it means."""
        if type(node).__name__ != "Literal":
            return None
        text = str(node.args["this"])
        if node.args.get("is_string") or not text.isdigit() or not 0 < int(text) <= len(items):
            raise InvalidQuery("A number by which to group or sort means a column of the answer, from 1 on.")
        return items[int(text) - 1]

    def _ordered(self, node: "exp.Expression", items: Sequence[Expression] = ()) -> Ordering:
        only(node, "this", "desc")
        what = (self.counted(node.args["this"], items) if items else None) or self.read(node.args["this"])
        if what.type.kind in ("list", "interval"):
            raise InvalidQuery(f"A {what.type} cannot be sorted by.")
        return Ordering(what, bool(node.args.get("desc")))


def _case(branches: list[tuple[Expression, Expression]], otherwise: Expression) -> Expression:
    types = [value.type for _, value in branches] + [otherwise.type]
    return Case(next((t for t in types if t != NULL), NULL), tuple(branches), otherwise)


def _frame(spec: "exp.Expression | None") -> tuple[int | None, int | None] | None:
    """How many rows before and after belong to the window; raises `InvalidQuery`."""
    if spec is None:
        return None
    only(spec, "kind", "start", "start_side", "end", "end_side")
    args = spec.args
    sides = (args.get("start"), args.get("start_side")), (args.get("end"), args.get("end_side"))
    if args.get("kind") == "ROWS":
        before, after = (_bound(*side) for side in sides)
        if sides[0][1] != "FOLLOWING" and sides[1][1] != "PRECEDING":
            return before, after
    raise InvalidQuery("A window is ROWS BETWEEN n PRECEDING AND n FOLLOWING here.")


def _bound(bound: Any, side: str | None) -> int | None:
    if bound == "UNBOUNDED":
        return None
    if bound in ("CURRENT ROW", None):
        return 0
    text = str(getattr(bound, "this", bound))
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise InvalidQuery("The rows of a window are counted by a constant.")
    return int(text)


def _refused(node: "exp.Expression") -> InvalidQuery | InvalidFunction:
    from sqlglot import exp

    if isinstance(node, exp.Func):
        return unknown(node.sql_name())
    return InvalidQuery(f"{type(node).__name__} is not allowed here.")


_READERS: dict[str, Callable[[ExpressionReader, Any], Expression]] = {
    "Literal": ExpressionReader._literal,
    "Boolean": ExpressionReader._boolean,
    "Null": ExpressionReader._null,
    "Column": ExpressionReader._column,
    "Identifier": ExpressionReader._identifier,
    "Paren": ExpressionReader._paren,
    "And": ExpressionReader._and_or,
    "Or": ExpressionReader._and_or,
    "Not": ExpressionReader._not,
    "Between": ExpressionReader._between,
    "Is": ExpressionReader._is,
    "Like": ExpressionReader._like,
    "ILike": ExpressionReader._like,
    "In": ExpressionReader._in,
    "If": ExpressionReader._if,
    "Case": ExpressionReader._case,
    "Neg": ExpressionReader._negated,
    "TimestampTrunc": ExpressionReader._truncated,
    "DateTrunc": ExpressionReader._truncated,
    "TimeToStr": ExpressionReader._formatted,
    "JSONExtractScalar": ExpressionReader._json,
    "Cast": ExpressionReader._cast,
    "Interval": ExpressionReader._interval,
    "Array": ExpressionReader._array,
    "ArrayFilter": ExpressionReader._filtered_list,
    "Subquery": ExpressionReader._scalar,
    "Filter": ExpressionReader._filtered,
    "Window": ExpressionReader._window,
}
