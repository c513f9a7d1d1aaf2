"""The tables in the file. What many events share is stored once and referred to by number."""

from typing import TYPE_CHECKING

from latchwork.domains.analytics.records import OUTCOMES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_OUTCOMES = ", ".join(f"'{outcome}'" for outcome in OUTCOMES.values())

TABLES = (
    "CREATE SEQUENCE IF NOT EXISTS numbers",
    f"CREATE TYPE IF NOT EXISTS outcome AS ENUM ({_OUTCOMES})",
    "CREATE TEMP TABLE outcomes AS SELECT (number - 1)::UTINYINT AS number, "
    "enum_range(NULL::outcome)[number]::outcome AS outcome "
    "FROM range(1, len(enum_range(NULL::outcome)) + 1) AS numbered(number)",
    # a keyspace or a namespace of a workspace
    "CREATE TABLE IF NOT EXISTS spaces (number INTEGER, workspace_id VARCHAR, space_id VARCHAR)",
    # whose key was verified
    "CREATE TABLE IF NOT EXISTS subjects "
    "(number INTEGER, space INTEGER, key_id VARCHAR, identity_id VARCHAR, external_id VARCHAR)",
    "CREATE TABLE IF NOT EXISTS tagsets (number INTEGER, tags VARCHAR[])",
    "CREATE TABLE IF NOT EXISTS verifications "
    "(time BIGINT, space INTEGER NOT NULL, subject INTEGER NOT NULL, outcome outcome NOT NULL, "
    "tags INTEGER NOT NULL, spent_credits BIGINT, latency_us INTEGER, request_id VARCHAR USING COMPRESSION zstd)",
    "CREATE TABLE IF NOT EXISTS limits "
    "(time BIGINT, space INTEGER NOT NULL, identifier VARCHAR, passed BOOLEAN, latency_us INTEGER, "
    'override_id VARCHAR, "limit" BIGINT, remaining BIGINT, reset_at BIGINT, tokens BIGINT, '
    "request_id VARCHAR USING COMPRESSION zstd)",
    # verifications by hour, keyspace and outcome: what charts of a whole keyspace are drawn from
    "CREATE TABLE IF NOT EXISTS hours "
    "(time BIGINT, space INTEGER, outcome outcome, verifications BIGINT, spent_credits BIGINT)",
    "CREATE TABLE IF NOT EXISTS batches (name VARCHAR)",
)


def prepare(connection: "DuckDBPyConnection") -> None:
    """Create what is missing, and shut every door: no other file, no network, no extension, no setting."""
    connection.execute("SET TimeZone = 'UTC'")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
