"""The moving window: a log of what was taken, exact in every interval of the duration.

What was taken at `t` counts in `[t, t + duration)`. The log has one entry for each millisecond in which
something was taken, so it never holds more entries than the limit or than the duration has milliseconds.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from latchwork.domains.ratelimits.records import LimitCheck, LimitState
from latchwork.domains.ratelimits.rules import refused


class Log(Protocol):
    """What has to be known of a log to judge by it: see `MovingLog`."""

    matters_until_ms: int

    def held(self, now_ms: int, duration_ms: int) -> int: ...

    def freed_ms(self, surplus: int, now_ms: int, duration_ms: int) -> int: ...


class MovingLog:
    """What was taken from one counter, and when."""

    __slots__ = ("_costs", "_times_ms", "_total", "matters_until_ms")

    def __init__(self) -> None:
        self._times_ms: deque[int] = deque()
        self._costs: deque[int] = deque()
        self._total = 0
        self.matters_until_ms = 0

    def held(self, now_ms: int, duration_ms: int) -> int:
        """How much was taken within `duration_ms` of now.

        A clock that was set back finds entries ahead of it: the near ones count too, which refuses more
        than is needed but never admits too much.
        """
        times_ms, costs = self._times_ms, self._costs
        if times_ms and times_ms[-1] > now_ms:
            return sum(cost for _, cost in self._near(now_ms, duration_ms))
        while times_ms and times_ms[0] <= now_ms - duration_ms:
            times_ms.popleft()
            self._total -= costs.popleft()
        return self._total

    def add(self, cost: int, now_ms: int, duration_ms: int) -> None:
        """Note that `cost` was taken now."""
        times_ms, costs = self._times_ms, self._costs
        at = len(times_ms)
        if times_ms and times_ms[-1] >= now_ms:
            at = bisect_left(times_ms, now_ms)
        if at < len(times_ms) and times_ms[at] == now_ms:
            costs[at] += cost
        else:
            times_ms.insert(at, now_ms)
            costs.insert(at, cost)
        self._total += cost
        self.matters_until_ms = times_ms[-1] + duration_ms

    def correct(self, held: int, last_ms: int, now_ms: int, duration_ms: int) -> None:
        """Make it hold what it was said to hold elsewhere.

        What it did not know of was taken at `last_ms` at the latest, so is entered there; what it holds too
        much is older than it thought.
        """
        surplus = self.held(now_ms, duration_ms) - held
        if surplus < 0:
            self.add(-surplus, last_ms, duration_ms)
        while surplus > 0:
            gone = min(surplus, self._costs[0])
            self._costs[0] -= gone
            self._total -= gone
            surplus -= gone
            if not self._costs[0]:
                self._times_ms.popleft()
                self._costs.popleft()

    def freed_ms(self, surplus: int, now_ms: int, duration_ms: int) -> int:
        """When entries worth `surplus`, which is no more than `held`, will have left."""
        oldest_first = self._near(now_ms, duration_ms)
        time_ms = now_ms
        while surplus > 0:
            time_ms, cost = next(oldest_first)
            surplus -= cost
        return time_ms + duration_ms

    def entries(self) -> Iterator[tuple[int, int]]:
        """When something was taken, and how much, in order of time."""
        return zip(self._times_ms, self._costs, strict=True)

    def _near(self, now_ms: int, duration_ms: int) -> Iterator[tuple[int, int]]:
        for time_ms, cost in self.entries():
            if abs(time_ms - now_ms) < duration_ms:
                yield time_ms, cost


def judge(check: LimitCheck, cost: int, log: Log, now_ms: int) -> LimitState:
    """The state of a counter if `cost` were added to it now."""
    duration_ms = check.duration_ms
    used = log.held(now_ms, duration_ms) + cost
    reset_ms = max(now_ms, log.matters_until_ms)
    if used <= check.limit:
        if cost:
            reset_ms = max(reset_ms, now_ms + duration_ms)
        return LimitState(False, check.limit - used, reset_ms)
    retry_ms = None if cost > check.limit else log.freed_ms(used - check.limit, now_ms, duration_ms)
    return refused(check, reset_ms, retry_ms)
