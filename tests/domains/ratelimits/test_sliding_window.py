"""The two-window formula, bit for bit."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latchwork.domains.ratelimits import LimitCheck
from latchwork.domains.ratelimits.sliding_window import carried, judge, weight

START = 1_700_000_040_000  # begins a window of 60 s, 10 s and 1 s

durations = st.sampled_from([1, 3, 7, 1_000, 1_001, 60_000, 86_400_000, 2_592_000_000])
counts = st.integers(0, 20) | st.integers(0, 10_000) | st.integers(0, 2**62)


def rounded_once(exact: Fraction) -> Fraction:
    """The IEEE double nearest to an exact number."""
    return Fraction(float(exact))


def carried_by_the_book(previous: int, into_ms: int, duration_ms: int) -> int:
    """Each operation exactly, then rounded to a double, in the order of the contract."""
    elapsed = rounded_once(Fraction(into_ms, duration_ms))
    product = rounded_once(rounded_once(Fraction(previous)) * rounded_once(1 - elapsed))
    return product.numerator // product.denominator


@given(previous=counts, duration_ms=durations, data=st.data())
def test_the_product_is_that_of_doubles_in_the_order_of_the_contract(
    previous: int, duration_ms: int, data: st.DataObject
) -> None:
    into_ms = data.draw(st.integers(0, duration_ms - 1))
    assert carried(previous, weight(into_ms, duration_ms)) == carried_by_the_book(
        previous, into_ms, duration_ms
    )


@given(previous=st.integers(0, 2**50), duration_ms=durations, data=st.data())
@example(previous=5, duration_ms=1000, data=None)
def test_doubles_differ_from_exact_arithmetic_by_one_at_most(
    previous: int, duration_ms: int, data: st.DataObject | None
) -> None:
    into_ms = 800 if data is None else data.draw(st.integers(0, duration_ms - 1))
    exact = previous * (duration_ms - into_ms) // duration_ms
    assert carried(previous, weight(into_ms, duration_ms)) in (exact - 1, exact, exact + 1)


def test_integer_arithmetic_would_be_one_higher() -> None:
    assert carried(5, weight(800, 1000)) == 0
    assert 5 * 200 // 1000 == 1


@pytest.mark.parametrize(
    ("limit", "previous", "current", "cost", "into_ms", "fits", "remaining"),
    [
        (10, 0, 0, 1, 0, True, 9),
        (10, 0, 9, 1, 0, True, 0),
        (10, 0, 10, 1, 0, False, 0),
        (10, 10, 0, 1, 0, False, 0),  # just after the turn the whole previous window still weighs
        (10, 10, 0, 1, 6_000, True, 0),
        (10, 10, 0, 1, 5_999, True, 0),  # 9.0002 is truncated
        (10, 10, 4, 1, 30_000, True, 0),
        (10, 10, 5, 1, 30_000, False, 0),
        (10, 10, 4, 2, 30_000, False, 0),
        (10, 10, 0, 1, 59_999, True, 9),
        (10, 0, 10, 0, 0, True, 0),  # a look at a full counter
        (10, 0, 11, 0, 0, False, 0),  # the limit was lowered meanwhile
        (10, 0, 0, 10, 0, True, 0),
        (10, 0, 0, 11, 0, False, 0),
        (0, 0, 0, 1, 0, False, 0),
        (0, 0, 0, 0, 0, True, 0),
    ],
)
def test_what_fits(
    limit: int, previous: int, current: int, cost: int, into_ms: int, fits: bool, remaining: int
) -> None:
    state = judge(LimitCheck("k", limit, 60_000), cost, previous, current, START + into_ms)
    assert (state.exceeded, state.would_exceed) == (not fits, not fits)
    assert (state.remaining, state.reset_ms) == (remaining, START + 60_000)


def test_a_cost_above_the_limit_never_fits() -> None:
    assert judge(LimitCheck("k", 10, 60_000), 11, 0, 0, START).retry_ms is None
    assert judge(LimitCheck("k", 0, 60_000), 1, 0, 0, START).retry_ms is None


small = st.integers(0, 30)


@given(
    limit=st.integers(0, 20), previous=small, current=small, cost=st.integers(0, 20),
    duration_ms=st.sampled_from([5, 7, 40]), into_ms=st.integers(0, 39),
)  # fmt: skip
def test_it_fits_at_the_promised_moment_and_at_none_before(
    limit: int, previous: int, current: int, cost: int, duration_ms: int, into_ms: int
) -> None:
    start_ms = 1_000 * duration_ms
    now_ms = start_ms + into_ms % duration_ms
    check = LimitCheck("k", limit, duration_ms)
    windows = {1_000: previous, 1_001: current}  # by sequence, counted from the one after `start_ms`

    def fits(at_ms: int) -> bool:
        sequence = at_ms // duration_ms + 1
        before, inside = windows.get(sequence - 1, 0), windows.get(sequence, 0)
        return not judge(check, cost, before, inside, at_ms).would_exceed

    retry_ms = judge(check, cost, previous, current, now_ms).retry_ms
    moments = (at_ms for at_ms in range(now_ms, start_ms + 4 * duration_ms) if fits(at_ms))
    first = next(moments, None)
    assert retry_ms == (0 if first == now_ms else first)


@given(previous=st.integers(1, 2**62), duration_ms=durations, data=st.data())
def test_the_promised_moment_is_right_for_large_numbers(
    previous: int, duration_ms: int, data: st.DataObject
) -> None:
    limit = data.draw(st.integers(1, previous))
    check = LimitCheck("k", limit, duration_ms)
    start_ms = 1_000 * duration_ms
    retry_ms = judge(check, 1, previous, 0, start_ms).retry_ms
    if retry_ms:
        assert start_ms < retry_ms <= start_ms + duration_ms
        assert judge(check, 1, previous, 0, retry_ms - 1).would_exceed
    if retry_ms and retry_ms < start_ms + duration_ms:
        assert not judge(check, 1, previous, 0, retry_ms).would_exceed
