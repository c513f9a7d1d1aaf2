"""Statements that are built once: to build one takes five times as long as to run it on a small table."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

OF = "of_"
"""The parameter by which `updating` names the row."""


def updating(key: Column[Any], names: Iterable[str]) -> Update:
    """An UPDATE of the columns `names` in the row whose `key` is the parameter `OF`."""
    return _updating(key, tuple(names))


@lru_cache(maxsize=512)
def _updating(key: Column[Any], names: tuple[str, ...]) -> Update:
    return update(key.table).where(key == bindparam(OF)).values({name: bindparam(name) for name in names})


def among(column: Column[Any]) -> "Among":
    """Whether `column` holds one of the texts that the parameter `among`, a list, gives.

    The list is one value to the database, so that the statement is the same for any number of texts. Written
    out as `IN (?, ?, …)` it would be rendered anew each time, which takes longer than running it.
    """
    return Among(column)


class Among(ColumnElement[bool]):
    """See `among`."""

    inherit_cache = True
    type = Boolean()
    _is_implicitly_boolean = True  # else SQLite would be asked whether it equals 1, and use no index

    def __init__(self, column: Column[Any]) -> None:
        self.column = column
        self.texts = bindparam("among", type_=_Texts())

    _traverse_internals = [
        ("column", InternalTraversal.dp_clauseelement),
        ("texts", InternalTraversal.dp_clauseelement),
    ]

    @property
    def _from_objects(self) -> list[Any]:
        return self.column._from_objects


class _Texts(TypeDecorator[Sequence[str]]):
    """A list of texts as one value: an array where there are arrays, JSON elsewhere."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text) if dialect.name == "postgresql" else JSON())

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> Any:
        return list(value or ())


@compiles(Among, "sqlite")
def _among_in_sqlite(element: Among, compiler: SQLCompiler, **how: Any) -> str:
    column, texts = compiler.process(element.column, **how), compiler.process(element.texts, **how)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - a column and a placeholder, no text


@compiles(Among, "postgresql")
def _among_in_postgres(element: Among, compiler: SQLCompiler, **how: Any) -> str:
    column, texts = compiler.process(element.column, **how), compiler.process(element.texts, **how)
    return f"{column} = ANY ({texts})"


class unindexed(FunctionElement[Any]):  # noqa: N801 - reads as a function in a query
    """A column that SQLite shall not look up in an index, where another one is the better to go by.

    It does not know how many rows have a value, and may go through all keys of a workspace for those of a
    small API. PostgreSQL knows, and sees the column alone.
    """

    inherit_cache = True


@compiles(unindexed)
def _as_it_is(element: unindexed, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _with_a_plus(element: unindexed, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"
