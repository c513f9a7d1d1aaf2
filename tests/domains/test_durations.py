"""Durations and moments in words."""

import pytest

from latchwork.kernel.durations import moment, spoken


@pytest.mark.parametrize(
    ("duration_ms", "words"),
    [(2_592_000_000, "30 days"), (3_600_000, "1 hour"), (60_000, "1 minute"), (1_500, "1500 milliseconds")],
)
def test_the_largest_exact_unit_is_spoken(duration_ms: int, words: str) -> None:
    assert spoken(duration_ms) == words


def test_a_moment_is_told_in_utc() -> None:
    assert moment(1_800_000_000_001) == "2027-01-15T08:00:00.001Z"
    assert moment(2**53) == str(2**53)
