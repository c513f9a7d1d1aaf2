"""Which events a chart counts, and which buckets it shows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from latchwork.domains.analytics import BadQuestion
from latchwork.domains.analytics.charts import counted
from latchwork.domains.analytics.records import Group
from tests.domains.analytics.recordings import DAY_MS, HOUR_MS, NOW_MS, question, recording, verification

MINUTE_MS = 60_000


def _month(month: int) -> int:
    return int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("group", "start_ms", "end_ms", "counted_from", "counted_to"),
    [
        ("hour", NOW_MS, NOW_MS + HOUR_MS - 1, NOW_MS, NOW_MS + HOUR_MS),
        ("hour", NOW_MS + 1, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS),
        ("hour", NOW_MS, NOW_MS + HOUR_MS, NOW_MS, NOW_MS + 2 * HOUR_MS),
        ("day", NOW_MS + 1, NOW_MS + DAY_MS - 1, NOW_MS, NOW_MS + DAY_MS),
        ("day", NOW_MS + 1, NOW_MS + DAY_MS, NOW_MS, NOW_MS + 2 * DAY_MS),
        ("month", NOW_MS + 5 * DAY_MS, _month(2), NOW_MS, _month(3)),
    ],
)
def test_buckets_are_counted_whole(
    group: Group, start_ms: int, end_ms: int, counted_from: int, counted_to: int
) -> None:
    asked = counted(question(start_ms=start_ms, end_ms=end_ms, group_by=frozenset({group})))
    assert asked is not None
    assert (asked.start_ms, asked.end_ms) == (counted_from, counted_to)


def test_a_time_within_an_hour_asks_for_no_hour() -> None:
    within = question(start_ms=NOW_MS + 1, end_ms=NOW_MS + 2, group_by=frozenset({"hour"}))
    assert counted(within) is None


def test_without_buckets_the_time_is_exact() -> None:
    plain = question(start_ms=NOW_MS + 1, end_ms=NOW_MS + 2)
    assert counted(plain) is plain


async def test_the_first_hour_counts_if_it_begins_in_time(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        for minute in (-1, 0, 59, 60, 61, 119, 120):
            analytics.verifications.append(verification(NOW_MS + minute * MINUTE_MS))
        for start_ms, expected in (
            (NOW_MS, [(NOW_MS, 2), (NOW_MS + HOUR_MS, 3)]),
            (NOW_MS + 1, [(NOW_MS, 0), (NOW_MS + HOUR_MS, 3)]),
        ):
            asked = question(
                start_ms=start_ms, end_ms=NOW_MS + HOUR_MS + MINUTE_MS, group_by=frozenset({"hour"})
            )
            rows = await analytics.get_chart(asked)
            assert [(row.time_ms, row.total) for row in rows] == expected


async def test_gaps_are_filled_to_before_the_last_bucket_which_shows_if_it_has_events(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        asked = question(start_ms=NOW_MS + 1, end_ms=NOW_MS + 2 * DAY_MS, group_by=frozenset({"day"}))
        empty = await analytics.get_chart(asked)
        assert [(row.time_ms, row.total) for row in empty] == [(NOW_MS, 0), (NOW_MS + DAY_MS, 0)]
        analytics.verifications.append(verification(NOW_MS + 2 * DAY_MS + 5))
        rows = await analytics.get_chart(asked)
        assert [row.total for row in rows] == [0, 0, 1]


async def test_within_one_hour_there_is_nothing_to_show(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(NOW_MS + 5))
        asked = question(start_ms=NOW_MS + 1, end_ms=NOW_MS + 9, group_by=frozenset({"hour"}))
        assert await analytics.get_chart(asked) == []


async def test_beside_another_group_no_gaps_are_filled(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        analytics.verifications.append(verification(NOW_MS + HOUR_MS))
        asked = question(end_ms=NOW_MS + 3 * HOUR_MS, group_by=frozenset({"hour", "key"}))
        rows = await analytics.get_chart(asked)
        assert [(row.time_ms, row.key_id, row.total) for row in rows] == [(NOW_MS + HOUR_MS, "key_1", 1)]


async def test_a_chart_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async with recording(tmp_path) as analytics:
        with pytest.raises(BadQuestion):
            await analytics.get_chart(question(end_ms=NOW_MS))
