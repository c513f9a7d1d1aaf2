"""The tree of a question: what is asked, resolved and typed, and nothing that an engine would have to guess.

Names in it are ours (`s1`, `c1`), never the user's. Functions are called by ClickHouse's names, operators
too (`plus`, `equals`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime

from latchwork.domains.analytics.sql.tables import Table
from latchwork.domains.analytics.sql.types import BOOL, Type

Value = int | float | str | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that has a value; `type` is the value's type."""

    type: Type

    def parts(self) -> Iterator["Expression"]:
        """The expressions directly in it, those of other queries left out."""
        for field in fields(self):
            yield from _expressions(getattr(self, field.name))


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A value; times are without a zone, in UTC."""

    value: Value


@dataclass(frozen=True, slots=True)
class Column(Expression):
    """A column of a source of the query that the expression is in."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A function of `arguments`. `level` is that of a quantile."""

    name: str
    arguments: tuple[Expression, ...] = ()
    distinct: bool = False
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """The value of the first branch whose condition holds."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Element(Expression):
    """Within a `Lambda`: the element of the list that it is asked about; numbered, as they may be nested."""

    number: int


@dataclass(frozen=True, slots=True)
class Lambda(Expression):
    """What is said of each element of a list."""

    number: int
    body: Expression


@dataclass(frozen=True, slots=True)
class Ordering:
    """By what to sort, which way; NULL always comes last."""

    expression: Expression
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Window(Expression):
    """An aggregate or a rank over the rows around each row; `frame` are rows before and after, `None` all."""

    call: Call
    partition: tuple[Expression, ...]
    order: tuple[Ordering, ...]
    frame: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Scalar(Expression):
    """The one value that a query answers."""

    query: "Query"


@dataclass(frozen=True, slots=True)
class Within(Expression):
    """Whether a value is among those that a query answers."""

    what: Expression
    query: "Query"


@dataclass(frozen=True, slots=True)
class Item:
    """One column of an answer, under our name."""

    name: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored table, of which `columns` are read; rows before `since_ms` are not needed.

    Where `merged` is false, several rows may stand for one: whoever reads them adds them up anyway.
    """

    alias: str
    table: Table
    columns: tuple[str, ...]
    since_ms: int
    merged: bool = True


@dataclass(frozen=True, slots=True)
class Nested:
    """The answer of another query."""

    alias: str
    query: "Query"


Source = Stored | Nested


@dataclass(frozen=True, slots=True)
class Join:
    """A further source, and when its rows belong to those before; `outer` keeps rows that have none."""

    source: Source
    on: Expression
    outer: bool


@dataclass(frozen=True, slots=True)
class Select:
    """A plain query. Without a `source` it answers one row."""

    items: tuple[Item, ...]
    source: Source | None = None
    joins: tuple[Join, ...] = ()
    where: Expression | None = None
    group: tuple[Expression, ...] = ()
    having: Expression | None = None
    distinct: bool = False
    order: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0


SetOperator = str
"""`union`, `except` or `intersect`, and `all` or `distinct`."""


@dataclass(frozen=True, slots=True)
class Combined:
    """Two answers made one; items of both have the same types. It is ordered by items, from 0 on."""

    operator: SetOperator
    left: "Query"
    right: "Query"
    items: tuple[Item, ...]
    order: tuple[tuple[int, bool], ...] = ()
    limit: int | None = None
    offset: int = 0


Query = Select | Combined


@dataclass(frozen=True, slots=True)
class Question:
    """A whole question, and the user's names of its columns."""

    query: Query
    names: tuple[str, ...]

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the columns."""
        return tuple(item.expression.type for item in self.query.items)


def every(expression: Expression) -> Iterator[Expression]:
    """The expression and all in it, those of other queries left out."""
    yield expression
    for part in expression.parts():
        yield from every(part)


def both(conditions: list[Expression]) -> Expression:
    """All `conditions`, of which there is one at least."""
    return conditions[0] if len(conditions) == 1 else Call(BOOL, "and", tuple(conditions))


def _expressions(value: object) -> Iterator[Expression]:
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Ordering):
        yield value.expression
    elif isinstance(value, tuple):
        for each in value:
            yield from _expressions(each)
