"""The port `AnalyticsStore` on DuckDB: one file, locked down, fed from lines of JSON."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchwork.adapters.duckdb.questions import counting
from latchwork.domains.analytics import BadBatch, Counts, QueryTimeout, VerificationsQuestion
from latchwork.domains.analytics.records import OUTCOMES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VERIFICATIONS = {
    "request_id": "VARCHAR",
    "time": "BIGINT",
    "workspace_id": "VARCHAR",
    "key_space_id": "VARCHAR",
    "identity_id": "VARCHAR",
    "external_id": "VARCHAR",
    "key_id": "VARCHAR",
    "outcome": "VARCHAR",
    "region": "VARCHAR",
    "source": "VARCHAR",
    "app_id": "VARCHAR",
    "tags": "VARCHAR[]",
    "spent_credits": "BIGINT",
    "latency": "DOUBLE",
}
_RATELIMITS = {
    "request_id": "VARCHAR",
    "time": "BIGINT",
    "workspace_id": "VARCHAR",
    "namespace_id": "VARCHAR",
    "identifier": "VARCHAR",
    "passed": "BOOLEAN",
    "latency": "DOUBLE",
    "override_id": "VARCHAR",
    "limit": "BIGINT",
    "remaining": "BIGINT",
    "reset_at": "BIGINT",
    "tokens": "BIGINT",
}
_CONFIG = {
    "threads": "1",
    "memory_limit": "256MB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}


class DuckDbAnalytics:
    """Events in `path`; lines to ingest pass through files in `scratch`, the only directory it may read."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path = path
        self._scratch = scratch
        self._connection: DuckDBPyConnection | None = None

    def open(self) -> None:
        """Connect, create what is missing, and shut every door but the scratch directory."""
        import duckdb

        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = duckdb.connect(str(self._path), config=dict(_CONFIG))
        self._path.chmod(0o600)
        connection.execute("SET TimeZone = 'UTC'")
        for table, columns in (("key_verifications_v1", _VERIFICATIONS), ("ratelimits_v1", _RATELIMITS)):
            declared = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
        connection.execute("CREATE TABLE IF NOT EXISTS ingested (batch VARCHAR)")
        connection.execute(f"SET allowed_directories = ['{_quoted(self._scratch)}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        self._connection = connection

    def close(self) -> None:
        """Write everything into the one file and let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ingest(self, batch: str, verifications: bytes, ratelimits: bytes) -> None:
        """Store a batch once; its name is kept with it until the next one is stored."""
        import duckdb

        connection = self._live()
        connection.execute("BEGIN")
        try:
            if not connection.execute("SELECT 1 FROM ingested WHERE batch = ?", [batch]).fetchone():
                self._load(connection, "key_verifications_v1", _VERIFICATIONS, verifications)
                self._load(connection, "ratelimits_v1", _RATELIMITS, ratelimits)
                connection.execute("DELETE FROM ingested")
                connection.execute("INSERT INTO ingested VALUES (?)", [batch])
            connection.execute("COMMIT")
        except BaseException as error:
            connection.execute("ROLLBACK")
            if isinstance(error, duckdb.DataError | duckdb.InvalidInputException):
                raise BadBatch(str(error)) from error
            raise

    def _load(
        self, connection: "DuckDBPyConnection", table: str, columns: dict[str, str], lines: bytes
    ) -> None:
        if not lines.strip():
            return
        path = self._scratch / f"{table}.lines"
        path.touch(0o600)
        path.write_bytes(lines)
        connection.execute(
            f"INSERT INTO {table} SELECT * FROM read_json(?, format = 'newline_delimited', columns = ?, "  # noqa: S608
            "maximum_object_size = 16777216)",
            [str(path), columns],
        )
        path.unlink()

    def count(self, question: VerificationsQuestion, timeout_s: float) -> list[Counts]:
        """The groups that have events."""
        sql, parameters, names = counting(question)
        return [_counts(dict(zip(names, row, strict=True))) for row in self._ask(sql, parameters, timeout_s)]

    def prune(self, before_ms: int) -> None:
        """Delete what is older."""
        for table in ("key_verifications_v1", "ratelimits_v1"):
            self._live().execute(f"DELETE FROM {table} WHERE time < ?", [before_ms])  # noqa: S608

    def _ask(self, sql: str, parameters: list[Any], timeout_s: float) -> list[tuple[Any, ...]]:
        import duckdb

        connection = self._live()
        alarm = threading.Timer(timeout_s, connection.interrupt)
        alarm.start()
        try:
            rows: list[tuple[Any, ...]] = connection.execute(sql, parameters).fetchall()
            return rows
        except duckdb.InterruptException as error:
            raise QueryTimeout from error
        finally:
            alarm.cancel()

    def _live(self) -> "DuckDBPyConnection":
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection


def _counts(row: dict[str, Any]) -> Counts:
    tags = row.get("tags")
    return Counts(
        outcomes={name: row[name] for name in OUTCOMES},
        total=row["total"],
        time_ms=row.get("time"),
        key_id=row.get("key_id"),
        identity_id=row.get("identity_id"),
        external_id=row.get("external_id"),
        tag=row.get("tag"),
        tags=None if tags is None else tuple(tags),
    )


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", "''")
