"""What is done about portals while nobody waits: sessions that have expired are swept away."""

import asyncio
import logging
from contextlib import suppress

from latchwork.domains.portals.sessions import Sessions
from latchwork.kernel.faults import Unavailable

_PAUSE_S = 600.0

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps at its start and every ten minutes. Nothing depends on it: an expired session is refused anyway."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    async def stop(self) -> None:
        """Stop; what is left is swept after the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> int:
        """Sweep all there is, in steps that leave room for others; how many there were."""
        swept = 0
        while step := await self._sessions.sweep():
            swept += step
        return swept

    async def _keep_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable as fault:
                _log.warning("Expired portal sessions could not be swept: %s", fault.private)
            await asyncio.sleep(_PAUSE_S)
