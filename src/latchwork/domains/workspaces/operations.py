"""The monthly quota of operations: verifications and limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from latchwork.domains.workspaces.rules import following_month_ms, month_start_ms
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault, TooManyRequests
from latchwork.kernel.invalidations import Invalidations, Tag
from latchwork.kernel.principal import Principal

Recorded = Callable[[str, int, int], Awaitable[int]]
"""How many operations of a workspace were recorded in [start, end), in milliseconds."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Month:
    start_ms: int = -1
    used: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Operations:
    """Counts operations of workspaces that have a quota of them, exactly within one process.

    What it does not know yet of a month it asks of analytics, which a crash may rob of the last moments.
    Workspaces without a quota are not counted.
    """

    def __init__(self, recorded: Recorded, clock: Clock, invalidations: Invalidations) -> None:
        self._recorded = recorded
        self._clock = clock
        self._months: dict[str, _Month] = {}
        invalidations.listen(self._forget)

    async def charge(self, who: Principal, count: int = 1) -> None:
        """Count `count` operations, all or none; raises `TooManyRequests` where the quota has no room for them.

        Lets them pass uncounted while nobody can tell how many there were.
        """
        limit = who.operations_per_month
        if limit is None:
            return
        now_ms = self._clock.now_ms()
        month = self._months.setdefault(who.workspace_id, _Month())
        async with month.lock:
            start_ms = month_start_ms(now_ms)
            if month.start_ms != start_ms:
                try:
                    month.used = await self._recorded(who.workspace_id, start_ms, now_ms + 1)
                except Fault as fault:
                    _log.warning("Operations of %s cannot be counted now: %s", who.workspace_id, fault)
                    return
                month.start_ms = start_ms
        if month.used + count > limit:
            retry_after_s = -(-(following_month_ms(now_ms) - now_ms) // 1000)
            raise TooManyRequests(
                f"This workspace may verify keys and check limits {limit} times a month, and has done so "
                f"{month.used} times.",
                retry_after_s=retry_after_s,
            )
        month.used += count

    def _forget(self, tags: Iterable[Tag]) -> None:
        """What was used while there was no quota was not counted here."""
        for kind, name in tags:
            if kind == "quotas":
                self._months.pop(str(name), None)
