"""A connection to SQLite that units of work take for SQLAlchemy's: it runs their statements, at a third of the cost."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.result import IteratorResult, ScalarResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

Script = list[tuple[str, Any]]
"""Statements that change something, each with its values."""
_OWN_WORDS = {
    "pg_current_xact_id()::text::bigint": "current_txid()",
    "(extract(epoch FROM clock_timestamp()) * 1000)::bigint": "now_ms()",
}
"""What is said in PostgreSQL's own words, and how SQLite hears it."""


class Result(IteratorResult[Any]):
    """The rows, and how many there were."""

    rowcount: int


class _Prepared:
    """What is always the same about a statement."""

    def __init__(self, compiled: SQLCompiler, dialect: Any) -> None:
        assert not compiled.insert_prefetch and not compiled.update_prefetch, "the model knows no defaults"
        self.compiled = compiled
        self.text = _translated(compiled.string)
        self.names: Sequence[str] = compiled.positiontup or ()
        self.converts: Mapping[str, Any] = compiled._bind_processors
        self.is_expanded = bool(compiled.literal_execute_params or compiled.post_compile_params)
        self.changes = not self.text.startswith("SELECT")
        columns = compiled._result_columns
        self.metadata = SimpleResultMetaData([column.keyname for column in columns])
        readers = [column.type._cached_result_processor(dialect, None) for column in columns]
        self.readers = [(at, reader) for at, reader in enumerate(readers) if reader is not None]

    def said(self, given: Mapping[str, Any], extracted: Any, collected: Any) -> tuple[str, tuple[Any, ...]]:
        """The text and the values with which SQLite is asked."""
        values = self.compiled.construct_params(
            given, extracted_parameters=extracted, escape_names=False, _collected_params=collected
        )
        text, names, converts = self.text, self.names, self.converts
        if self.is_expanded:
            expanded = self.compiled._process_parameters_for_postcompile(values)
            text, names = _translated(expanded.statement), expanded.positiontup or ()
            converts = {**converts, **expanded.processors}
        told = (converts[each](values[each]) if each in converts else values[each] for each in names)
        return text, tuple(told)

    def read(self, rows: Iterable[Any]) -> Iterable[Any]:
        """The rows as they were written."""
        if not self.readers:
            return rows
        found = [list(row) for row in rows]
        for row in found:
            for at, reader in self.readers:
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
        self._compiled: dict[Any, SQLCompiler] = {}
        self._prepared: dict[int, _Prepared] = {}

    def execute(self, statement: Any, parameters: Any = None) -> Result:
        """As `Connection.execute`."""
        rows = parameters if isinstance(parameters, list) else [parameters or {}]
        compiled, extracted, collected, _ = statement._compile_w_cache(
            self._dialect, compiled_cache=self._compiled, column_keys=sorted(rows[0])
        )
        prepared = self._prepared.get(id(compiled))
        if prepared is None:
            prepared = self._prepared[id(compiled)] = _Prepared(compiled, self._dialect)
        for row in rows:
            text, values = prepared.said(row, extracted, collected)
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
