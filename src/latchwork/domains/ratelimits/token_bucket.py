"""The token bucket, told as the bucket of what was taken: it leaks `limit` per duration, evenly.

In any interval it admits at most `burst` plus what leaks meanwhile. The level is an integer in units of one
token divided by the duration in milliseconds, so that the bucket leaks `limit` units a millisecond and a cost
of 1 pours in `duration_ms` units: every step is exact.
"""

from latchwork.domains.ratelimits.records import LimitCheck, LimitState
from latchwork.domains.ratelimits.rules import refused


class Bucket:
    """What was taken from one counter and has not leaked yet."""

    __slots__ = ("_at_ms", "_level", "_limit", "matters_until_ms")

    def __init__(self) -> None:
        self._level = 0
        self._limit = 0
        self._at_ms = 0
        self.matters_until_ms = 0

    @classmethod
    def of(cls, level: int, at_ms: int, limit: int) -> "Bucket":
        """A bucket that stood at `level` at that moment, last filled under `limit`."""
        bucket = cls()
        if level:
            bucket.correct(level, at_ms, limit)
        return bucket

    def correct(self, level: int, at_ms: int, limit: int) -> None:
        """Make it what it was said to be elsewhere."""
        self._level, self._at_ms, self._limit = level, at_ms, limit
        self.matters_until_ms = at_ms + (_leaking_ms(level, limit) if level else 0)

    def numbers(self) -> tuple[int, int, int]:
        """The level, when that was, and the limit it was last filled under."""
        return self._level, self._at_ms, self._limit

    def pour(self, level: int, at_ms: int, limit: int) -> None:
        """Add what another bucket held, at a moment, under a limit."""
        now_ms = self.reached_ms(at_ms)
        other = Bucket.of(level, at_ms, limit)
        self.correct(self.held(limit, now_ms) + other.held(limit, now_ms), now_ms, limit)

    def held(self, limit: int, now_ms: int) -> int:
        """The level now. A clock that was set back finds it as it was: nothing leaks twice."""
        if now_ms >= self.matters_until_ms:
            return 0
        return max(0, self._level - limit * max(0, now_ms - self._at_ms))

    def reached_ms(self, now_ms: int) -> int:
        """The latest moment that the bucket has seen, now included."""
        return max(self._at_ms, now_ms)

    def add(self, check: LimitCheck, cost: int, now_ms: int) -> None:
        """Pour in `cost`, of a check whose limit is not 0."""
        self._level = self.held(check.limit, now_ms) + cost * check.duration_ms
        self._at_ms = self.reached_ms(now_ms)
        self._limit = check.limit
        self.matters_until_ms = self._at_ms + _leaking_ms(self._level, check.limit)


def judge(check: LimitCheck, cost: int, bucket: Bucket, now_ms: int) -> LimitState:
    """The state of a counter if `cost` were added to it now."""
    limit, duration_ms = check.limit, check.duration_ms
    capacity = check.capacity * duration_ms
    held = bucket.held(limit, now_ms)
    surplus = held + cost * duration_ms - capacity
    base_ms = bucket.reached_ms(now_ms)
    if surplus <= 0:
        reset_ms = base_ms + _leaking_ms(surplus + capacity, limit) if surplus + capacity else now_ms
        return LimitState(False, -surplus // duration_ms, reset_ms)
    waiting_helps = limit > 0 and cost * duration_ms <= capacity
    retry_ms = base_ms + _leaking_ms(surplus, limit) if waiting_helps else None
    reset_ms = base_ms + _leaking_ms(held, limit) if limit else now_ms + duration_ms
    return refused(check, reset_ms, retry_ms)


def _leaking_ms(level: int, limit: int) -> int:
    """How long `level` takes to leak, in whole milliseconds, rounded up."""
    return -(-level // limit)
