"""Two engines for the whole session: starting ClickHouse's takes a second."""

from collections.abc import Iterator

import pytest

from tests.domains.analytics.sql.engines import Both
from tests.domains.analytics.sql.engines import both as both_engines
from tests.engines.clickhouse_http import ClickHouseServer


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory, clickhouse: ClickHouseServer) -> Iterator[Both]:
    """DuckDB and ClickHouse with the same events."""
    with both_engines(tmp_path_factory.mktemp("engines"), clickhouse.url("both")) as engines:
        yield engines
