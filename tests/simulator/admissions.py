"""What shared counters admitted, held against the definition of each algorithm, over the log of admitted calls."""

from latchwork.domains.ratelimits import MOVING_WINDOW, SLIDING_WINDOW, Counter, LimitCheck
from tests.simulator.violation import Violation


class Admissions:
    """Every call that the shared counters admitted, by counter; knows nothing of what nodes admitted alone."""

    def __init__(self) -> None:
        self._logs: dict[Counter, list[tuple[int, int]]] = {}
        self._levels: dict[Counter, tuple[int, int]] = {}

    def forget(self) -> None:
        """Counts were lost, and what comes after is not held against what came before."""
        self._logs.clear()
        self._levels.clear()

    def took(self, check: LimitCheck, now_ms: int) -> None:
        """The cost of `check` was taken; raises `Violation` where that was too much."""
        duration_ms = check.duration_ms
        if check.algorithm == SLIDING_WINDOW:
            start_ms = now_ms - now_ms % duration_ms
            log = self._logged(check, now_ms, start_ms - duration_ms)
            now = sum(cost for at_ms, cost in log if at_ms >= start_ms)
            before = sum(cost for at_ms, cost in log if at_ms < start_ms)
            used = now + int(before * (1.0 - (now_ms - start_ms) / duration_ms))
        elif check.algorithm == MOVING_WINDOW:
            used = sum(cost for _, cost in self._logged(check, now_ms, now_ms - duration_ms + 1))
        else:
            level, at_ms = self._levels.get(check.counter, (0, now_ms))
            level = max(0, level - check.limit * (now_ms - at_ms)) + check.cost * duration_ms
            self._levels[check.counter] = (level, now_ms)
            used = -(-level // duration_ms)
        if used > check.capacity:
            raise Violation(
                f"{used} of {check.capacity} were admitted by {check.algorithm} of {duration_ms} ms"
            )

    def _logged(self, check: LimitCheck, now_ms: int, from_ms: int) -> list[tuple[int, int]]:
        log = [each for each in self._logs.get(check.counter, ()) if each[0] >= from_ms]
        self._logs[check.counter] = [*log, (now_ms, check.cost)]
        return self._logs[check.counter]
