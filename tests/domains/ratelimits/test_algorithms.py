"""The limiter against independent arithmetic: whatever is asked in whatever order, it is exact."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from latchwork.adapters.memory import MemoryCounters
from latchwork.domains.ratelimits import MOVING_WINDOW, SHADOW, TOKEN_BUCKET, LimitCheck

MINUTE = 60_000
START = 1_800_000_000_000

calls = st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 4)), min_size=1, max_size=60)
"""Pauses in ms and costs."""


def check(cost: int = 1, limit: int = 5, **more: object) -> LimitCheck:
    return LimitCheck("k", limit, MINUTE, cost, **more)  # type: ignore[arg-type]


@given(calls, st.integers(1, 12))
def test_a_sliding_window_follows_its_formula(asked: list[tuple[int, int]], limit: int) -> None:
    """Admitted exactly when current + trunc(previous x what is left of the window) + cost fits, in doubles."""
    counters, now = MemoryCounters(), START
    taken: dict[int, int] = {}
    for pause, cost in asked:
        now += pause
        window = now // MINUTE
        weight = 1.0 - (now - window * MINUTE) / MINUTE
        effective = taken.get(window, 0) + int(taken.get(window - 1, 0) * weight) + cost
        state = counters.take_one(check(cost, limit), now)
        assert state.exceeded == (effective > limit)
        assert state.remaining == (0 if effective > limit else limit - effective)
        assert state.reset_ms == (window + 1) * MINUTE
        if effective <= limit:
            taken[window] = taken.get(window, 0) + cost


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=40), st.integers(1, 6))
def test_within_one_window_it_agrees_with_the_limits_library(pauses: list[int], limit: int) -> None:
    """In a first window nothing carries over, so that both count alike whatever their clocks."""
    counters, now = MemoryCounters(), START // MINUTE * MINUTE
    peer = SlidingWindowCounterRateLimiter(MemoryStorage())
    item = RateLimitItemPerSecond(limit, 3_600)
    admitted = theirs = 0
    for pause in pauses:
        now = min(now + pause, START // MINUTE * MINUTE + MINUTE - 1)
        admitted += not counters.take_one(check(1, limit), now).exceeded
        theirs += peer.hit(item, "k")
    assert admitted == theirs == min(limit, len(pauses))


@given(calls, st.integers(1, 8))
def test_no_interval_of_a_moving_window_holds_more_than_the_limit(
    asked: list[tuple[int, int]], limit: int
) -> None:
    counters, now = MemoryCounters(), START
    admitted: list[tuple[int, int]] = []
    for pause, cost in asked:
        now += pause
        inside = sum(c for at, c in admitted if at > now - MINUTE)
        state = counters.take_one(check(cost, limit, algorithm=MOVING_WINDOW), now)
        assert state.exceeded == (inside + cost > limit)
        if not state.exceeded:
            admitted.append((now, cost))
    for at, _ in admitted:
        assert sum(c for other, c in admitted if at <= other < at + MINUTE) <= limit


@given(calls, st.integers(1, 8), st.integers(1, 16))
def test_a_token_bucket_leaks_evenly(asked: list[tuple[int, int]], limit: int, burst: int) -> None:
    counters, now = MemoryCounters(), START
    level, at = Fraction(0), START
    for pause, cost in asked:
        now += pause
        level = max(Fraction(0), level - Fraction((now - at) * limit, MINUTE))
        at = now
        state = counters.take_one(check(cost, limit, algorithm=TOKEN_BUCKET, burst=burst), now)
        assert state.exceeded == (level + cost > burst)
        if not state.exceeded:
            level += cost
            assert state.remaining == int(burst - level)


batches = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=4),
    min_size=1,
    max_size=25,
)


@given(batches)
def test_a_batch_is_taken_whole_or_not_at_all(asked: list[list[tuple[str, int]]]) -> None:
    counters = MemoryCounters()
    used = dict.fromkeys("abc", 0)
    for batch in asked:
        after = dict(used)
        fits = True
        for key, cost in batch:
            after[key] += cost
            fits = fits and after[key] <= 5
        checks = [LimitCheck(key, 5, MINUTE, cost) for key, cost in batch]
        looked = counters.peek(checks, START)
        states = counters.take(checks, START)
        assert looked == states, "a look answers what taking would"
        assert any(state.exceeded for state in states) == (not fits)
        used = after if fits else used
    for key, count in used.items():
        assert counters.peek([LimitCheck(key, 5, MINUTE, 0)], START)[0].remaining == 5 - count


def test_the_thirteenth_call_of_twelve_a_minute_leaves_the_month_alone() -> None:
    counters = MemoryCounters()
    both = [LimitCheck("month", 200, 30 * 24 * 60 * MINUTE), LimitCheck("minute", 12, MINUTE)]
    for _ in range(12):
        assert not any(state.exceeded for state in counters.take(both, START))
    month, minute = counters.take(both, START)
    assert (month.exceeded, month.remaining) == (False, 188)
    assert (minute.exceeded, minute.remaining) == (True, 0)


@pytest.mark.parametrize("algorithm", ["sliding_window", MOVING_WINDOW, TOKEN_BUCKET])
class TestEveryAlgorithm:
    def test_a_limit_of_nothing_refuses_everything(self, algorithm: str) -> None:
        state = MemoryCounters().take_one(check(1, 0, algorithm=algorithm), START)
        assert state.exceeded and state.remaining == 0

    def test_a_cost_of_nothing_takes_nothing(self, algorithm: str) -> None:
        counters = MemoryCounters()
        for _ in range(3):
            assert counters.take_one(check(0, 2, algorithm=algorithm), START).remaining == 2

    def test_the_moment_to_come_back_is_the_first_that_fits(self, algorithm: str) -> None:
        counters = MemoryCounters()
        counters.take_one(check(5, algorithm=algorithm), START)
        refused = counters.take_one(check(3, algorithm=algorithm), START + 1)
        assert refused.exceeded and refused.retry_ms is not None
        assert counters.peek([check(3, algorithm=algorithm)], refused.retry_ms - 1)[0].exceeded
        assert not counters.peek([check(3, algorithm=algorithm)], refused.retry_ms)[0].exceeded

    def test_a_shadow_counts_and_never_refuses(self, algorithm: str) -> None:
        counters = MemoryCounters()
        states = [counters.take_one(check(3, algorithm=algorithm, mode=SHADOW), START) for _ in range(2)]
        assert [state.exceeded for state in states] == [False, False]
        assert [state.would_exceed for state in states] == [False, True]

    def test_a_counter_can_be_forgotten(self, algorithm: str) -> None:
        counters = MemoryCounters()
        counters.take_one(check(5, algorithm=algorithm), START)
        counters.reset("k")
        assert not counters.take_one(check(5, algorithm=algorithm), START).exceeded


def test_identifiers_of_two_windows_ago_are_gone_from_memory() -> None:
    counters = MemoryCounters()
    for number in range(5_000):
        counters.take_one(LimitCheck(f"k{number}", 5, MINUTE), START)
    for window in range(1, 4):
        for number in range(2_000):
            counters.take_one(LimitCheck(f"w{window}:{number}", 5, MINUTE), START + window * MINUTE)
    assert len(counters) <= 4_000


@settings(max_examples=30)
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=5, unique=True))
def test_another_duration_is_another_counter(durations: list[int]) -> None:
    counters = MemoryCounters()
    for one, other in pairwise(durations):
        before = counters.peek([LimitCheck("k", 5, other)], START)[0]
        counters.take_one(LimitCheck("k", 5, one), START)
        if one != other:
            assert counters.peek([LimitCheck("k", 5, other)], START)[0].remaining == before.remaining
