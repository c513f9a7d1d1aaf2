"""Workers: several processes that serve on one socket, kept running by one that does nothing else."""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
_GRACE_S = 30.0
"""How long a worker may take to finish what it has begun before it is killed."""
_STARTING_S = 120.0
_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


class WorkerFailed(Exception):
    """The first worker could not start and has said why; `code` is its exit status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The first worker ended with status {code}.")
        self.code = code


class Workers:
    """Starts `count` processes, starts again those that end unasked, and ends them all.

    A worker is `command(number)`, which inherits `listener`, writes a line to its standard output when it is
    ready, finishes on SIGTERM, and also when its standard input ends, so that none outlives this process.
    """

    def __init__(
        self, command: Callable[[int], Sequence[str]], count: int, listener: int, *, grace_s: float = _GRACE_S
    ) -> None:
        self._command = command
        self._listener = listener
        self._grace_s = grace_s
        self._workers = [_Worker(self, number) for number in range(count)]
        self._stopping = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP starts every worker anew, one after the other.

        `on_ready` gets the line of the first worker when all are ready. The first starts alone, as it may have
        a database to prepare. Raises `WorkerFailed`.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._restart)
        first, *others = self._workers
        try:
            line = await self._unless_stopped(first.start())
            if line is None:
                return
            if not line:
                raise WorkerFailed(await first.ended())
            await self._unless_stopped(asyncio.gather(*(each.start() for each in others)))
            if not self._stopping.is_set():
                on_ready(line)
            await self._keep()
        finally:
            await asyncio.gather(*(each.stop(self._grace_s) for each in self._workers))

    async def _keep(self) -> None:
        keeping = [asyncio.ensure_future(each.keep()) for each in self._workers]
        await self._stopping.wait()
        if self._restarting is not None:
            keeping.append(self._restarting)
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What `work` comes to, or `None` when this process is told to stop before that."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not working.done():
            working.cancel()
            return None
        return working.result()

    def _restart(self) -> None:
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.ensure_future(self._restart_all())

    async def _restart_all(self) -> None:
        for each in self._workers:
            await each.renew(self._grace_s)
        _log.info("Every worker was started anew.")

    async def spawn(self, number: int) -> Process:
        """The process of a worker, starting."""
        return await asyncio.create_subprocess_exec(
            *self._command(number), stdin=PIPE, stdout=PIPE, pass_fds=[self._listener]
        )


class _Worker:
    """One of them: the process that it is now, and whether that was told to end."""

    def __init__(self, workers: Workers, number: int) -> None:
        self._workers = workers
        self._number = number
        self._process: Process | None = None
        self._renewed = asyncio.Event()
        self._is_renewing = False

    async def start(self) -> str:
        """Start and wait until it is ready: the line that it said, empty if it ended instead."""
        self._process = process = await self._workers.spawn(self._number)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_STARTING_S):
                return (await process.stdout.readline()).decode()
        except TimeoutError:
            _log.warning("Worker %d did not become ready in %.0f s.", self._number, _STARTING_S)
            process.kill()
            return ""

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def keep(self) -> None:
        """Start it again whenever it ends."""
        pause_s = _PAUSE_S
        while True:
            code = await self.ended()
            if self._is_renewing:
                self._is_renewing = False
            else:
                _log.warning("Worker %d ended with status %d and is started again.", self._number, code)
                await asyncio.sleep(pause_s)
            pause_s = _PAUSE_S if await self.start() else min(2 * pause_s, _LONGEST_PAUSE_S)
            self._renewed.set()

    async def renew(self, grace_s: float) -> None:
        """Have it finish, and start it anew; returns when it is ready."""
        self._renewed.clear()
        self._is_renewing = True
        await self.stop(grace_s)
        await self._renewed.wait()

    async def stop(self, grace_s: float) -> None:
        """Have it finish within so many seconds, else kill it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            _log.warning("Worker %d did not finish in %.0f s and is killed.", self._number, grace_s)
            process.kill()
            await process.wait()


def call_when_orphaned(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call `stop` when the process that started this worker is gone: standard input ends."""
    source = sys.stdin.fileno()

    def look() -> None:
        if not os.read(source, 1024):
            loop.remove_reader(source)
            stop()

    loop.add_reader(source, look)
