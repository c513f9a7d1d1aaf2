"""The port `AnalyticsStore` on a ClickHouse server, which several nodes may share."""

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from latchwork.adapters.clickhouse.connection import address, asking, connected
from latchwork.adapters.clickhouse.loading import columns_of
from latchwork.adapters.clickhouse.questions import TAGGED, counting, used
from latchwork.adapters.clickhouse.schema import COLUMNS, EVENTS, HOURS, LIMITS, create
from latchwork.adapters.clickhouse.writer import SETTINGS, ClickHouseWriter
from latchwork.domains.analytics import AnalyticsUnavailable, Batch, Counts, Usage, VerificationsQuestion
from latchwork.domains.analytics.rules import HOUR_MS
from latchwork.domains.analytics.sql.tree import Question

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_COUNTED_MS = 3 * 365 * 86_400_000
_WRITE_S, _READ_S = 30, 15  # without an answer from the server
_MANY = 10_000  # events that are worth an insertion of their own
_TOGETHER: dict[str, Any] = {"async_insert": 1, "wait_for_async_insert": 1}
"""The server joins small insertions of several nodes, and answers when they are stored."""
_READING = {
    "readonly": 2,
    "max_memory_usage": 256 * 1024 * 1024,
    "prefer_column_name_to_alias": 1,
    "do_not_merge_across_partitions_select_final": 1,  # what is there twice is in one partition
}


# Far more than an answer may have as JSON. A client that leaves half way reads to the end all the same.
_ANSWERING = {"max_result_bytes": 32 * 1024 * 1024, "result_overflow_mode": "break"}


class ClickHouseAnalytics:
    """Events in the database that `url` names, as `connection.address` reads it."""

    batch_s = 0.5  # other nodes are asked about them, too

    def __init__(self, url: str) -> None:
        self._address = address(url)
        self._writer: Client | None = None
        self._reader: Client | None = None

    def open(self) -> None:
        """Connect, and create what is missing; raises `AnalyticsUnavailable`."""
        with asking():
            self._writer = connected(self._address, _WRITE_S)
            create(self._writer, self._address.database)
            self._reader = connected(self._address, _READ_S)
            self._reader.database = self._address.database

    def close(self) -> None:
        """Let go of the connections."""
        for client in (self._writer, self._reader):
            if client is not None:
                client.close()
        self._writer = self._reader = None

    def ingest(self, batch: Batch) -> None:
        """Store a batch; what is there of it already is replaced by the same."""
        client = self._live()
        for table, columns in columns_of(batch).items():
            types = COLUMNS[table]
            client.insert(
                table,
                [columns[name] for name in types],
                column_names=list(types),
                column_type_names=list(types.values()),
                column_oriented=True,
                settings=_TOGETHER if batch.events < _MANY else {},
            )

    def forget(self, waiting: Sequence[str]) -> None:
        """Nothing is kept of batches but their rows."""

    def prune(self, before_ms: int, workspace_id: str | None = None) -> None:
        """Delete what is older; counts by hour stay for three years.

        Of one workspace by itself the counts go too, and whole hours only, so that both say the same.
        """
        if workspace_id is not None:
            for table in (EVENTS, LIMITS, HOURS):
                self._delete(table, before_ms - before_ms % HOUR_MS, workspace_id)
            return
        for table in (EVENTS, LIMITS):
            self._delete(table, before_ms)
        self._delete(HOURS, before_ms - _COUNTED_MS)

    def _delete(self, table: str, before_ms: int, workspace_id: str | None = None) -> None:
        """Delete from a table, if there is something: a deletion rewrites what it finds, and every node asks."""
        client = self._live()
        which, parameters = "time < {before:Int64}", {"before": str(before_ms)}
        if workspace_id is not None:
            which += " AND workspace_id = {workspace:String}"
            parameters["workspace"] = workspace_id
        some = client.query(f"SELECT 1 FROM {table} WHERE {which} LIMIT 1", parameters)  # noqa: S608
        if some.result_rows:
            client.command(f"DELETE FROM {table} WHERE {which}", parameters)  # noqa: S608

    def count(self, question: VerificationsQuestion, timeout_s: float) -> list[Counts]:
        """The groups that have events."""
        return [Counts.of_row(row) for row in self._asked(*counting(question), timeout_s)]

    def usage(self, workspace_id: str, start_ms: int, end_ms: int, timeout_s: float) -> Usage:
        """How many operations were recorded."""
        found = self._asked(*used(workspace_id, start_ms, end_ms), timeout_s)
        return Usage(*found[0].values())

    def keys_tagged(self, workspace_id: str, tag: str, most: int, timeout_s: float) -> list[str]:
        """The keys that were verified with the tag."""
        parameters = {"workspace": workspace_id, "tag": tag, "most": most}
        return [row["key_id"] for row in self._asked(TAGGED, parameters, timeout_s)]

    def ask(self, question: Question, timeout_s: float) -> Generator[tuple[Any, ...], None, None]:
        """The rows that answer a user's question."""
        sql = ClickHouseWriter().query(question.query)
        with (
            asking(),
            self._ready().query_rows_stream(sql, settings=_limits(timeout_s) | _ANSWERING | SETTINGS) as rows,
        ):
            for row in rows:
                yield tuple(row)

    def _asked(self, sql: str, parameters: dict[str, Any], timeout_s: float) -> list[dict[str, Any]]:
        with asking():
            found = self._ready().query(sql, parameters, settings=_limits(timeout_s))
        return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]

    def _live(self) -> "Client":
        if self._writer is None:
            raise self._closed()
        return self._writer

    def _ready(self) -> "Client":
        if self._reader is None:
            raise self._closed()
        return self._reader

    def _closed(self) -> AnalyticsUnavailable:
        return AnalyticsUnavailable(private=f"There is no connection to {self._address}.")


def _limits(timeout_s: float) -> dict[str, Any]:
    return _READING | {"max_execution_time": math.ceil(timeout_s)}
