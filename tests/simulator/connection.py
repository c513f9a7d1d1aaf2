"""A connection to SQLite that units of work take for SQLAlchemy's: it runs their statements, at a third of the cost."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.result import IteratorResult, ScalarResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

Script = list[tuple[str, Any]]
"""Statements that change something, each with its values."""
_KEPT_AS = "_prepared_by_the_simulator"
_OWN_WORDS = {
    "INSERT INTO changes (txid,": "INSERT INTO changes (seq, txid,",
    "VALUES (pg_current_xact_id()::text::bigint": "VALUES (change_seq(), current_txid()",
    "(extract(epoch FROM clock_timestamp()) * 1000)::bigint": "now_ms()",
}
"""What is said in PostgreSQL's own words, and how SQLite hears it."""


class Result(IteratorResult[Any]):
    """The rows, and how many there were."""

    rowcount: int


class _Prepared:
    """A statement as it is said with parameters of those names: what need not be found out again."""

    def __init__(
        self, statement: Any, names: list[str], dialect: Any, compiled_cache: dict[Any, Any]
    ) -> None:
        compiled, self._extracted, self._collected, _ = statement._compile_w_cache(
            dialect, compiled_cache=compiled_cache, column_keys=names
        )
        assert not compiled.insert_prefetch and not compiled.update_prefetch, "the model knows no defaults"
        self.of = statement
        self.names = names
        self._compiled: SQLCompiler = compiled
        self._text = _translated(compiled.string)
        self._is_expanded = bool(compiled.literal_execute_params or compiled.post_compile_params)
        self.changes = not self._text.startswith("SELECT")
        columns = compiled._result_columns
        self.metadata = SimpleResultMetaData([column.keyname for column in columns])
        readers = [column.type._cached_result_processor(dialect, None) for column in columns]
        self._readers = [(at, reader) for at, reader in enumerate(readers) if reader is not None]
        constants = {} if self._is_expanded else self._values(dict.fromkeys(names))
        converts: Mapping[str, Any] = compiled._bind_processors
        self._parts = [
            (name, name in names, constants.get(name), converts.get(name))
            for name in compiled.positiontup or ()
        ]

    def said(self, given: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The text and the values with which SQLite is asked."""
        if self._is_expanded:
            return self._expanded(given)
        values = []
        for name, is_given, constant, convert in self._parts:
            value = given[name] if is_given else constant
            values.append(value if convert is None else convert(value))
        return self._text, tuple(values)

    def _expanded(self, given: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The same where a list is written out."""
        values = self._values(given)
        expanded = self._compiled._process_parameters_for_postcompile(values)
        converts: dict[str, Any] = {**self._compiled._bind_processors, **expanded.processors}
        names = expanded.positiontup or ()
        told = (converts[each](values[each]) if each in converts else values[each] for each in names)
        return _translated(expanded.statement), tuple(told)

    def _values(self, given: Mapping[str, Any]) -> Any:
        return self._compiled.construct_params(
            given,
            extracted_parameters=self._extracted,
            escape_names=False,
            _collected_params=self._collected,
        )

    def read(self, rows: Iterable[Any]) -> Iterable[Any]:
        """The rows as they were written."""
        if not self._readers:
            return rows
        found = [list(row) for row in rows]
        for row in found:
            for at, reader in self._readers:
                row[at] = reader(row[at])
        return map(tuple, found)


def _translated(text: str) -> str:
    for own, heard in _OWN_WORDS.items():
        text = text.replace(own, heard)
    return text


class UnitConnection:
    """What units of work use of `sqlalchemy.Connection`. `script` is what they would change."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.info: dict[str, Any] = {}
        self.script: Script = []
        self._raw = raw
        self._dialect: Any = SQLiteDialect_pysqlite()
        self._dialect.server_version_info = sqlite3.sqlite_version_info
        self._compiled: dict[Any, Any] = {}

    def execute(self, statement: Any, parameters: Any = None) -> Result:
        """As `Connection.execute`."""
        rows = parameters if isinstance(parameters, list) else [parameters or {}]
        prepared: _Prepared | None = statement.__dict__.get(_KEPT_AS)
        if prepared is None or prepared.of is not statement or prepared.names != sorted(rows[0]):
            prepared = _Prepared(statement, sorted(rows[0]), self._dialect, self._compiled)
            statement.__dict__[_KEPT_AS] = prepared  # which those made of this one copy, and must not use
        for row in rows:
            text, values = prepared.said(row)
            if prepared.changes:
                self.script.append((text, values))
            cursor = self._raw.execute(text, values)
        result = Result(prepared.metadata, iter(prepared.read(cursor.fetchall())))
        result.rowcount = cursor.rowcount
        return result

    def scalars(self, statement: Any, parameters: Any = None) -> ScalarResult[Any]:
        """As `Connection.scalars`."""
        return self.execute(statement, parameters).scalars()

    def scalar(self, statement: Any, parameters: Any = None) -> Any:
        """As `Connection.scalar`."""
        return self.execute(statement, parameters).scalar()
