"""Series of an identity's keys: no gaps, and no more points than anybody could look at."""

import pytest

from latchwork.domains.analytics import BadQuestion, RangeExceedsRetention, SeriesQuestion
from latchwork.domains.analytics.records import OUTCOMES, Counts
from latchwork.domains.analytics.series import MOST_POINTS, counted, series_of

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def _question(start_ms: int, end_ms: int, key_id: str | None = None) -> SeriesQuestion:
    return SeriesQuestion("ws_1", "ks_1", "user_1", start_ms, end_ms, key_id)


def _counts(key_id: str, time_ms: int, valid: int) -> Counts:
    outcomes = dict.fromkeys(OUTCOMES, 0) | {"valid": valid}
    return Counts(outcomes, valid, time_ms, key_id=key_id)


def test_every_key_has_every_bucket_and_the_total_adds_them_up() -> None:
    question = _question(30_000, 3 * MINUTE_MS)
    found = [_counts("key_b", 0, 2), _counts("key_a", 0, 1), _counts("key_a", 2 * MINUTE_MS, 5)]
    series = series_of(question, counted(question, DAY_MS), found)
    assert series.bucket_ms == MINUTE_MS
    assert [point.time_ms for point in series.total] == [0, MINUTE_MS, 2 * MINUTE_MS]
    assert [point.outcomes["valid"] for point in series.total] == [3, 0, 5]
    assert {key: [p.total for p in points] for key, points in series.by_key.items()} == {
        "key_a": [1, 0, 5],
        "key_b": [2, 0, 0],
    }
    assert list(series.by_key) == ["key_a", "key_b"]


def test_only_the_named_key_is_asked_for() -> None:
    assert counted(_question(0, 1, "key_a"), DAY_MS).key_ids == ("key_a",)
    assert counted(_question(0, 1), DAY_MS).key_ids == ()


def test_a_time_must_have_a_length_and_fit_what_is_kept() -> None:
    with pytest.raises(BadQuestion, match="`startTime` must be before `endTime`"):
        counted(_question(5, 5), DAY_MS)
    assert counted(_question(0, DAY_MS), DAY_MS).bucket == "hour"
    with pytest.raises(RangeExceedsRetention, match="1 day"):
        counted(_question(0, DAY_MS + 1), DAY_MS)


def test_too_many_points_are_refused_by_their_number() -> None:
    question = _question(0, 6 * HOUR_MS)
    found = [_counts(f"key_{number}", 0, 1) for number in range(MOST_POINTS // 360 + 1)]
    with pytest.raises(BadQuestion, match="278 keys in 360 minutes"):
        series_of(question, counted(question, DAY_MS), found)
