"""The tables. A row is identified by its batch and its place in it, so that a batch may arrive more than once.

Each table replaces rows that have the same identity, sooner or later; whoever reads says FINAL, and sees
each of them once already. Counts by hour are kept a batch at a time for the same reason: a view that adds
up what is inserted would add up twice what is inserted twice.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

EVENTS, LIMITS, HOURS = "key_verifications", "ratelimits", "key_verifications_by_hour"

COLUMNS: dict[str, dict[str, str]] = {
    EVENTS: {
        "workspace_id": "String",
        "key_space_id": "String",
        "time": "Int64",
        "batch": "String",
        "number": "UInt32",
        "request_id": "String",
        "key_id": "LowCardinality(String)",
        "identity_id": "LowCardinality(String)",
        "external_id": "LowCardinality(String)",
        "outcome": "LowCardinality(String)",
        "tags": "Array(LowCardinality(String))",
        "spent_credits": "Int64",
        "latency_us": "Int32",
    },
    LIMITS: {
        "workspace_id": "String",
        "namespace_id": "String",
        "time": "Int64",
        "batch": "String",
        "number": "UInt32",
        "request_id": "String",
        "identifier": "LowCardinality(String)",
        "passed": "Bool",
        "latency_us": "Int32",
        "override_id": "LowCardinality(String)",
        "limit": "Int64",
        "remaining": "Int64",
        "reset_at": "Int64",
        "tokens": "Int64",
    },
    HOURS: {
        "workspace_id": "String",
        "key_space_id": "String",
        "time": "Int64",
        "outcome": "LowCardinality(String)",
        "batch": "String",
        "verifications": "Int64",
    },
}
"""Times are in ms since the epoch, latencies in µs."""

_KEYS = {
    EVENTS: ("workspace_id", "key_space_id", "time", "batch", "number"),
    LIMITS: ("workspace_id", "namespace_id", "time", "batch", "number"),
    HOURS: ("workspace_id", "key_space_id", "time", "outcome", "batch"),
}
_INDEXED = 3  # columns of the key that are worth keeping in memory
_CODECS = {
    "time": "CODEC(Delta, ZSTD(1))",
    "number": "CODEC(Delta, ZSTD(1))",
    "reset_at": "CODEC(Delta, ZSTD(1))",
}


def create(client: "Client", database: str) -> None:
    """Create what is missing. What is there is left as it is, whatever its engine, and needs no right to create."""
    which = {"database": database}
    if not client.command("SELECT count() FROM system.databases WHERE name = {database:String}", which):
        client.command(f"CREATE DATABASE IF NOT EXISTS `{_escaped(database)}`")
    client.database = database
    found = client.query("SELECT name FROM system.tables WHERE database = {database:String}", which)
    there = {row[0] for row in found.result_rows}
    for table in COLUMNS:
        if table not in there:
            client.command(definition(table))


def definition(table: str) -> str:
    """The statement that creates a table."""
    columns = ", ".join(
        f"`{name}` {type_} {_CODECS.get(name, 'CODEC(ZSTD(1))')}" for name, type_ in COLUMNS[table].items()
    )
    key = _KEYS[table]
    return (
        f"CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = ReplacingMergeTree "
        "PARTITION BY toYYYYMM(toDateTime(intDiv(time, 1000), 'UTC')) "
        f"PRIMARY KEY ({', '.join(key[:_INDEXED])}) ORDER BY ({', '.join(key)})"
    )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("`", "\\`")
