"""Whatever happens to the server, the way to it or the node: every event is counted once."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.domains.analytics import Analytics, AnalyticsUnavailable, service
from latchwork.domains.analytics.batches import Draft, read
from latchwork.domains.analytics.sql.fences import Fence
from latchwork.domains.analytics.sql.reading import read as understood
from tests.domains.analytics.recordings import HOUR_MS, NOW_MS, limit, question, recording, verification
from tests.engines.clickhouse_http import ClickHouseServer, clickhouse_server
from tests.engines.http_faults import Fault, FaultyProxy, faulty_proxy

_INSERTIONS = b"application/octet-stream"
_WITHIN_S = 30


@pytest.fixture
def proxy(clickhouse: ClickHouseServer) -> Iterator[FaultyProxy]:
    """A way to the server of the session."""
    with faulty_proxy(clickhouse.port) as made:
        yield made


@pytest.fixture
def store(clickhouse: ClickHouseServer, proxy: FaultyProxy) -> ClickHouseAnalytics:
    """A store of its own on that way."""
    return ClickHouseAnalytics(clickhouse.url(f"faults_{uuid4().hex}", proxy.port))


def _record(analytics: Analytics, events: int) -> None:
    analytics.verifications += [verification() for _ in range(events)]
    analytics.ratelimits += [limit() for _ in range(events)]


async def _counted(analytics: Analytics) -> tuple[int, int, int]:
    """Verifications by the hour and one by one, and limits."""
    asked = question()
    by_key = question(group_by=frozenset({"key"}))
    usage = await analytics.usage(asked.workspace_id, asked.start_ms, asked.end_ms)
    return (
        (await analytics.get_verifications(asked))[0].total,
        sum(counts.total for counts in await analytics.get_verifications(by_key)),
        usage.ratelimits,
    )


async def _failing(analytics: Analytics) -> None:
    with pytest.raises(AnalyticsUnavailable):
        await analytics.flush()
    assert analytics.health().state == "failing"


async def _sooner_or_later(analytics: Analytics, expected: int) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            try:
                if await _counted(analytics) == (expected,) * 3:
                    return
            except AnalyticsUnavailable:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["lost answers", "reset"])
async def test_an_insertion_that_breaks_off_or_is_answered_to_nobody_counts_once(
    tmp_path: Path, proxy: FaultyProxy, store: ClickHouseAnalytics, fault: Fault
) -> None:
    async with recording(tmp_path, store=store) as analytics:
        await analytics.flush()
        proxy.fail(fault, _INSERTIONS)
        _record(analytics, 50)
        await _failing(analytics)
        assert proxy.struck.is_set()
        proxy.fail("none")
        assert await _counted(analytics) == (50, 50, 50)
        assert (analytics.health().state, analytics.health().dropped) == ("ok", 0)


async def test_a_question_does_not_wait_for_a_silent_server(
    tmp_path: Path, proxy: FaultyProxy, store: ClickHouseAnalytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchwork.adapters.clickhouse.analytics._WRITE_S", 1)
    async with recording(tmp_path, store=store) as analytics:
        await analytics.flush()
        monkeypatch.setattr(service, "_STORE_S", 0.3)
        proxy.fail("silence", _INSERTIONS)
        _record(analytics, 20)
        await _failing(analytics)
        await _failing(analytics)
        proxy.fail("none")
        monkeypatch.undo()
        await _sooner_or_later(analytics, 20)


async def test_a_node_can_stop_while_the_server_is_silent(
    tmp_path: Path, clickhouse: ClickHouseServer, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = clickhouse.url(f"faults_{uuid4().hex}", proxy.port)
    monkeypatch.setattr("latchwork.adapters.clickhouse.analytics._WRITE_S", 1)
    async with recording(tmp_path, store=ClickHouseAnalytics(url)) as analytics:
        await analytics.flush()
        monkeypatch.setattr(service, "_STORE_S", 0.3)
        proxy.fail("silence", _INSERTIONS)
        _record(analytics, 20)
    proxy.fail("none")
    monkeypatch.undo()
    async with recording(tmp_path, store=ClickHouseAnalytics(url)) as analytics:
        await _sooner_or_later(analytics, 20)


async def test_a_server_that_is_absent_at_the_start_gets_everything_when_it_comes(tmp_path: Path) -> None:
    with clickhouse_server() as server:
        server.stop()
        store = ClickHouseAnalytics(server.url("events"))
        async with recording(tmp_path, store=store) as analytics:
            for _ in range(3):
                _record(analytics, 10)
                await _failing(analytics)
            server.start()
            await _sooner_or_later(analytics, 30)
            server.stop(signal.SIGKILL)
            _record(analytics, 5)
            await _failing(analytics)
            server.start()
            await _sooner_or_later(analytics, 35)
            assert analytics.health().dropped == 0


async def test_what_a_full_spool_lets_go_is_counted(tmp_path: Path) -> None:
    with clickhouse_server() as server:
        server.stop()
        store = ClickHouseAnalytics(server.url("events"))
        async with recording(tmp_path, store=store, spool_bytes=1) as analytics:
            for _ in range(5):
                analytics.verifications.append(verification())
                await _failing(analytics)
            lost = analytics.health().dropped
            assert lost > 0
            server.start()
            async with asyncio.timeout(_WITHIN_S):
                while analytics.health().state == "failing":
                    await asyncio.sleep(0.05)
            assert (await analytics.get_verifications(question()))[0].total == 5 - lost


def test_an_answer_that_breaks_off_is_no_shorter_answer(
    clickhouse: ClickHouseServer, proxy: FaultyProxy, store: ClickHouseAnalytics
) -> None:
    store.open()
    events = [verification(NOW_MS + n, request_id=f"req_{n:09d}") for n in range(1_500)]
    store.ingest(read("b_1", Draft().frame(events, [])))
    pairs = "key_verifications_v1 AS a INNER JOIN key_verifications_v1 AS b ON a.key_id = b.key_id"
    fence = Fence("verifications", "ws_1", None, NOW_MS, NOW_MS + HOUR_MS)
    proxy.left = 10_000_000  # of some thirty million bytes
    rows = store.ask(understood(f"SELECT b.request_id FROM {pairs}", fence), 60.0)
    assert next(rows)
    with pytest.raises(AnalyticsUnavailable):
        list(rows)
    store.close()


async def test_a_node_that_is_killed_while_it_inserts_leaves_nothing_twice(
    tmp_path: Path, clickhouse: ClickHouseServer, proxy: FaultyProxy
) -> None:
    database = f"killed_{uuid4().hex}"
    url = clickhouse.url(database, proxy.port)
    proxy.fail("lost answers", _INSERTIONS)
    command = [sys.executable, "-m", "tests.adapters.clickhouse.node", str(tmp_path), url, "300"]
    node = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    try:
        assert await asyncio.to_thread(proxy.struck.wait, _WITHIN_S)
        await asyncio.to_thread(_stored, ClickHouseAnalytics(clickhouse.url(database)), 300)
    finally:
        node.kill()
        node.wait()
    proxy.fail("none")
    async with recording(tmp_path, store=ClickHouseAnalytics(url)) as analytics:
        assert (await _counted(analytics))[:2] == (300, 300)


def _stored(store: ClickHouseAnalytics, events: int) -> None:
    """Wait until so many verifications are in the store, counted by the hour or not, and let go of it."""
    by_key = question(group_by=frozenset({"key"}))
    store.open()
    with closing(store):
        deadline = time.monotonic() + _WITHIN_S
        while sum(counts.total for counts in store.count(by_key, _WITHIN_S)) < events:
            assert time.monotonic() < deadline
            time.sleep(0.02)


async def test_nodes_hear_of_each_others_events(tmp_path: Path, clickhouse_url: str) -> None:
    stores = [ClickHouseAnalytics(clickhouse_url) for _ in range(2)]
    async with (
        recording(tmp_path / "one", store=stores[0]) as one,
        recording(tmp_path / "two", store=stores[1]) as two,
    ):
        for _ in range(3):
            _record(one, 7)
            _record(two, 11)
            await two.flush()
        await _sooner_or_later(two, 54)
        await _sooner_or_later(one, 54)
