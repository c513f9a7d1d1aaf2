"""An event loop without a clock or sockets: time is the next thing to happen, and hosts can stop or end."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_HOST: "ContextVar[Host | None]" = ContextVar("host", default=None)


class Host:
    """A process: what it does while it is stopped waits, and nothing happens any more once it has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_stopped = False
        self.held: list[Handle] = []
        self.context: Context = copy_context()
        self.context.run(_HOST.set, self)

    @property
    def is_running(self) -> bool:
        return self.is_alive and not self.is_stopped


def host_now() -> "Host | None":
    """The process in which this runs; `None` is the world around all of them."""
    return _HOST.get()


class Dialling(Protocol):
    """Makes connections of the `asyncio` kind."""

    async def connection(
        self, protocol: asyncio.Protocol, service: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]: ...


class Handle:
    """What will be done: asyncio's own would be most of what a course of events costs."""

    __slots__ = ("_at_s", "args", "callback", "context")

    def __init__(
        self, at_s: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._at_s = at_s
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context

    def cancel(self) -> None:
        """It will not be done."""
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        """Whether it will not be done."""
        return self.callback is None

    def when(self) -> float:
        """The time for it."""
        return self._at_s


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, then moves on to when the next thing is due. Two runs of the same do the same."""

    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 1_000.0
        self._soon: deque[Handle] = deque()
        self._later: list[tuple[float, int, Handle]] = []
        self._number = 0  # of what is due at the same time, the first to be asked for comes first
        self.dialling: Dialling | None = None
        self.tasks: list[asyncio.Task[Any]] = []

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None) -> Any:
        """As ever; those of a process that has ended are kept, for what collects garbage keeps no time."""
        task = asyncio.Task(coro, loop=self, name="", context=context)
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
        self._soon.clear()
        self._later.clear()

    def time(self) -> float:
        return self._now_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(self._now_s, callback, args, context)
        self._soon.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(when, callback, args, context)
        self._number += 1
        heappush(self._later, (when, self._number, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, **_options: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        assert self.dialling is not None
        return await self.dialling.connection(protocol_factory(), host)

    def _run_once(self) -> None:
        soon, later = self._soon, self._later
        while not self._stopping:
            while soon:
                handle = soon.popleft()
                if handle.callback is not None:
                    self._run(handle)
            if self._stopping:
                break
            assert later, "everything waits for something that nobody will do"
            when, _, handle = heappop(later)
            if handle.callback is not None:
                if when > self._now_s:
                    self._now_s = when
                self._run(handle)

    def _run(self, handle: Handle) -> None:
        host = handle.context.get(_HOST)
        if host is not None and (host.is_stopped or not host.is_alive):
            if host.is_alive:
                host.held.append(handle)
            return
        try:
            handle.context.run(handle.callback, *handle.args)  # type: ignore[arg-type]
        except Exception as error:
            self.call_exception_handler({"message": "a callback failed", "exception": error})

    def wake(self, host: Host) -> None:
        """Let a stopped process go on."""
        host.is_stopped = False
        self._soon.extend(host.held)
        host.held.clear()

    def spawn(self, host: Host | None, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begin something in a process."""
        task: asyncio.Task[T] = self.create_task(
            work, context=(copy_context() if host is None else host.context).copy()
        )
        return task

    def _write_to_self(self) -> None:
        """Nobody else has to be woken: there is one thread."""
