"""The monthly quota of operations where nobody can tell how many there were, and at the turn of a month."""

import asyncio

import pytest

from latchwork.adapters.memory import MemoryCounters
from latchwork.domains.ratelimits import LocalTally
from latchwork.domains.verification import Operations
from latchwork.domains.workspaces import following_month_ms, month_start_ms
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import TooManyRequests, Unavailable
from latchwork.kernel.invalidations import Invalidations

JANUARY = 1_798_761_600_000  # 2027-01-01T00:00:00Z
FEBRUARY = 1_801_440_000_000


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


def node(recorded: Recorded, clock: ManualClock, tally: LocalTally | None = None) -> Operations:
    """One that shares its counters with those that are given the same."""
    return Operations(recorded, tally or LocalTally(MemoryCounters()), clock, Invalidations())


async def test_who_has_no_quota_is_not_counted() -> None:
    recorded = Recorded()
    await node(recorded, ManualClock(JANUARY)).charge("ws_1", None)
    assert recorded.asked == []


async def test_what_was_recorded_is_asked_once_however_many_come_at_once() -> None:
    recorded = Recorded(4)
    operations = node(recorded, ManualClock(JANUARY + 5))
    outcomes = await asyncio.gather(
        *(operations.charge("ws_1", 10) for _ in range(20)), return_exceptions=True
    )
    assert recorded.asked == [(JANUARY, JANUARY + 6)]
    assert sum(outcome is None for outcome in outcomes) == 6
    assert all(outcome is None or isinstance(outcome, TooManyRequests) for outcome in outcomes)


async def test_what_was_recorded_is_counted_once_by_nodes_that_begin_together() -> None:
    recorded, clock, tally = Recorded(4), ManualClock(JANUARY + 5), LocalTally(MemoryCounters())
    one, other = node(recorded, clock, tally), node(recorded, clock, tally)
    await asyncio.gather(one.charge("ws_1", 10), other.charge("ws_1", 10))
    clock.advance(10_000)
    for _ in range(4):
        await other.charge("ws_1", 10)
    with pytest.raises(TooManyRequests):
        await one.charge("ws_1", 10)


async def test_while_nobody_can_tell_what_was_used_operations_pass() -> None:
    recorded, clock = Recorded(10), ManualClock(JANUARY)
    recorded.failing = True
    operations = node(recorded, clock)
    await operations.charge("ws_1", 10)
    await operations.charge("ws_1", 10)
    assert len(recorded.asked) == 1  # a question that fails may take its time
    recorded.failing = False
    clock.advance(10_000)
    with pytest.raises(TooManyRequests) as refused:
        await operations.charge("ws_1", 10)
    assert refused.value.retry_after_s == (FEBRUARY - JANUARY) // 1000 - 10


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
