"""The token bucket against exact fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.ratelimits import TOKEN_BUCKET, LimitCheck
from latchwork.domains.ratelimits.token_bucket import Bucket, judge

NOW = 1_700_000_000_000

steps = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 7)), max_size=50)
limits = st.integers(1, 9)
bursts = st.integers(1, 12)
durations = st.integers(1, 50)


class ExactBucket:
    """Tokens as a fraction: full at first, refilled evenly."""

    def __init__(self, limit: int, duration_ms: int, burst: int) -> None:
        self.rate = Fraction(limit, duration_ms)
        self.burst = burst
        self.tokens = Fraction(burst)
        self.at_ms = NOW

    def take(self, cost: int, now_ms: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + self.rate * (now_ms - self.at_ms))
        self.at_ms = now_ms
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True


def taken(check: LimitCheck, cost: int, bucket: Bucket, now_ms: int) -> bool:
    fits = not judge(check, cost, bucket, now_ms).exceeded
    if fits and cost:
        bucket.add(check, cost, now_ms)
    return fits


@given(steps, limits, durations, bursts)
def test_it_decides_as_exact_fractions_do(
    calls: list[tuple[int, int]], limit: int, duration_ms: int, burst: int
) -> None:
    check = LimitCheck("k", limit, duration_ms, 1, TOKEN_BUCKET, burst)
    bucket, exact, now_ms = Bucket(), ExactBucket(limit, duration_ms, burst), NOW
    for wait_ms, cost in calls:
        now_ms += wait_ms
        state = judge(check, cost, bucket, now_ms)
        assert taken(check, cost, bucket, now_ms) == exact.take(cost, now_ms)
        if not state.exceeded:
            assert state.remaining == exact.tokens // 1
            lacking = exact.burst - exact.tokens
            assert state.reset_ms == now_ms + -(-lacking // exact.rate)


@given(steps, limits, durations, bursts)
def test_no_interval_admits_more_than_the_burst_and_what_leaks_meanwhile(
    calls: list[tuple[int, int]], limit: int, duration_ms: int, burst: int
) -> None:
    check = LimitCheck("k", limit, duration_ms, 1, TOKEN_BUCKET, burst)
    bucket, now_ms = Bucket(), NOW
    admitted = []
    for wait_ms, cost in calls:
        now_ms += wait_ms
        if taken(check, cost, bucket, now_ms):
            admitted.append((now_ms, cost))
    for first, (begin_ms, _) in enumerate(admitted):
        total = 0
        for end_ms, cost in admitted[first:]:
            total += cost
            assert total <= burst + Fraction(limit, duration_ms) * (end_ms - begin_ms)


@given(st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 7)), max_size=50), limits, durations, bursts)
def test_a_clock_that_is_set_back_never_lets_more_through(
    calls: list[tuple[int, int]], limit: int, duration_ms: int, burst: int
) -> None:
    """Counted from the first taking on, up to the latest moment that the clock ever showed."""
    check = LimitCheck("k", limit, duration_ms, 1, TOKEN_BUCKET, burst)
    bucket, now_ms, total = Bucket(), NOW, 0
    moments: list[int] = []
    for wait_ms, cost in calls:
        now_ms += wait_ms
        if taken(check, cost, bucket, now_ms) and (cost or moments):
            moments.append(now_ms)
            total += cost
            assert total <= burst + Fraction(limit, duration_ms) * (max(moments) - moments[0])


@given(steps, limits, durations, bursts, st.integers(0, 12))
def test_it_fits_at_the_promised_moment_and_at_none_before(
    calls: list[tuple[int, int]], limit: int, duration_ms: int, burst: int, cost: int
) -> None:
    check = LimitCheck("k", limit, duration_ms, 1, TOKEN_BUCKET, burst)
    bucket, now_ms = Bucket(), NOW
    for wait_ms, spent in calls:
        now_ms += wait_ms
        taken(check, spent, bucket, now_ms)
    retry_ms = judge(check, cost, bucket, now_ms).retry_ms
    if retry_ms is None:
        assert cost > burst
    elif retry_ms:
        assert judge(check, cost, bucket, retry_ms - 1).exceeded
        assert not judge(check, cost, bucket, retry_ms).exceeded


@given(steps, limits, durations, bursts)
def test_it_matters_until_it_is_empty_and_not_longer(
    calls: list[tuple[int, int]], limit: int, duration_ms: int, burst: int
) -> None:
    check = LimitCheck("k", limit, duration_ms, 1, TOKEN_BUCKET, burst)
    bucket, now_ms = Bucket(), NOW
    for wait_ms, cost in calls:
        now_ms += wait_ms
        if taken(check, cost, bucket, now_ms) and cost:
            assert bucket.held(limit, bucket.matters_until_ms - 1) > 0
            assert bucket.held(limit, bucket.matters_until_ms) == 0


def test_the_burst_is_the_limit_where_none_is_given() -> None:
    assert judge(LimitCheck("k", 5, 1_000, 1, TOKEN_BUCKET), 5, Bucket(), NOW).remaining == 0
    assert judge(LimitCheck("k", 5, 1_000, 1, TOKEN_BUCKET), 6, Bucket(), NOW).exceeded


def test_a_limit_of_zero_refuses_whatever_the_burst() -> None:
    check = LimitCheck("k", 0, 1_000, 1, TOKEN_BUCKET, 10)
    state = judge(check, 1, Bucket(), NOW)
    assert (state.exceeded, state.remaining, state.retry_ms) == (True, 0, None)
    assert not judge(check, 0, Bucket(), NOW).exceeded


def test_a_limit_lowered_to_zero_refuses_even_a_look_while_something_is_held() -> None:
    bucket = Bucket()
    bucket.add(LimitCheck("k", 5, 1_000, 1, TOKEN_BUCKET), 5, NOW)
    state = judge(LimitCheck("k", 0, 1_000, 1, TOKEN_BUCKET), 0, bucket, NOW + 1)
    assert (state.exceeded, state.retry_ms) == (True, None)


def test_a_raised_limit_keeps_what_was_taken() -> None:
    bucket = Bucket()
    bucket.add(LimitCheck("k", 5, 1_000, 1, TOKEN_BUCKET), 5, NOW)
    assert judge(LimitCheck("k", 8, 1_000, 1, TOKEN_BUCKET), 1, bucket, NOW).remaining == 2


def test_numbers_beyond_doubles_stay_exact() -> None:
    check = LimitCheck("k", 2**62, 2_592_000_000, 1, TOKEN_BUCKET)
    bucket = Bucket()
    bucket.add(check, 2**62 - 1, NOW)
    assert judge(check, 1, bucket, NOW).remaining == 0
    assert judge(check, 2, bucket, NOW).exceeded
