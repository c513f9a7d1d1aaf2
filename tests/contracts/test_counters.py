"""What every adapter of the port `Counters` promises."""

from itertools import count

import pytest

from latchwork.domains.ratelimits import (
    ENFORCE,
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counters,
    LimitCheck,
    LimitState,
    Mode,
)

MINUTE = 60_000
MONTH = 30 * 24 * 60 * MINUTE
START = 1_799_971_200_000  # begins a window of a minute and of a month

_keys = (f"ws_1:key_{number}:requests" for number in count())


@pytest.fixture
def key() -> str:
    return next(_keys)


@pytest.fixture(params=[SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET])
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    found: Algorithm = request.param
    return found


def check(
    key: str, limit: int, algorithm: Algorithm = SLIDING_WINDOW, *, cost: int = 1, mode: Mode = ENFORCE
) -> LimitCheck:
    return LimitCheck(key, limit, MINUTE, cost, algorithm, None, mode)


def remaining(counters: Counters, asked: LimitCheck, now_ms: int = START) -> int:
    look = LimitCheck(asked.key, asked.limit, asked.duration_ms, 0, asked.algorithm, asked.burst)
    return counters.peek([look], now_ms)[0].remaining


def test_a_limit_admits_as_much_as_it_says_and_no_more(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    states = [counters.take_one(check(key, 3, algorithm), START) for _ in range(5)]
    assert [state.exceeded for state in states] == [False, False, False, True, True]
    assert [state.remaining for state in states] == [2, 1, 0, 0, 0]


def test_a_refusal_takes_nothing(counters: Counters, key: str, algorithm: Algorithm) -> None:
    counters.take_one(check(key, 3, algorithm, cost=2), START)
    assert counters.take_one(check(key, 3, algorithm, cost=2), START).exceeded
    assert not counters.take_one(check(key, 3, algorithm), START).exceeded


def test_a_cost_above_the_limit_is_refused_by_an_untouched_counter(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    state = counters.take_one(check(key, 3, algorithm, cost=4), START)
    assert (state.exceeded, state.remaining, state.retry_ms) == (True, 0, None)


def test_a_limit_of_zero_refuses_every_cost_but_zero(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    assert counters.take_one(check(key, 0, algorithm), START).exceeded
    assert not counters.take_one(check(key, 0, algorithm, cost=0), START).exceeded


def test_a_cost_of_zero_looks_and_is_refused_only_above_the_limit(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    counters.take_one(check(key, 3, algorithm, cost=3), START)
    full = counters.take_one(check(key, 3, algorithm, cost=0), START)
    lowered = counters.take_one(check(key, 2, algorithm, cost=0), START)
    assert (full.exceeded, full.remaining) == (False, 0)
    assert (lowered.exceeded, lowered.remaining) == (True, 0)


def test_another_limit_is_the_same_counter(counters: Counters, key: str, algorithm: Algorithm) -> None:
    counters.take_one(check(key, 3, algorithm, cost=3), START)
    assert counters.take_one(check(key, 5, algorithm), START).remaining == 1


def test_another_duration_key_or_algorithm_is_another_counter(counters: Counters, key: str) -> None:
    counters.take_one(check(key, 3, cost=3), START)
    others = [
        LimitCheck(key, 3, MINUTE + 1),
        LimitCheck(key + "s", 3, MINUTE),
        LimitCheck(key, 3, MINUTE, 1, MOVING_WINDOW),
        LimitCheck(key, 3, MINUTE, 1, TOKEN_BUCKET),
    ]
    assert [counters.take_one(other, START).remaining for other in others] == [2, 2, 2, 2]


def test_a_sliding_window_resets_at_its_end_whether_it_admits_or_not(counters: Counters, key: str) -> None:
    admitted = counters.take_one(check(key, 1), START + 20_000)
    refused = counters.take_one(check(key, 1), START + 20_001)
    assert (admitted.reset_ms, refused.reset_ms) == (START + MINUTE, START + MINUTE)


def test_the_previous_window_weighs_less_and_less(counters: Counters, key: str) -> None:
    counters.take_one(check(key, 10, cost=10), START)
    left = [remaining(counters, check(key, 10), START + MINUTE + into) for into in (0, 6_000, 30_000, 59_999)]
    assert left == [0, 1, 5, 10]
    assert remaining(counters, check(key, 10), START + 2 * MINUTE) == 10


def test_a_gap_of_a_whole_window_forgets_all(counters: Counters, key: str, algorithm: Algorithm) -> None:
    counters.take_one(check(key, 10, algorithm, cost=10), START + MINUTE - 1)
    assert remaining(counters, check(key, 10, algorithm), START + 3 * MINUTE) == 10
    assert remaining(counters, check(key, 10, algorithm), START + 1_000 * MONTH) == 10


def test_a_token_bucket_admits_its_burst_and_then_its_rate(counters: Counters, key: str) -> None:
    bucket = LimitCheck(key, 60, MINUTE, 1, TOKEN_BUCKET, 5)
    assert [counters.take_one(bucket, START).remaining for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = counters.take_one(bucket, START)
    assert (refused.exceeded, refused.retry_ms, refused.reset_ms) == (True, START + 1_000, START + 5_000)
    assert not counters.take_one(bucket, START + 1_000).exceeded
    assert counters.take_one(bucket, START + 1_999).exceeded


def test_a_moving_window_forgets_each_taking_after_the_duration(counters: Counters, key: str) -> None:
    moving = check(key, 2, MOVING_WINDOW)
    for pause in (0, 59_000):
        counters.take_one(moving, START + pause)
    assert counters.take_one(moving, START + 59_999).retry_ms == START + 60_000
    assert not counters.take_one(moving, START + 60_000).exceeded
    assert counters.take_one(moving, START + 60_001).retry_ms == START + 119_000


def test_the_promised_moment_is_the_first_that_fits(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    counters.take_one(check(key, 5, algorithm, cost=5), START + 7)
    asked = check(key, 5, algorithm, cost=3)
    retry_ms = counters.take_one(asked, START + 8).retry_ms
    assert retry_ms is not None
    assert counters.peek([asked], retry_ms - 1)[0].exceeded
    assert not counters.peek([asked], retry_ms)[0].exceeded


def test_a_look_answers_what_taking_would_and_takes_nothing(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    for _ in range(4):
        asked = check(key, 3, algorithm)
        looks = [counters.peek([asked], START) for _ in range(3)]
        assert looks == [[counters.take_one(asked, START)]] * 3


def test_a_shadow_counts_and_tells_but_never_refuses(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    states = [counters.take_one(check(key, 2, algorithm, mode=SHADOW), START) for _ in range(4)]
    assert [state.exceeded for state in states] == [False] * 4
    assert [state.would_exceed for state in states] == [False, False, True, True]
    assert [state.remaining for state in states] == [1, 0, 0, 0]


def test_a_shadow_stands_where_it_would_if_it_were_enforced(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    strict = key + " enforced"
    for call in range(200):
        shadow = counters.take_one(check(key, 7, algorithm, mode=SHADOW), START + call * 777)
        enforced = counters.take_one(check(strict, 7, algorithm), START + call * 777)
        assert (shadow.would_exceed, shadow.remaining) == (enforced.exceeded, enforced.remaining)


def test_a_month_is_not_charged_for_what_the_minute_refuses(counters: Counters, key: str) -> None:
    both = [LimitCheck(key + " month", 200, MONTH), LimitCheck(key + " minute", 12, MINUTE)]
    for call in range(1, 13):
        month, minute = counters.take(both, START)
        assert (month.remaining, minute.remaining) == (200 - call, 12 - call)
    month, minute = counters.take(both, START)
    assert (month.exceeded, month.remaining) == (False, 188)
    assert (minute.exceeded, minute.remaining) == (True, 0)
    assert remaining(counters, both[0]) == 188


def test_a_batch_of_every_algorithm_is_taken_whole_or_not_at_all(counters: Counters, key: str) -> None:
    every: tuple[Algorithm, ...] = (SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET)
    batch = [check(key, 5, algorithm, cost=2) for algorithm in every]
    for left in (3, 1):
        assert [state.remaining for state in counters.take(batch, START)] == [left] * 3
    for at, stricter in enumerate(batch):
        narrow = [*batch[:at], check(key, 4, stricter.algorithm), *batch[at + 1 :]]
        states = counters.take([LimitCheck(c.key, c.limit, MINUTE, 1, c.algorithm) for c in narrow], START)
        assert [state.exceeded for state in states] == [place == at for place in range(3)]
        assert [state.remaining for state in states] == [0 if place == at else 1 for place in range(3)]
    assert [remaining(counters, asked) for asked in batch] == [1, 1, 1]


def test_the_same_counter_twice_in_a_batch_counts_twice(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    twice = [check(key, 3, algorithm)] * 2
    assert [state.remaining for state in counters.take(twice, START)] == [2, 1]
    first, second = counters.take(twice, START)
    assert (first.exceeded, first.remaining) == (False, 1)
    assert (second.exceeded, second.remaining) == (True, 0)
    assert remaining(counters, twice[0]) == 1


def test_what_does_not_fit_weighs_on_what_follows_in_the_batch(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    batch = [check(key, 3, algorithm, cost=4), check(key, 3, algorithm)]
    assert [state.exceeded for state in counters.take(batch, START)] == [True, True]
    assert remaining(counters, batch[1]) == 3


def test_what_passes_in_a_refused_batch_resets_as_if_it_had_not_been_taken(
    counters: Counters, key: str
) -> None:
    batch = [check(key, 5, MOVING_WINDOW), check(key, 5, TOKEN_BUCKET), check(key + " none", 0)]
    moving, bucket, _ = counters.take(batch, START)
    assert (moving.reset_ms, bucket.reset_ms) == (START, START)


def test_a_shadow_refuses_no_batch_and_is_counted_whatever_becomes_of_it(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    shadow = check(key + " shadow", 2, algorithm, mode=SHADOW)
    enforced = check(key, 1, algorithm)
    told = [counters.take([shadow, enforced], START) for _ in range(3)]
    assert [(s.exceeded, s.would_exceed, s.remaining) for s, _ in told] == [
        (False, False, 1),
        (False, False, 0),
        (False, True, 0),
    ]
    assert [e.exceeded for _, e in told] == [False, True, True]


def test_a_shadow_stands_on_what_its_batch_takes_from_the_same_counter_and_on_nothing_else(
    counters: Counters, key: str, algorithm: Algorithm
) -> None:
    taken = check(key, 5, algorithm, cost=2)
    shadow = check(key, 5, algorithm, cost=4, mode=SHADOW)
    refused = counters.peek([taken, check(key + " none", 0), shadow], START)
    admitted = counters.peek([taken, check(key + " some", 1), shadow], START)
    assert [states[2].would_exceed for states in (refused, admitted)] == [False, True]


def test_a_shadow_twice_in_a_batch_counts_as_often_as_it_fits(counters: Counters, key: str) -> None:
    shadow = check(key, 2, mode=SHADOW)
    assert [state.would_exceed for state in counters.take([shadow] * 3, START)] == [False, False, True]
    assert remaining(counters, shadow) == 0


def test_a_look_at_a_batch_answers_what_taking_it_would(counters: Counters, key: str) -> None:
    batch = [
        check(key, 3),
        check(key, 3, cost=2),
        check(key, 4, MOVING_WINDOW, mode=SHADOW),
        check(key, 5, TOKEN_BUCKET),
        check(key, 5, TOKEN_BUCKET, cost=0),
    ]
    for _ in range(4):
        look = counters.peek(batch, START)
        assert look == counters.take(batch, START)


def test_an_empty_batch_is_answered_by_nothing(counters: Counters) -> None:
    assert counters.take([], START) == counters.peek([], START) == []


def test_a_batch_of_one_is_that_one(counters: Counters, key: str, algorithm: Algorithm) -> None:
    asked = check(key, 1, algorithm)
    (state,) = counters.take([asked], START)
    assert (state.exceeded, state.remaining) == (False, 0)
    assert counters.take([asked], START)[0].exceeded


def exhausted(counters: Counters, key: str) -> list[LimitCheck]:
    """Six full counters of one key."""
    every: tuple[Algorithm, ...] = (SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET)
    checks = [LimitCheck(key, 1, duration, 1, name) for name in every for duration in (MINUTE, MONTH)]
    counters.take(checks, START)
    return checks


def refusals(counters: Counters, checks: list[LimitCheck]) -> list[bool]:
    states: list[LimitState] = [counters.peek([asked], START)[0] for asked in checks]
    return [state.exceeded for state in states]


def test_a_key_is_reset_in_all_its_counters_and_no_other(counters: Counters, key: str) -> None:
    checks, others = exhausted(counters, key), exhausted(counters, key + "0")
    assert all(refusals(counters, checks))
    counters.reset(key)
    assert not any(refusals(counters, checks))
    assert all(refusals(counters, others))


def test_one_algorithm_or_duration_can_be_reset_alone(counters: Counters, key: str) -> None:
    checks = exhausted(counters, key)
    counters.reset(key, algorithm=MOVING_WINDOW, duration_ms=MONTH)
    assert refusals(counters, checks) == [True, True, True, False, True, True]
    counters.reset(key, duration_ms=MINUTE)
    assert refusals(counters, checks) == [False, True, False, False, False, True]
    counters.reset(key, algorithm=SLIDING_WINDOW)
    assert refusals(counters, checks) == [False, False, False, False, False, True]


def test_what_was_taken_in_the_previous_window_is_reset_too(counters: Counters, key: str) -> None:
    counters.take_one(check(key, 10, cost=10), START)
    counters.take_one(check(key, 10, cost=0), START + MINUTE)
    counters.reset(key)
    assert remaining(counters, check(key, 10), START + MINUTE) == 10


def test_a_reset_of_an_unknown_key_changes_nothing(counters: Counters, key: str) -> None:
    counters.reset(key + " unknown", duration_ms=12_345)
    assert remaining(counters, check(key, 10)) == 10


def test_any_text_is_a_key(counters: Counters, key: str) -> None:
    for odd in ("", " ", "\n\x00", "ключ🔑", "a" * 2_000, "{x}:*"):
        asked = check(key + odd, 2)
        assert [counters.take_one(asked, START).exceeded for _ in range(3)] == [False, False, True]
