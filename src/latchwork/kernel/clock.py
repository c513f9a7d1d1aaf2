"""Time, as milliseconds since the epoch, from a source that tests can replace."""

from time import time_ns
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

    __slots__ = ("_ahead_ms", "_last_ms")

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._last_ms = 0

    def now_ms(self) -> int:
        now = time_ns() // 1_000_000 + self._ahead_ms
        if now < self._last_ms:
            self._ahead_ms += self._last_ms - now
            now = self._last_ms
        self._last_ms = now
        return now


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
