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

_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
MACROS = (
    f"clickhouse_lower(t) AS translate(t, '{_UPPER}', '{_LOWER}')",
    f"clickhouse_upper(t) AS translate(t, '{_LOWER}', '{_UPPER}')",
    "clickhouse_modulo(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a % b END",
    "clickhouse_element(x) AS CASE WHEN x IS NULL THEN error('a list holds no NULL') ELSE x END",
    "clickhouse_date(n) AS CASE WHEN n < 65536 THEN DATE '1970-01-01' + CAST(n AS INTEGER) "
    "ELSE CAST(make_timestamp(n * 1000000) AS DATE) END",
    "clickhouse_sunday(t) AS CAST(t AS DATE) - CAST(dayofweek(t) AS INTEGER)",
    "clickhouse_short(x) AS regexp_replace(regexp_replace(CAST(x AS VARCHAR), '\\.0$', ''), 'e([+]|(-))0*', 'e\\2')",
    "clickhouse_digits(t) AS replace(regexp_extract(t, '^-?([0-9.]+)', 1), '.', '')",
    "clickhouse_exponent(t) AS TRY_CAST(regexp_extract(t, 'e(-?[0-9]+)$', 1) AS INTEGER)",
    "clickhouse_long(t) AS CASE WHEN starts_with(t, '-') THEN '-' ELSE '' END || CASE "
    "WHEN clickhouse_exponent(t) < 0 THEN '0.' || repeat('0', -1 - clickhouse_exponent(t)) || clickhouse_digits(t) "
    "ELSE rpad(clickhouse_digits(t), clickhouse_exponent(t) + 1, '0') END",
    "clickhouse_float(x) AS CASE WHEN abs(x) BETWEEN 1e-6 AND 1e-4 OR abs(x) >= 1e15 AND abs(x) < 1e21 "
    "THEN CASE WHEN contains(clickhouse_short(x), 'e') THEN clickhouse_long(clickhouse_short(x)) "
    "ELSE clickhouse_short(x) END ELSE clickhouse_short(x) END",
    "clickhouse_int(t) AS CASE WHEN regexp_full_match(t, '[+-]?[0-9]+') THEN CAST(t AS BIGINT) "
    "ELSE error('not an integer') END",
    "clickhouse_json_text(t, path) AS "
    "CASE WHEN t IS NOT NULL THEN coalesce(CASE WHEN json_valid(t) THEN json_extract_string(json(t), path) END, '') "
    "END",
)
"""What ClickHouse's functions do, where none of DuckDB's does just that."""


def prepare(connection: "DuckDBPyConnection") -> None:
    """Create what is missing, and shut every door: no other file, no network, no extension, no setting."""
    connection.execute("SET TimeZone = 'UTC'")
    for statement in TABLES:
        connection.execute(statement)
    for macro in MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
