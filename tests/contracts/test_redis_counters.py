"""Counters in Redis answer what counters in memory do, state by state, and keep no more than matters."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from latchwork.adapters.memory import MemoryCounters
from latchwork.domains.ratelimits import (
    ENFORCE,
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counters,
    LimitCheck,
)
from tests.contracts.conftest import at_rest
from tests.engines.redis import Redis

START = 1_799_971_200_000
MINUTE = 60_000
MONTH = 30 * 24 * 60 * MINUTE
LARGEST = 2**53 - 1
ALGORITHMS: tuple[Algorithm, ...] = (SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET)

_keys = (f"ws_1:id_{number}:redis" for number in count())

Plan = tuple[int, bool, list[tuple[str, int, int, int, Algorithm, int | None, bool]]]
"""A pause, whether to look first, and checks: key, limit, duration, cost, algorithm, burst, shadow."""


def plans(
    limits: st.SearchStrategy[int], durations: st.SearchStrategy[int], costs: st.SearchStrategy[int]
) -> st.SearchStrategy[list[Plan]]:
    pauses = st.sampled_from([0, 0, 0, 1, 7, 999, 5_000, 20_000, 59_999, 60_000, 61_000, 130_000, 10**9])
    checks = st.tuples(
        st.sampled_from("ab"),
        limits,
        durations,
        costs,
        st.sampled_from(ALGORITHMS),
        st.none() | limits.filter(bool),
        st.sampled_from([False, False, True]),
    )
    return st.lists(
        st.tuples(pauses, st.booleans(), st.lists(checks, min_size=1, max_size=5)), min_size=1, max_size=25
    )


def play(memory: Counters, shared: Counters, planned: list[Plan]) -> None:
    key, now_ms = next(_keys), START
    for pause, looks, entries in planned:
        now_ms += pause
        checks = [
            LimitCheck(
                f"{key} {name}", limit, duration, cost, algorithm, burst, SHADOW if shadow else ENFORCE
            )
            for name, limit, duration, cost, algorithm, burst, shadow in entries
        ]
        if looks:
            assert shared.peek(checks, now_ms) == memory.peek(checks, now_ms)
        assert shared.take(checks, now_ms) == memory.take(checks, now_ms)


ordinary = plans(st.integers(0, 9), st.sampled_from([MINUTE, MINUTE, 1_000]), st.integers(0, 4))
large = plans(
    st.sampled_from([1, 3, 1_000_003, LARGEST - 1, LARGEST]),
    st.sampled_from([MINUTE, MONTH, 2**52 + 1, LARGEST]),
    st.sampled_from([0, 1, 2, 1_000_001, LARGEST - 3, LARGEST]),
)

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@relaxed
@given(planned=ordinary)
def test_every_state_is_that_of_memory(shared_counters: Counters, planned: list[Plan]) -> None:
    play(MemoryCounters(), shared_counters, planned)


@relaxed
@given(planned=large)
@example([(0, False, [("a", LARGEST, LARGEST, LARGEST, TOKEN_BUCKET, LARGEST, False)])] * 3)
@example(
    [
        (0, False, [("a", LARGEST - 1, MONTH, LARGEST - 3, TOKEN_BUCKET, LARGEST, False)]),
        (7, True, [("a", LARGEST - 1, MONTH, 1, TOKEN_BUCKET, LARGEST, False)]),
        (59_999, True, [("a", 1_000_003, MONTH, 1_000_001, TOKEN_BUCKET, LARGEST, False)]),
    ]
)
def test_numbers_as_large_as_there_are_make_no_difference(
    shared_counters: Counters, planned: list[Plan]
) -> None:
    play(MemoryCounters(), shared_counters, planned)


@relaxed
@given(planned=plans(st.integers(1, 400), st.just(MINUTE), st.integers(0, 90)))
def test_logs_of_many_entries_are_those_of_memory(shared_counters: Counters, planned: list[Plan]) -> None:
    key, now_ms, memory = next(_keys), START, MemoryCounters()
    for pause, _, entries in planned:
        for name, limit, _, cost, _, _, _ in entries:
            for step in range(10):
                now_ms += pause % 1_000 + step
                asked = LimitCheck(f"{key} {name}", limit, MINUTE, cost, MOVING_WINDOW)
                assert shared_counters.take([asked], now_ms) == memory.take([asked], now_ms)


wandering = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 59_999), st.integers(0, 4), st.sampled_from(ALGORITHMS)),
    min_size=1,
    max_size=30,
)


@pytest.fixture(scope="module")
def wandering_counters(redis: Redis) -> Iterator[Counters]:
    with at_rest(redis.url, windows_kept=1_000) as counters:
        yield counters


@relaxed
@given(moves=wandering, limit=st.integers(1, 9))
def test_a_clock_set_back_and_forth_finds_what_memory_finds(
    wandering_counters: Counters, moves: list[tuple[int, int, int, Algorithm]], limit: int
) -> None:
    key, memory = next(_keys), MemoryCounters(windows_kept=1_000)
    for window, into_ms, cost, algorithm in moves:
        now_ms = START + window * MINUTE + into_ms
        asked = LimitCheck(key, limit, MINUTE, cost, algorithm)
        assert wandering_counters.take([asked], now_ms) == memory.take([asked], now_ms)


def test_what_no_longer_matters_is_gone_in_time(redis: Redis, shared_counters: Counters) -> None:
    for algorithm in ALGORITHMS:
        shared_counters.take([LimitCheck("fading", 5, MINUTE, 2, algorithm)], START)
    names = redis.command("KEYS", "*fading*").splitlines()
    assert len(names) == 2  # a hash, and a log
    lives_ms = [int(redis.command("PTTL", name)) for name in names]
    assert all(0 < life_ms <= 2 * MINUTE + 1_000 for life_ms in lives_ms)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_looks_and_refusals_leave_no_trace(
    redis: Redis, shared_counters: Counters, algorithm: Algorithm
) -> None:
    look = LimitCheck(f"traceless {algorithm}", 5, MINUTE, 0, algorithm)
    shared_counters.take([look], START)
    shared_counters.peek([look], START)
    shared_counters.take([look, LimitCheck(look.key, 5, MINUTE, 6, algorithm)], START)
    shared_counters.take([LimitCheck(look.key, 5, MINUTE, 5), LimitCheck("none", 0, MINUTE)], START)
    assert redis.command("KEYS", f"*traceless {algorithm}*") == ""
