"""How long a call may take in all, and when it may be made again."""

import random
import time
from collections.abc import Callable

from latchwork.client.errors import LatchworkError, NotSent, ServerFailed, Unanswered

_AGAIN = (502, 503, 504)
_LONGEST_PAUSE_S = 1.0


class Deadline:
    """A moment on a steady clock."""

    __slots__ = ("_at_s", "_now_s")

    def __init__(self, seconds: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._at_s = now_s() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 or less when it has passed."""
        return self._at_s - self._now_s()


class Attempts:
    """Counts the attempts of one call.

    What surely was not done is tried again, whatever it is. What may have been done is tried again only if
    the call is repeatable: nothing is ever spent, counted or made twice.
    """

    def __init__(self, deadline: Deadline, *, repeatable: bool, retries: int, backoff_s: float) -> None:
        self._deadline = deadline
        self._repeatable = repeatable
        self._left = retries
        self._backoff_s = backoff_s

    def pause_after(self, error: LatchworkError) -> float | None:
        """Seconds to wait before the next attempt; `None` when there is to be none."""
        if self._left == 0 or not self._may_repeat(error):
            return None
        self._left -= 1
        pause_s = self._backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, keeps no secret
        self._backoff_s = min(2 * self._backoff_s, _LONGEST_PAUSE_S)
        if isinstance(error, ServerFailed) and error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        return pause_s if pause_s < self._deadline.left_s else None

    def _may_repeat(self, error: LatchworkError) -> bool:
        if isinstance(error, NotSent):
            return True
        return self._repeatable and (
            isinstance(error, Unanswered) or (isinstance(error, ServerFailed) and error.status in _AGAIN)
        )
