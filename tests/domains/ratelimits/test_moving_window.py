"""The log of what was taken: no interval of the duration ever holds more than the limit."""

from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.ratelimits import MOVING_WINDOW, LimitCheck
from latchwork.domains.ratelimits.moving_window import MovingLog, judge

NOW = 1_700_000_000_000
Taken = list[tuple[int, int]]

steps = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=60)
wanderings = st.lists(st.tuples(st.integers(-15, 15), st.integers(0, 6)), max_size=60)


def busiest(taken: Taken, duration_ms: int) -> int:
    """The most that any half-open interval of the duration holds."""
    starts = [time_ms for time_ms, _ in taken]
    return max(
        (sum(cost for at, cost in taken if start <= at < start + duration_ms) for start in starts), default=0
    )


def play(calls: Taken, limit: int, duration_ms: int) -> tuple[Taken, Taken]:
    """Admitted and refused calls, of (milliseconds since the last one, cost)."""
    log, now_ms = MovingLog(), NOW
    admitted: Taken = []
    refused: Taken = []
    for wait_ms, cost in calls:
        now_ms += wait_ms
        if judge(LimitCheck("k", limit, duration_ms, cost, MOVING_WINDOW), cost, log, now_ms).exceeded:
            refused.append((now_ms, cost))
        else:
            admitted.append((now_ms, cost))
            if cost:
                log.add(cost, now_ms, duration_ms)
    return admitted, refused


@given(steps, st.integers(0, 8), st.integers(1, 20))
def test_no_interval_holds_more_than_the_limit(calls: Taken, limit: int, duration_ms: int) -> None:
    admitted, _ = play(calls, limit, duration_ms)
    assert busiest(admitted, duration_ms) <= limit


@given(steps, st.integers(0, 8), st.integers(1, 20))
def test_nothing_is_refused_that_would_have_fitted(calls: Taken, limit: int, duration_ms: int) -> None:
    admitted, refused = play(calls, limit, duration_ms)
    for at_ms, cost in refused:
        earlier = [(time_ms, took) for time_ms, took in admitted if time_ms <= at_ms]
        before = [took for time_ms, took in earlier if at_ms - duration_ms < time_ms]
        assert sum(before) + cost > limit


@given(wanderings, st.integers(0, 8), st.integers(1, 20))
def test_a_clock_that_is_set_back_never_lets_more_through(calls: Taken, limit: int, duration_ms: int) -> None:
    log, now_ms = MovingLog(), NOW
    remembered: Taken = []
    for wait_ms, cost in calls:
        now_ms += wait_ms
        check = LimitCheck("k", limit, duration_ms, cost, MOVING_WINDOW)
        if all(now_ms >= time_ms for time_ms, _ in remembered):
            remembered = [(at, took) for at, took in remembered if at > now_ms - duration_ms]
        if cost and not judge(check, cost, log, now_ms).exceeded:
            log.add(cost, now_ms, duration_ms)
            remembered.append((now_ms, cost))
            assert busiest(remembered, duration_ms) <= limit


@given(steps, st.integers(1, 8), st.integers(1, 20), st.integers(1, 8))
def test_it_fits_at_the_promised_moment_and_at_none_before(
    calls: Taken, limit: int, duration_ms: int, cost: int
) -> None:
    log, now_ms = MovingLog(), NOW
    check = LimitCheck("k", limit, duration_ms, cost, MOVING_WINDOW)
    for wait_ms, spent in calls:
        now_ms += wait_ms
        if spent and not judge(check, spent, log, now_ms).exceeded:
            log.add(spent, now_ms, duration_ms)
    retry_ms = judge(check, cost, log, now_ms).retry_ms
    if retry_ms is None:
        assert cost > limit
    elif retry_ms:
        assert judge(check, cost, log, retry_ms - 1).exceeded
        assert not judge(check, cost, log, retry_ms).exceeded


def test_what_was_taken_leaves_exactly_after_the_duration() -> None:
    log = MovingLog()
    log.add(3, NOW, 1_000)
    check = LimitCheck("k", 3, 1_000, 1, MOVING_WINDOW)
    assert judge(check, 1, log, NOW + 999).exceeded
    assert judge(check, 1, log, NOW + 1_000).remaining == 2


def test_everything_is_available_again_when_the_last_entry_has_left() -> None:
    log = MovingLog()
    check = LimitCheck("k", 3, 1_000, 1, MOVING_WINDOW)
    assert judge(check, 0, log, NOW).reset_ms == NOW
    assert judge(check, 1, log, NOW).reset_ms == NOW + 1_000
    log.add(2, NOW, 1_000)
    assert judge(check, 0, log, NOW + 400).reset_ms == NOW + 1_000
    assert judge(check, 1, log, NOW + 400).reset_ms == NOW + 1_400
    assert judge(check, 2, log, NOW + 400).reset_ms == NOW + 1_000


def test_what_is_taken_in_one_millisecond_is_one_entry() -> None:
    log = MovingLog()
    for _ in range(1_000):
        log.add(1, NOW, 1_000)
    log.add(1, NOW - 1, 1_000)
    assert log.held(NOW, 1_000) == 1_001
    assert len(list(log.entries())) == 2
