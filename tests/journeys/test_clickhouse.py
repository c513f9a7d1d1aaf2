"""The program with its events in ClickHouse."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.cli.processes import Running, latchwork, serving
from tests.engines.clickhouse_http import PASSWORD
from tests.engines.programs import free_port
from tests.engines.redis import redis_server

_ROOT = "lw_root_" + "c" * 40


@pytest.fixture
def variables(clickhouse_url: str) -> dict[str, str]:
    """Settings of a server whose events are in ClickHouse."""
    return {"LATCHWORK_BOOTSTRAP_ROOT_KEY": _ROOT, "LATCHWORK_CLICKHOUSE_URL": clickhouse_url}


def _by_outcome(server: Running) -> Any:
    query = "SELECT outcome, count() AS n FROM key_verifications_v1 GROUP BY outcome ORDER BY outcome"
    return server.post("analytics.getVerifications", {"query": query}, _ROOT)


def test_what_was_verified_is_counted_and_kept_in_clickhouse_alone(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    counted = [{"outcome": "USAGE_EXCEEDED", "n": 1}, {"outcome": "VALID", "n": 2}]
    with serving(tmp_path, **variables) as server:
        api_id = server.post("apis.createApi", {"name": "clicks"}, _ROOT)["apiId"]
        made = server.post("keys.createKey", {"apiId": api_id, "credits": {"remaining": 2}}, _ROOT)
        for _ in range(3):
            server.post("keys.verifyKey", {"key": made["key"]}, _ROOT)
        assert _by_outcome(server) == counted
        usage = server.post("workspace.getUsage", {}, _ROOT)
        assert usage["totals"]["api"]["verifications"] == 3
        key = server.post("keys.getKey", {"keyId": made["keyId"], "usage": True}, _ROOT)
        assert key["usage"]["total"] == 3
        asked = f"{server.ready['url']}/v2/analytics.getVerifications?apiId={api_id}&start=0&groupBy=key"
        with urlopen(Request(asked, headers={"Authorization": f"Bearer {_ROOT}"}), timeout=30) as answer:
            [found] = json.load(answer)["data"]
        assert (found["keyId"], found["valid"], found["usageExceeded"]) == (made["keyId"], 2, 1)
    assert not (tmp_path / "latchwork-data" / "analytics.duckdb").exists()
    with serving(tmp_path, **variables) as server:
        assert _by_outcome(server) == counted


@pytest.fixture
def shared(postgres_url: str) -> Iterator[dict[str, str]]:
    """Settings of several servers on one database."""
    with redis_server() as redis:
        yield {
            "LATCHWORK_BOOTSTRAP_ROOT_KEY": _ROOT,
            "LATCHWORK_DATABASE_URL": postgres_url,
            "LATCHWORK_REDIS_URL": redis.url,
        }


def test_servers_of_one_database_count_each_others_verifications(
    tmp_path: Path, shared: dict[str, str], clickhouse_url: str
) -> None:
    places = [tmp_path / name for name in ("one", "other")]
    for place in places:
        place.mkdir()
    with (
        serving(places[0], **shared, LATCHWORK_CLICKHOUSE_URL=clickhouse_url) as one,
        serving(places[1], **shared, LATCHWORK_CLICKHOUSE_URL=clickhouse_url) as other,
    ):
        api_id = one.post("apis.createApi", {"name": "clicks"}, _ROOT)["apiId"]
        key = one.post("keys.createKey", {"apiId": api_id}, _ROOT)["key"]
        for server in (one, other, other):
            server.post("keys.verifyKey", {"key": key}, _ROOT)
        deadline = time.monotonic() + 30
        for server in (one, other):
            while _by_outcome(server) != [{"outcome": "VALID", "n": 3}]:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_a_server_of_several_without_clickhouse_has_no_analytics_and_says_so(
    tmp_path: Path, shared: dict[str, str]
) -> None:
    with serving(tmp_path, **shared) as server:
        with pytest.raises(HTTPError) as refused:
            _by_outcome(server)
        assert refused.value.code == 412
        assert b"data/analytics_not_configured" in refused.value.read()
        with urlopen(f"{server.ready['url']}/health", timeout=30) as answer:
            assert json.load(answer)["parts"]["analytics"] == {"status": "off"}


def test_migrate_makes_the_tables_of_events(tmp_path: Path, variables: dict[str, str]) -> None:
    from latchwork.adapters.clickhouse.connection import address, connected

    assert latchwork(tmp_path, "migrate", **variables).code == 0
    where = address(variables["LATCHWORK_CLICKHOUSE_URL"])
    client = connected(where, 10)
    found = client.query(f"SELECT name FROM system.tables WHERE database = '{where.database}' ORDER BY name")
    assert [row[0] for row in found.result_rows] == [
        "key_verifications",
        "key_verifications_by_hour",
        "ratelimits",
    ]


def test_migrate_says_that_the_server_cannot_be_reached(tmp_path: Path) -> None:
    url = f"http://latchwork:{PASSWORD}@127.0.0.1:{free_port()}/events"
    ended = latchwork(tmp_path, "migrate", LATCHWORK_CLICKHOUSE_URL=url)
    assert ended.code == 1
    assert "Analytics cannot be read right now" in ended.err
    assert PASSWORD not in ended.err
