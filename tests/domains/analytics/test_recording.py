"""What survives: full buffers, crashes between the steps, failing databases, time."""

import time
from pathlib import Path

import duckdb
import pytest

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import AnalyticsUnavailable
from latchwork.domains.analytics.batches import Draft
from latchwork.domains.analytics.spool import Spool
from latchwork.kernel.clock import ManualClock
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
    store = DuckDbAnalytics(tmp_path / "analytics.duckdb")
    store.open()
    store.ingest(batch)
    store.close()
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 1


async def test_no_batch_of_several_left_behind_is_stored_twice(tmp_path: Path) -> None:
    names = [_left_behind(tmp_path) for _ in range(3)]
    files = {name: (tmp_path / "spool" / f"{name}.batch").read_bytes() for name in names}
    async with recording(tmp_path) as analytics:
        assert (await analytics.get_verifications(question()))[0].total == 3
    for name, content in files.items():  # as if none of the deletions had reached the disk
        (tmp_path / "spool" / f"{name}.batch").write_bytes(content)
    for _ in range(2):
        async with recording(tmp_path) as analytics:
            assert (await analytics.get_verifications(question()))[0].total == 3


def test_a_full_spool_lets_the_oldest_batches_go_and_counts_their_events(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1)
    spool.open()
    names = [_batch(spool, events) for events in (1, 2, 3)]
    assert spool.waiting == names[-1:]
    assert spool.dropped == 1 + 2


def test_a_batch_that_is_being_stored_is_not_dropped_for_want_of_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1)
    spool.open()
    first = _batch(spool, 1)
    assert spool.next() is not None
    names = [_batch(spool, events) for events in (2, 3)]
    assert spool.waiting == [first, names[-1]]
    spool.done()
    assert spool.waiting == names[-1:]
    assert spool.dropped == 2


async def test_a_file_that_is_no_database_stops_nothing_but_the_questions(tmp_path: Path) -> None:
    file = tmp_path / "analytics.duckdb"
    file.write_bytes(b"not a database" * 500)
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
        with pytest.raises(AnalyticsUnavailable):
            await analytics.get_verifications(question())
        health = analytics.health()
        assert (health.state, health.buffered, health.dropped) == ("failing", 0, 0)
        assert health.spooled_bytes > 0
        assert health.oldest_spooled_ms is not None
        assert abs(health.oldest_spooled_ms / 1000 - time.time()) < 3600

        file.unlink()
        assert (await analytics.get_verifications(question()))[0].total == 1
        health = analytics.health()
        assert (health.state, health.spooled_bytes, health.oldest_spooled_ms) == ("ok", 0, None)


async def test_events_older_than_the_retention_are_deleted_and_their_number_stays(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    async with recording(tmp_path, clock=clock) as analytics:
        analytics.verifications.append(verification(NOW_MS))
        by_key = question(group_by=frozenset({"key"}))
        assert [counts.total for counts in await analytics.get_verifications(by_key)] == [1]
        clock.advance(91 * DAY_MS)
        assert await analytics.get_verifications(by_key) == []
        assert (await analytics.get_verifications(question()))[0].total == 1
        clock.advance(3 * 366 * DAY_MS)
        assert (await analytics.get_verifications(question()))[0].total == 0


async def test_limits_are_stored_with_everything_that_was_said_of_them(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.ratelimits.append(limit(identifier="nul\0 and 🔑"))
    with duckdb.connect(str(tmp_path / "analytics.duckdb"), read_only=True) as connection:
        columns = 'workspace_id, space_id, identifier, passed, "limit", remaining, tokens, override_id'
        joined = "limits JOIN spaces ON spaces.number = limits.space"
        rows = connection.execute(f"SELECT {columns} FROM {joined}").fetchall()
    assert rows == [("ws_1", "rlns_1", "nul\0 and 🔑", True, 10, 9, 1, "")]


async def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        await analytics.flush()
        assert (tmp_path / "analytics.duckdb").stat().st_mode & 0o777 == 0o600


async def test_an_event_that_is_no_event_is_lost_alone(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(("yesterday", "req_1", None, "VALID", [], 0, 25))
        await analytics.flush()
        analytics.verifications.append(verification())
        assert (await analytics.get_verifications(question()))[0].total == 1
        assert analytics.health().dropped == 1


async def test_events_that_the_disk_has_no_room_for_wait_until_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification())
        await analytics.flush()
        (tmp_path / "spool").rmdir()
        analytics.verifications.append(verification())
        await analytics.flush()
        (tmp_path / "spool").mkdir()
        analytics.verifications.append(verification())
        assert (await analytics.get_verifications(question()))[0].total == 3
        assert analytics.health().dropped == 0
        (tmp_path / "spool").rmdir()
        analytics.verifications.append(verification())
    assert "1 events could not be spooled; they are lost." in caplog.messages


def _left_behind(directory: Path) -> str:
    spool = Spool(directory / "spool", 1 << 30)
    spool.open()
    return _batch(spool, 1)


def _batch(spool: Spool, events: int) -> str:
    draft = Draft()
    spool.write(draft.name, draft.frame([verification()] * events, []))
    spool.seal(draft.name)
    return draft.name
