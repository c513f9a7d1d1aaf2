"""An event loop without a clock or sockets: time is the next thing to happen, and hosts can stop or end."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heappop
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_HOST: "ContextVar[Host | None]" = ContextVar("host", default=None)


class Host:
    """A process: what it does while it is stopped waits, and nothing happens any more once it has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_stopped = False
        self.held: list[asyncio.Handle] = []
        self.context: Context = copy_context()
        self.context.run(_HOST.set, self)


def host_now() -> "Host | None":
    """The process in which this runs; `None` is the world around all of them."""
    return _HOST.get()


class Dialling(Protocol):
    """Makes connections of the `asyncio` kind."""

    async def connection(
        self, protocol: asyncio.Protocol, service: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]: ...


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, then moves on to when the next thing is due. Two runs of the same do the same."""

    _ready: Any
    _scheduled: Any
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1_000.0
        self.dialling: Dialling | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """As ever; those of a process that has ended are kept, for what collects garbage keeps no time."""
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        self.tasks.append(task)
        return task

    def bury(self) -> None:
        """Let go of everything, in whatever state it is; nothing is run any more."""
        self.set_exception_handler(lambda _loop, _context: None)
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            if not task.done():
                with suppress(BaseException):
                    task.get_coro().close()
        self.close()
        self.tasks.clear()

    def time(self) -> float:
        return self._now_s

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, **_options: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        assert self.dialling is not None
        return await self.dialling.connection(protocol_factory(), host)

    def _run_once(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        if not ready:
            assert scheduled, "everything waits for something that nobody will do"
            self._now_s = max(self._now_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now_s:
            ready.append(_popped(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            host = handle._context.get(_HOST)
            if host is not None and host.is_stopped:
                host.held.append(handle)
            elif host is None or host.is_alive:
                handle._run()

    def wake(self, host: Host) -> None:
        """Let a stopped process go on."""
        host.is_stopped = False
        self._ready.extend(host.held)
        host.held.clear()

    def spawn(self, host: Host | None, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin something in a process."""
        return self.create_task(work, context=(copy_context() if host is None else host.context).copy())

    def _write_to_self(self) -> None:
        """Nobody else has to be woken: there is one thread."""


def _popped(scheduled: Any) -> asyncio.TimerHandle:
    handle: asyncio.TimerHandle = heappop(scheduled)
    handle._scheduled = False  # type: ignore[attr-defined]
    return handle
