"""The wall clock as it is told: never backwards, and never wrong for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.kernel.clock import SteadyClock

START_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


class Wall:
    """The operator's clock, set at will."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ms = START_MS
        patch.setattr("latchwork.kernel.clock.time_ns", lambda: self.ms * 1_000_000)


@given(steps=st.lists(st.integers(-2 * HOUR_MS, 2 * HOUR_MS) | st.integers(-20, 20), min_size=1, max_size=60))
def test_it_never_runs_backwards_and_never_behind_the_wall(steps: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        wall, clock = Wall(patch), SteadyClock()
        last_ms = clock.now_ms()
        for step_ms in steps:
            wall.ms += step_ms
            now_ms = clock.now_ms()
            assert now_ms >= max(last_ms, wall.ms)
            if step_ms > 0:
                assert now_ms - last_ms <= step_ms
            if step_ms < 0:
                assert now_ms == max(last_ms, wall.ms)
            last_ms = now_ms


@given(back_ms=st.integers(1, 2 * HOUR_MS), pace_ms=st.sampled_from([1, 7, 1_000, HOUR_MS]))
def test_it_goes_slower_until_the_wall_has_caught_up(back_ms: int, pace_ms: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        wall, clock = Wall(patch), SteadyClock()
        clock.now_ms()
        wall.ms -= back_ms
        clock.now_ms()
        for _ in range(1_000):
            wall.ms += pace_ms
            assert clock.now_ms() >= wall.ms
        elapsed_ms = 1_000 * pace_ms
        assert clock.now_ms() == wall.ms + max(0, back_ms - elapsed_ms // 8)
        wall.ms += 8 * back_ms
        assert clock.now_ms() == wall.ms
