"""What survives: full buffers, crashes between the steps, failing databases, time."""

from pathlib import Path

import duckdb
import pytest

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics.spool import Spool
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from tests.domains.analytics.recordings import (
    DAY_MS,
    NOW_MS,
    limit,
    question,
    recording,
    verification,
)


async def test_events_beyond_the_bound_are_dropped_and_counted(tmp_path: Path) -> None:
    async with recording(tmp_path, most_buffered=100) as analytics:
        for _ in range(130):
            analytics.verifications.append(verification())
        assert (await analytics.get_verifications(question()))[0].total == 100
        assert analytics.health().dropped == 30


async def test_what_is_buffered_at_the_stop_is_there_after_the_next_start(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 1


async def test_a_batch_left_in_the_spool_is_stored_once_by_the_next_start(tmp_path: Path) -> None:
    _left_behind(tmp_path)
    for _ in range(2):
        async with recording(tmp_path) as analytics:
            assert (await analytics.get_verifications(question()))[0].total == 1
    assert list((tmp_path / "spool").glob("*.batch")) == []


async def test_a_batch_that_was_stored_but_not_deleted_is_not_stored_again(tmp_path: Path) -> None:
    _left_behind(tmp_path)
    spool = Spool(tmp_path / "spool", 1 << 30)
    spool.open()
    batch = spool.next()
    assert batch is not None
    store = DuckDbAnalytics(tmp_path / "analytics.duckdb", tmp_path / "spool" / "loading")
    store.open()
    store.ingest(*batch)
    store.close()
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 1


async def test_a_half_written_file_is_no_batch(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "b_1.draft").write_bytes(b'{"request_id": "req')
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 0
        assert analytics.health().state == "ok"


def test_a_full_spool_lets_the_oldest_batches_go_and_counts_their_events(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1)
    spool.open()
    for time_ms in (1, 2, 3):
        spool.put([verification(time_ms)], [])
    waiting = spool.next()
    assert waiting is not None
    assert b'"time":3' in waiting[1]
    assert spool.dropped >= 2


async def test_a_file_that_is_no_database_stops_nothing_but_the_questions(tmp_path: Path) -> None:
    file = tmp_path / "analytics.duckdb"
    file.write_bytes(b"not a database" * 500)
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
        with pytest.raises(Unavailable):
            await analytics.get_verifications(question())
        health = analytics.health()
        assert (health.state, health.buffered, health.dropped) == ("failing", 0, 0)
        assert health.spooled_bytes > 0

        file.unlink()
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert (analytics.health().state, analytics.health().spooled_bytes) == ("ok", 0)


async def test_events_older_than_the_retention_are_deleted(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    async with recording(tmp_path, clock=clock) as analytics:
        analytics.verifications.append(verification(NOW_MS))
        assert (await analytics.get_verifications(question()))[0].total == 1
        clock.advance(91 * DAY_MS)
        await analytics.flush()
        assert (await analytics.get_verifications(question()))[0].total == 0


async def test_limits_are_stored_with_everything_that_was_said_of_them(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.ratelimits.append(limit(identifier="nul\0 and 🔑"))
    with duckdb.connect(str(tmp_path / "analytics.duckdb"), read_only=True) as connection:
        columns = 'workspace_id, namespace_id, identifier, passed, "limit", remaining, tokens, override_id'
        rows = connection.execute(f"SELECT {columns} FROM ratelimits_v1").fetchall()
    assert rows == [("ws_1", "rlns_1", "nul\0 and 🔑", True, 10, 9, 1, "")]


async def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        await analytics.flush()
        assert (tmp_path / "analytics.duckdb").stat().st_mode & 0o777 == 0o600


def _left_behind(directory: Path) -> None:
    spool = Spool(directory / "spool", 1 << 30)
    spool.open()
    spool.put([verification()], [])
