"""The monthly quota of operations: verifications and limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from latchwork.domains.ratelimits import MOVING_WINDOW, LimitCheck, Tally, counter_key
from latchwork.domains.workspaces import following_month_ms, month_start_ms
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault, TooManyRequests
from latchwork.kernel.invalidations import Invalidations, Tag

Recorded = Callable[[str, int, int], Awaitable[int]]
"""How many operations of a workspace were recorded in [start, end), in milliseconds."""

_log = logging.getLogger(__name__)


_UNBOUNDED = 2**53 - 1
_TURN_MS = 10_000  # in which one node looks once at what was used before
_LOOK_S = 1.0  # for which that may keep whoever asks waiting


@dataclass(slots=True)
class _Past:
    """The month of which this node has seen to it that what was used before is counted."""

    start_ms: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Operations:
    """Counts operations of workspaces that have a quota of them, where their limits are counted: for all nodes.

    What counters may not know of a month, because there was no quota or they were lost, is asked of analytics,
    which a crash may rob of the last moments.
    """

    def __init__(self, recorded: Recorded, tally: Tally, clock: Clock, invalidations: Invalidations) -> None:
        self._recorded = recorded
        self._tally = tally
        self._clock = clock
        self._pasts: dict[str, _Past] = {}
        invalidations.listen(self._forget)

    async def charge(self, workspace_id: str, limit: int | None, count: int = 1) -> None:
        """Count `count` operations, all or none; raises `TooManyRequests` where `limit` has no room for them."""
        if limit is None:
            return
        now_ms = self._clock.now_ms()
        start_ms, end_ms = month_start_ms(now_ms), following_month_ms(now_ms)
        past = self._pasts.setdefault(workspace_id, _Past())
        if past.start_ms != start_ms:
            async with past.lock:
                if past.start_ms != start_ms and await self._catch_up(workspace_id, limit, now_ms):
                    past.start_ms = start_ms
        state = await self._tally.take_one(_check(workspace_id, start_ms, end_ms, limit, count), now_ms)
        if state.exceeded:
            raise TooManyRequests(
                f"This workspace may verify keys and check limits {limit} times a month. "
                f"There is no room for {count} more until the next month.",
                retry_after_s=-(-(end_ms - now_ms) // 1000),
            )

    async def _catch_up(self, workspace_id: str, limit: int, now_ms: int) -> bool:
        """Count what was recorded of this month and is not counted; whether that is certain now.

        One node does it at a time, or it would be counted twice.
        """
        start_ms, end_ms = month_start_ms(now_ms), following_month_ms(now_ms)
        turn = LimitCheck(
            counter_key(workspace_id, "quota", f"catch-up:{limit}"), 1, _TURN_MS, algorithm=MOVING_WINDOW
        )
        if (await self._tally.take_one(turn, now_ms)).exceeded:
            return False
        (found,) = await self._tally.peek([_check(workspace_id, start_ms, end_ms, _UNBOUNDED, 0)], now_ms)
        try:
            async with asyncio.timeout(_LOOK_S):
                recorded = await self._recorded(workspace_id, start_ms, now_ms + 1)
        except (Fault, TimeoutError) as error:
            _log.warning("Nobody can tell now what %s has used: %r", workspace_id, error)
            return False
        behind = recorded - (_UNBOUNDED - found.remaining)
        if behind > 0:
            await self._tally.take_one(_check(workspace_id, start_ms, end_ms, _UNBOUNDED, behind), now_ms)
        await self._tally.reset(_key(workspace_id, month_start_ms(start_ms - 1)))
        return True

    def _forget(self, tags: Iterable[Tag]) -> None:
        """What was used while there was no quota was not counted here."""
        for kind, name in tags:
            if kind == "quotas":
                self._pasts.pop(str(name), None)


def _key(workspace_id: str, start_ms: int) -> str:
    return counter_key(workspace_id, "quota", f"operations:{start_ms}")


def _check(workspace_id: str, start_ms: int, end_ms: int, limit: int, cost: int) -> LimitCheck:
    """Of the window from the epoch to the end of the month, which the month has for itself by its key."""
    return LimitCheck(_key(workspace_id, start_ms), limit, end_ms, cost)
