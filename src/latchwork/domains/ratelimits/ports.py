"""What rate limits need from a technology: counters."""

from collections.abc import Sequence
from typing import Protocol

from latchwork.domains.ratelimits.records import Algorithm, LimitCheck, LimitState


class Counters(Protocol):
    """Counts what is taken. Every verb is one atomic step; times are milliseconds since the epoch.

    A check that does not fit takes nothing. Checks in shadow mode are counted each for itself, whatever
    becomes of the others: their counters stand where they would if they alone were enforced.
    """

    def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """Take the cost of `check` if it fits."""
        ...

    def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """Take the costs of all enforced checks if every one of them fits, else of none.

        Answers in the order of `checks`. Checks of the same counter count against each other, in that
        order. Where one does not fit, those that do answer with `remaining` as if their own cost had not
        been taken.
        """
        ...

    def peek(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """What `take` would answer; takes nothing."""
        ...

    def reset(self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None) -> None:
        """Forget what was taken from the counters of `key`: of all, or of one algorithm or duration."""
        ...
