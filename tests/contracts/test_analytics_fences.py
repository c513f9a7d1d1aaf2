"""What stands behind the reading of a query: were it to let anything through, the engine itself would refuse."""

import duckdb
import pytest

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.clickhouse import analytics as clickhouse_analytics
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.adapters.duckdb import analytics as duckdb_analytics
from latchwork.domains.analytics import AnalyticsStore, InvalidQuery
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.reading import read
from tests.domains.analytics.recordings import DAY_MS, NOW_MS

QUESTION = read("SELECT 1 AS n", Fence("verifications", "ws_1", None, NOW_MS - DAY_MS, NOW_MS))
OUTSIDE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x')",
    "ATTACH '/tmp/other.duckdb'",
    "COPY (SELECT 1) TO '/tmp/latchwork-outside'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '/tmp/latchwork-outside'",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked in place of what was understood."""
    instead: list[str] = []
    for module, writer in ((duckdb_analytics, "DuckDbWriter"), (clickhouse_analytics, "ClickHouseWriter")):
        monkeypatch.setattr(getattr(module, writer), "query", lambda *_: instead[-1])
    return instead


@pytest.mark.parametrize("sql", OUTSIDE)
@pytest.mark.parametrize("store", ["duckdb"], indirect=True)
def test_nothing_outside_is_read_written_or_unlocked(
    store: AnalyticsStore, said: list[str], sql: str
) -> None:
    assert isinstance(store, DuckDbAnalytics)
    said.append(sql)
    with pytest.raises((InvalidQuery, duckdb.Error)):
        list(store.ask(QUESTION, 10.0))


@pytest.mark.parametrize("store", ["clickhouse"], indirect=True)
def test_a_server_of_its_own_is_asked_to_read_only_and_within_bounds(
    store: AnalyticsStore, said: list[str]
) -> None:
    assert isinstance(store, ClickHouseAnalytics)
    names = ("readonly", "max_execution_time", "max_memory_usage", "max_result_bytes")
    said.append("SELECT " + ", ".join(f"toUInt64(getSetting('{name}'))" for name in names))
    ((readonly, seconds, memory, size),) = store.ask(QUESTION, 9.5)
    assert (readonly, seconds) == (2, 10)
    assert 0 < memory <= 1 << 30 and 0 < size <= 1 << 30
