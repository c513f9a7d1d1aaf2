"""Keeping: doing what is due at its time, for as long as the process runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from latchwork.kernel.faults import Fault

_log = logging.getLogger(__name__)
LONGEST_WAIT_MS = 60_000
"""A clock that was set is noticed within a minute."""
_PATIENCE_S = 1  # after a failure


class Keeping:
    """Calls `sweep` when it is opened and then whenever `wait_ms` have passed, or `sooner`.

    A sweep that fails is tried again; `what` says in the log what that puts off.
    """

    def __init__(self, what: str, sweep: Callable[[], Awaitable[object]], wait_ms: Callable[[], int]) -> None:
        self._what = what
        self._sweep = sweep
        self._wait_ms = wait_ms
        self._sooner = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Sweep what became due while nobody ran, and go on sweeping."""
        await self._sweep()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Stop; the next start sweeps what becomes due meanwhile."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def sooner(self) -> None:
        """Sweep now, for something is due sooner than was known."""
        self._sooner.set()

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._sooner.wait()
            self._sooner.clear()
            try:
                await self._sweep()
            except Fault as fault:
                _log.warning("%s are put off: %s", self._what, fault.private)
                await asyncio.sleep(_PATIENCE_S)
                self._sooner.set()

    def _wait_s(self) -> float:
        return min(max(1, self._wait_ms()), LONGEST_WAIT_MS) / 1000
