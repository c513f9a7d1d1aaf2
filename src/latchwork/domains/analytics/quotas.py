"""How many queries a workspace may ask: in an hour, and at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from latchwork.domains.analytics.faults import QueryQuotaExceeded

_HOUR_MS = 3_600_000
_WAITING = 5


class Quotas:
    """Counts queries by workspace and hour; of one workspace one at a time is answered, a few others wait."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._hour = 0
        self._asked: dict[str, int] = {}
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    def count(self, workspace_id: str, now_ms: int) -> None:
        """Count a query; raises `QueryQuotaExceeded` for one too many in this hour."""
        hour = now_ms // _HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._asked.clear()
        asked = self._asked.get(workspace_id, 0)
        if asked >= self._per_hour:
            raise QueryQuotaExceeded(
                f"A workspace may ask {self._per_hour} queries in an hour.",
                retry_after_s=-(-((hour + 1) * _HOUR_MS - now_ms) // 1000),
            )
        self._asked[workspace_id] = asked + 1

    @asynccontextmanager
    async def turn(self, workspace_id: str) -> AsyncIterator[None]:
        """Wait for the workspace's turn; raises `QueryQuotaExceeded` when too many wait already."""
        lock, waiting = self._turns.get(workspace_id, (asyncio.Lock(), 0))
        if waiting >= _WAITING:
            raise QueryQuotaExceeded(f"A workspace may have {_WAITING} queries waiting at the same time.")
        self._turns[workspace_id] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            left = self._turns[workspace_id][1] - 1
            if left:
                self._turns[workspace_id] = lock, left
            else:
                del self._turns[workspace_id]
