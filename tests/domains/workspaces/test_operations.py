"""The monthly quota of operations where nobody can tell how many there were, and at the turn of a month."""

import asyncio

import pytest

from latchwork.domains.workspaces import Operations, following_month_ms, month_start_ms
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import TooManyRequests, Unavailable
from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.principal import Principal

JANUARY = 1_798_761_600_000  # 2027-01-01T00:00:00Z
FEBRUARY = 1_801_440_000_000


def caller(limit: int | None) -> Principal:
    return Principal("ws_1", "key_1", None, frozenset(), "192.0.2.1", "", "req_1", operations_per_month=limit)


class Recorded:
    """Remembers what it was asked; fails while it is told to."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.failing = False
        self.asked: list[tuple[int, int]] = []

    async def __call__(self, workspace_id: str, start_ms: int, end_ms: int) -> int:
        self.asked.append((start_ms, end_ms))
        await asyncio.sleep(0)
        if self.failing:
            raise Unavailable
        return self.count


async def test_who_has_no_quota_is_not_counted() -> None:
    recorded = Recorded()
    await Operations(recorded, ManualClock(JANUARY), Invalidations()).charge(caller(None))
    assert recorded.asked == []


async def test_what_was_recorded_is_asked_once_however_many_come_at_once() -> None:
    recorded = Recorded(4)
    operations = Operations(recorded, ManualClock(JANUARY + 5), Invalidations())
    outcomes = await asyncio.gather(
        *(operations.charge(caller(10)) for _ in range(20)), return_exceptions=True
    )
    assert recorded.asked == [(JANUARY, JANUARY + 6)]
    assert sum(outcome is None for outcome in outcomes) == 6
    assert all(outcome is None or isinstance(outcome, TooManyRequests) for outcome in outcomes)


async def test_while_nobody_can_tell_operations_pass() -> None:
    recorded = Recorded(10)
    recorded.failing = True
    operations = Operations(recorded, ManualClock(JANUARY), Invalidations())
    await operations.charge(caller(10))
    recorded.failing = False
    with pytest.raises(TooManyRequests) as refused:
        await operations.charge(caller(10))
    assert refused.value.retry_after_s == (FEBRUARY - JANUARY) // 1000


@pytest.mark.parametrize(
    ("time_ms", "start", "following"),
    [
        (JANUARY, JANUARY, FEBRUARY),
        (FEBRUARY - 1, JANUARY, FEBRUARY),
        (FEBRUARY, FEBRUARY, FEBRUARY + 28 * 86_400_000),
    ],
)
def test_where_a_month_begins_and_ends(time_ms: int, start: int, following: int) -> None:
    assert (month_start_ms(time_ms), following_month_ms(time_ms)) == (start, following)
