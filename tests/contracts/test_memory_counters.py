"""What counters in memory promise beyond the port: bounded memory, and sense under a wandering clock."""

import pytest

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.memory.shelf import Shelf
from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    LimitCheck,
)

MINUTE = 60_000
START = 1_799_971_200_000


def sliding(key: str, limit: int = 10, cost: int = 1, duration_ms: int = MINUTE) -> LimitCheck:
    return LimitCheck(key, limit, duration_ms, cost)


def remaining(counters: MemoryCounters, key: str, now_ms: int) -> int:
    return counters.peek([sliding(key)], now_ms)[0].remaining + 1


@pytest.mark.parametrize("each", [10, 3_000])
def test_identifiers_of_two_windows_ago_are_gone(each: int) -> None:
    counters = MemoryCounters()
    for window in range(6):
        for number in range(each):
            counters.take_one(sliding(f"{window} {number}"), START + window * MINUTE)
        assert len(counters) <= 2 * each


def test_large_tables_are_taken_apart_before_the_next_is_as_large() -> None:
    counters = MemoryCounters()
    for window in range(6):
        for number in range(3_000):
            counters.take_one(sliding(f"{window} {number}"), START + window * MINUTE)
        assert counters.leaving() == 0


def test_batches_take_large_tables_apart_too() -> None:
    counters = MemoryCounters()
    for window in range(3):
        for number in range(0, 3_000, 2):
            pair = [sliding(f"{window} {number + one}") for one in range(2)]
            bucket = LimitCheck(f"{window} {number}", 10, MINUTE, 1, TOKEN_BUCKET)
            counters.take([*pair, bucket], START + window * MINUTE)
    assert counters.leaving() == 0


def test_durations_that_nobody_uses_any_more_are_forgotten() -> None:
    counters = MemoryCounters()
    for number in range(5_000):
        counters.take_one(sliding("k", duration_ms=1_000 + number % 2_000), START + number * 100)
    assert len(counters) < 200


@pytest.mark.parametrize("algorithm", [MOVING_WINDOW, TOKEN_BUCKET])
def test_logs_and_buckets_that_no_longer_matter_are_forgotten(algorithm: Algorithm) -> None:
    counters = MemoryCounters()
    for number in range(20_000):
        counters.take_one(LimitCheck(f"k{number}", 10, 1_000, 1, algorithm), START + number * 10)
        assert len(counters) <= 2 * 100 + 2


def test_a_bucket_stays_for_as_long_as_its_burst_takes_to_leak() -> None:
    counters = MemoryCounters()
    bucket = LimitCheck("k", 1, 1_000, 100, TOKEN_BUCKET, 100)
    counters.take_one(bucket, START)
    for number in range(1_000):
        counters.take_one(LimitCheck(f"k{number}", 1, 1_000, 1, TOKEN_BUCKET), START + number * 99)
    assert counters.peek([bucket], START + 99_999)[0].exceeded
    assert not counters.peek([bucket], START + 100_000)[0].exceeded


@pytest.mark.parametrize("algorithm", [SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET])
def test_looks_and_refusals_leave_no_trace(algorithm: Algorithm) -> None:
    counters = MemoryCounters()
    for number in range(100):
        look = LimitCheck(f"k{number}", 5, MINUTE, 0, algorithm)
        counters.take_one(look, START)
        counters.peek([look], START)
        counters.take([look, LimitCheck(f"k{number}", 5, MINUTE, 6, algorithm)], START)
        counters.take([look, LimitCheck(f"k{number}", 5, MINUTE, 5), sliding("none", 0)], START)
    assert len(counters) == 0


def test_counters_that_are_reset_and_taken_again_are_kept_once() -> None:
    counters = MemoryCounters()
    for _ in range(1_000):
        counters.take_one(LimitCheck("k", 10, 1_000, 1, TOKEN_BUCKET), START)
        counters.reset("k")
    assert len(counters) <= 1


def test_a_clock_set_back_by_a_window_finds_its_counts() -> None:
    counters = MemoryCounters()
    counters.take_one(sliding("k", cost=4), START)
    counters.take_one(sliding("k", cost=1), START + MINUTE)
    assert remaining(counters, "k", START) == 6
    assert remaining(counters, "k", START + MINUTE) == 5


def test_a_wandering_clock_finds_every_window_that_it_was_told_to_keep() -> None:
    counters = MemoryCounters(windows_kept=100)
    visits = [3, 90, 17, 4, 88, 60, 5, 3, 90, 17]
    for place, window in enumerate(visits):
        counters.take_one(sliding("k"), START + window * MINUTE + MINUTE - 1)
        other = LimitCheck(f"other {place}", 10, 1_000)
        counters.take_one(other, START + window * MINUTE)
    for window in (3, 90, 17):
        assert remaining(counters, "k", START + window * MINUTE + MINUTE - 1) == 8
    assert remaining(counters, "k", START + 60 * MINUTE) == 9
    assert remaining(counters, "k", START + 61 * MINUTE) == 9


def test_a_window_that_is_no_longer_remembered_begins_anew() -> None:
    counters = MemoryCounters()
    for window in (0, 5, 9):
        counters.take_one(sliding("k", cost=9), START + window * MINUTE)
    assert remaining(counters, "k", START) == 10


class Mark:
    """A state that matters until a moment."""

    def __init__(self) -> None:
        self.matters_until_ms = 0


def test_a_shelf_keeps_states_for_the_grace_it_was_given() -> None:
    shelf = Shelf(Mark, grace=3)
    shelf.claim("old", 1_000, START).matters_until_ms = START
    shelf.claim("new", 1_000, START + 2_999)
    assert shelf.find("old", 1_000) is not None
    shelf.claim("newer", 1_000, START + 3_000)
    assert shelf.find("old", 1_000) is None
