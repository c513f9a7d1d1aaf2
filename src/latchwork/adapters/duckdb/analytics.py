"""The port `AnalyticsStore` on DuckDB: one file, locked down."""

import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchwork.adapters.duckdb.loading import load
from latchwork.adapters.duckdb.questions import TAGGED, counting, used
from latchwork.adapters.duckdb.schema import prepare
from latchwork.adapters.duckdb.writer import DuckDbWriter
from latchwork.domains.analytics import (
    BadBatch,
    Batch,
    Counts,
    InvalidQuery,
    QueryMemoryExceeded,
    QueryTimeout,
    Usage,
    VerificationsQuestion,
)
from latchwork.domains.analytics.rules import HOUR_MS
from latchwork.domains.analytics.sql.tree import Question

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CHUNK_ROWS = 1_000
_COUNTED_MS = 3 * 365 * 86_400_000
_log = logging.getLogger(__name__)

ROW_GROUP = 122_880
"""So many events DuckDB compresses together. Batches of a multiple of it are written once; what is freed by a
checkpoint can be used by the next batch, and without one the file would grow by half."""
_CONFIG = {
    "threads": "1",
    "memory_limit": "256MB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "max_temp_directory_size": "1GB",
}


class DuckDbAnalytics:
    """Events in the file `path`."""

    batch_s = 60.0  # questions do not wait for it

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: DuckDBPyConnection | None = None

    def open(self) -> None:
        """Connect, create what is missing, and shut every other door."""
        import duckdb

        connection = duckdb.connect(str(self._path), config=dict(_CONFIG))
        self._path.chmod(0o600)
        prepare(connection)
        self._connection = connection

    def close(self) -> None:
        """Write everything into the one file and let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ingest(self, batch: Batch) -> None:
        """Store a batch once; its name is kept with it until `forget`."""
        import duckdb

        connection = self._live()
        connection.execute("BEGIN")
        try:
            if not connection.execute("SELECT 1 FROM batches WHERE name = ?", [batch.name]).fetchone():
                load(connection, batch)
                connection.execute("INSERT INTO batches VALUES (?)", [batch.name])
            connection.execute("COMMIT")
        except BaseException as error:
            connection.execute("ROLLBACK")
            if isinstance(
                error, duckdb.DataError | duckdb.InvalidInputException | duckdb.ConstraintException
            ):
                raise BadBatch(str(error)) from error
            raise
        if batch.events >= ROW_GROUP:
            with suppress(duckdb.TransactionException):  # while somebody reads; the next one will do
                connection.execute("CHECKPOINT")

    def forget(self, waiting: Sequence[str]) -> None:
        """Forget the names of all batches that cannot come again."""
        self._live().execute("DELETE FROM batches WHERE name NOT IN (SELECT unnest(?))", [list(waiting)])

    def prune(self, before_ms: int, workspace_id: str | None = None) -> None:
        """Delete what is older, and the tags that nothing carries any more; counts by hour stay for three years.

        Of one workspace by itself the counts go too, and whole hours only, so that both say the same.
        """
        connection = self._live()
        if workspace_id is not None:
            before_ms -= before_ms % HOUR_MS
            mine = "space IN (SELECT number FROM spaces WHERE workspace_id = ?)"
            for table in ("verifications", "limits", "hours"):
                connection.execute(
                    f"DELETE FROM {table} WHERE time < ? AND {mine}",  # noqa: S608
                    [before_ms, workspace_id],
                )
            return
        for table in ("verifications", "limits"):
            connection.execute(f"DELETE FROM {table} WHERE time < ?", [before_ms])  # noqa: S608
        connection.execute(
            "DELETE FROM tagsets WHERE number NOT IN (SELECT DISTINCT tags FROM verifications)"
        )
        connection.execute("DELETE FROM hours WHERE time < ?", [before_ms - _COUNTED_MS])

    def count(self, question: VerificationsQuestion, timeout_s: float) -> list[Counts]:
        """The groups that have events."""
        with self._asking(timeout_s) as cursor:
            space = cursor.execute(
                "SELECT number FROM spaces WHERE workspace_id = ? AND space_id = ?",
                [question.workspace_id, question.keyspace_id],
            ).fetchone()
            if space is None:
                return []
            sql, parameters, names = counting(question, space[0])
            rows = cursor.execute(sql, parameters).fetchall()
        return [Counts.of_row(dict(zip(names, row, strict=True))) for row in rows]

    def usage(self, workspace_id: str, start_ms: int, end_ms: int, timeout_s: float) -> Usage:
        """How many operations were recorded."""
        with self._asking(timeout_s) as cursor:
            found = cursor.execute(*used(workspace_id, start_ms, end_ms)).fetchone()
        assert found is not None
        return Usage(*found)

    def ask(self, question: Question, timeout_s: float) -> Generator[tuple[Any, ...], None, None]:
        """The rows that answer a user's question."""
        import duckdb

        sql = DuckDbWriter().query(question.query)
        try:
            with self._asking(timeout_s) as cursor:
                cursor.execute(sql)
                while rows := cursor.fetchmany(_CHUNK_ROWS):
                    yield from rows
        except duckdb.OutOfMemoryException as error:
            raise QueryMemoryExceeded from error
        except (duckdb.DataError, duckdb.InvalidInputException) as error:  # the latter is what error() raises
            raise InvalidQuery("A value of the query cannot be computed or converted.") from error
        except duckdb.ProgrammingError as error:
            _log.exception("A query was understood but not by the database.")
            raise InvalidQuery("The query cannot be answered.") from error

    def keys_tagged(self, workspace_id: str, tag: str, most: int, timeout_s: float) -> list[str]:
        """The keys that were verified with the tag."""
        with self._asking(timeout_s) as cursor:
            return [row[0] for row in cursor.execute(TAGGED, [tag, workspace_id, most]).fetchall()]

    @contextmanager
    def _asking(self, timeout_s: float) -> "Iterator[DuckDBPyConnection]":
        """A connection of its own for one question; raises `QueryTimeout` when the time is up."""
        import duckdb

        with self._live().cursor() as cursor:
            alarm = threading.Timer(timeout_s, cursor.interrupt)
            alarm.start()
            try:
                yield cursor
            except duckdb.InterruptException as error:
                raise QueryTimeout from error
            finally:
                alarm.cancel()

    def _live(self) -> "DuckDBPyConnection":
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection
