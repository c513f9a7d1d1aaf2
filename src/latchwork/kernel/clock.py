"""Time, as milliseconds since the epoch, from a source that tests can replace."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time; injected, so that nothing reads the wall clock behind a test's back."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than an earlier answer."""
        ...


class SteadyClock:
    """The wall clock, except that it never runs backwards.

    When the operator's clock is stepped back, time goes on from where it was: a window is not
    re-opened and an expired key stays expired.
    """

    __slots__ = ("_ahead_ns", "_last_ns")

    def __init__(self) -> None:
        self._ahead_ns = 0
        self._last_ns = 0

    def now_ms(self) -> int:
        now = time.time_ns() + self._ahead_ns
        if now < self._last_ns:
            self._ahead_ns += self._last_ns - now
            now = self._last_ns
        self._last_ns = now
        return now // 1_000_000


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
