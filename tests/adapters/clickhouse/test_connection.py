"""How a ClickHouse server is found, and what is told when it is not."""

import logging

import pytest

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.clickhouse.connection import address, connected
from latchwork.adapters.clickhouse.schema import definition
from latchwork.domains.analytics import AnalyticsUnavailable
from latchwork.domains.analytics.batches import Draft, read
from tests.domains.analytics.recordings import limit
from tests.engines.clickhouse_http import PASSWORD, ClickHouseServer
from tests.engines.programs import free_port


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://clicks", ("http", "clicks", 8123, "default", "", "latchwork")),
        ("https://clicks/", ("https", "clicks", 8443, "default", "", "latchwork")),
        ("http://[::1]:9/events", ("http", "::1", 9, "default", "", "events")),
        ("https://me:p%40ss%2F@clicks:99/my%20db", ("https", "clicks", 99, "me", "p@ss/", "my db")),
    ],
)
def test_an_address_is_read_from_a_url(url: str, parts: tuple[object, ...]) -> None:
    read = address(url)
    assert (read.scheme, read.host, read.port, read.user, read.password, read.database) == parts
    assert "p@ss" not in f"{read} {read!r}"


def test_a_server_that_is_not_there_makes_analytics_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    store = ClickHouseAnalytics(f"http://latchwork:{PASSWORD}@127.0.0.1:{free_port()}/events")
    with caplog.at_level(logging.DEBUG), pytest.raises(AnalyticsUnavailable) as caught:
        store.open()
    told = f"{caught.value} {caught.value.private} {caught.value.__cause__!r} {caplog.text}"
    assert PASSWORD not in told


def test_a_wrong_password_is_told_to_the_operator_and_never_shown(
    clickhouse: ClickHouseServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = ClickHouseAnalytics(clickhouse.url("events").replace(PASSWORD, "quite-another"))
    with caplog.at_level(logging.DEBUG), pytest.raises(AnalyticsUnavailable) as caught:
        store.open()
    assert "Authentication failed" in (caught.value.private or "")
    assert "quite-another" not in f"{caught.value} {caught.value.private} {caplog.text}"


def test_a_database_with_an_odd_name_is_created(clickhouse: ClickHouseServer) -> None:
    store = ClickHouseAnalytics(clickhouse.url("an%20odd%60name"))
    for _ in range(2):
        store.open()
        assert store.keys_tagged("ws_1", "a", 1, 10.0) == []
        store.close()


def test_tables_that_are_there_are_left_as_they_are(clickhouse: ClickHouseServer) -> None:
    store = ClickHouseAnalytics(clickhouse.url("prepared"))
    store.open()
    store.close()
    client = connected(address(clickhouse.url("prepared")), 10)
    client.command("DROP TABLE prepared.ratelimits")
    told = definition("ratelimits").replace("ratelimits", "prepared.ratelimits", 1)
    client.command(told.replace("`tokens`", "`noted` String DEFAULT '', `tokens`"))
    store.open()
    store.ingest(read("b_1", Draft().frame([], [limit()])))
    store.close()
    assert client.query("SELECT noted, tokens FROM prepared.ratelimits").result_rows == [("", 1)]
    client.close()
