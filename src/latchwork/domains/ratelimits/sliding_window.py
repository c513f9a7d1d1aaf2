"""The sliding window: this window's count, and the part of the previous window that still weighs.

Windows are aligned to the epoch. How they are weighed is part of the wire contract to the last bit: IEEE
doubles, `previous * (1.0 - into / duration)` in exactly this order, then truncated.
"""

from latchwork.domains.ratelimits.records import LimitCheck, LimitState
from latchwork.domains.ratelimits.rules import refused


def weight(into_ms: int, duration_ms: int) -> float:
    """How much the previous window weighs, `into_ms` after this one began: from 1 down to almost 0."""
    return 1.0 - into_ms / duration_ms


def carried(previous: int, weight: float) -> int:
    """How much of the `previous` window's count counts in this one."""
    return int(previous * weight)


def judge(check: LimitCheck, cost: int, previous: int, current: int, now_ms: int) -> LimitState:
    """The state of a counter if `cost` were added to it now."""
    into_ms = now_ms % check.duration_ms
    end_ms = now_ms - into_ms + check.duration_ms
    used = current + cost + carried(previous, weight(into_ms, check.duration_ms))
    if used <= check.limit:
        return LimitState(False, check.limit - used, end_ms)
    return refused(check, end_ms, _retry_ms(check, cost, previous, current, end_ms))


def _retry_ms(check: LimitCheck, cost: int, previous: int, current: int, end_ms: int) -> int | None:
    if cost > check.limit:
        return None
    duration_ms = check.duration_ms
    room = check.limit - cost
    if current <= room:
        faded_ms = _faded_ms(previous, room - current, duration_ms)
        if faded_ms < duration_ms:
            return end_ms - duration_ms + faded_ms
    return end_ms + _faded_ms(current, room, duration_ms)


def _faded_ms(previous: int, room: int, duration_ms: int) -> int:
    """The first moment of a window at which at most `room` is carried into it; its length if none."""
    if previous <= room:
        return 0
    into_ms = int(duration_ms * (1.0 - (room + 1) / previous))  # not later than it, and earlier by 2 at most
    while into_ms < duration_ms and carried(previous, weight(into_ms, duration_ms)) > room:
        into_ms += 1
    return into_ms
