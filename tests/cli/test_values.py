"""How limits, durations and moments are written."""

import time

import click
import pytest

from latchwork.cli.values import duration_ms, limit, moment_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5ms", 5),
        ("90s", 90_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "1.5h", "5 s", "5y", "5sx"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert duration_ms(text) is None


def test_a_limit_is_a_name_a_number_and_a_duration() -> None:
    assert limit("calls=10/60s") == {"name": "calls", "limit": 10, "duration": 60_000, "autoApply": True}


@pytest.mark.parametrize(
    "text", ["", "calls", "calls=10", "calls=10/", "calls=x/60s", "=10/60s", "calls=10/60"]
)
def test_what_is_not_a_limit_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write it as name=10/60s"):
        limit(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-02T00:00:00+01:00", 82_800_000),
        ("1970-01-01T00:00:01.500", 1_500),
    ],
)
def test_a_moment_is_a_date_with_or_without_time_in_utc_unless_it_says_so(text: str, expected: int) -> None:
    assert moment_ms(text) == expected


def test_a_duration_is_a_moment_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    assert moment_ms("30d") == 1_000_000 + 30 * 86_400_000


def test_no_moment_stays_none() -> None:
    assert moment_ms(None) is None


def test_what_is_not_a_moment_is_told_how_to_write_one() -> None:
    with pytest.raises(click.BadParameter, match="'soon' is not a moment; write 30d"):
        moment_ms("soon")
