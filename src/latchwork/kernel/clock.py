"""Time, as milliseconds since the epoch, from a source that tests can replace."""

from time import time_ns
from typing import Protocol


class Clock(Protocol):
    """Tells the time; injected, so that nothing reads the wall clock behind a test's back."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than an earlier answer."""
        ...


_SLOWER = 8


class SteadyClock:
    """The wall clock, except that it never runs backwards.

    When the operator's clock is stepped back, time goes on from where it was, and an eighth slower until the wall
    clock has caught up: a window is not re-opened, an expired key stays expired, and a clock that was wrong for a
    while is not wrong for ever.
    """

    __slots__ = ("_ahead_ms", "_since_ms", "_wall_ms")

    def __init__(self) -> None:
        self._wall_ms = 0
        self._since_ms = 0  # when the wall clock was last stepped back, by itself
        self._ahead_ms = 0  # by how much this one was ahead of it then

    def now_ms(self) -> int:
        wall_ms = time_ns() // 1_000_000
        if wall_ms < self._wall_ms:
            self._ahead_ms += self._wall_ms - wall_ms - (self._wall_ms - self._since_ms) // _SLOWER
            self._ahead_ms = max(self._ahead_ms, self._wall_ms - wall_ms)
            self._since_ms = wall_ms
        self._wall_ms = wall_ms
        if not self._ahead_ms:
            return wall_ms
        ahead_ms = self._ahead_ms - (wall_ms - self._since_ms) // _SLOWER
        if ahead_ms <= 0:
            self._ahead_ms = 0
            return wall_ms
        return wall_ms + ahead_ms


class ManualClock:
    """A clock that moves only when told to."""

    __slots__ = ("_now_ms",)

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, duration_ms: int) -> None:
        """Move forward by `duration_ms`."""
        self._now_ms += duration_ms

    def set(self, now_ms: int) -> None:
        """Jump to `now_ms`."""
        self._now_ms = now_ms
