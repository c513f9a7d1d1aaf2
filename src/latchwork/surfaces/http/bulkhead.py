"""How much is served at once: decisions up to a ceiling, administration in a bounded queue that is fair to workspaces.

What is more than that is refused at once, before it costs anything: a server that takes in more than it can
serve answers nobody.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from latchwork.kernel.faults import Unavailable

PATIENCE_S = 10.0
"""How long a request may wait for a place: whoever waited longer has hardly anybody left who wants the answer."""


class Overloaded(Unavailable):
    """More is asked at the same time than the server takes in; nothing of this request was done.

    Where administration is asked too much, verifications and limits go on.
    """

    code = "unkey/application/overloaded"
    default_detail = "The server has too much to do right now. Nothing was done; please try again."
    remedy = "Send the request again after the seconds that `Retry-After` says, and fewer at the same time."


class Ceiling:
    """So many at the same time and no more; `with` it raises `Overloaded` beyond."""

    __slots__ = ("_most", "inside")

    def __init__(self, most: int) -> None:
        self._most = most
        self.inside = 0
        """How many there are now; what is counted by hand is taken off by hand."""

    @property
    def is_reached(self) -> bool:
        return self.inside >= self._most

    def __enter__(self) -> None:
        if self.inside >= self._most:
            raise Overloaded
        self.inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inside -= 1


class Bulkhead:
    """Places for what is served, and a queue for them in which workspaces take turns.

    One workspace holds at most three quarters of the places. When the queue is full, whoever came last of the
    workspace that waits with the most gives way, so that no flood of one keeps another from coming in.
    """

    def __init__(self, places: int, queue: int, *, patience_s: float = PATIENCE_S) -> None:
        self._free = places
        self._share = places - places // 4
        self._room = queue
        self._patience_s = patience_s
        self._held: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._length = 0
        self.arrivals = Ceiling(places + queue)
        """For those of whom it is not known yet whose they are."""

    @asynccontextmanager
    async def place(self, workspace_id: str) -> AsyncIterator[None]:
        """Hold a place for the block; raises `Overloaded` where there is none to be had."""
        if self._free and self._may_hold(workspace_id) and workspace_id not in self._waiting:
            self._take(workspace_id)
        else:
            await self._wait(workspace_id)
        try:
            yield
        finally:
            self._leave(workspace_id)

    def turns_away(self, workspace_id: str) -> bool:
        """Whether a request of that workspace would find neither a place nor room in the queue."""
        if self._length < self._room:
            return False
        if self._free and self._may_hold(workspace_id) and workspace_id not in self._waiting:
            return False
        return len(self._waiting.get(workspace_id, ())) + 1 >= len(self._waiting.get(self._longest(), ()))

    def _longest(self) -> str:
        """The workspace that waits with the most; empty where none does."""
        return max(self._waiting, key=lambda each: len(self._waiting[each]), default="")

    def _may_hold(self, workspace_id: str) -> bool:
        return self._held.get(workspace_id, 0) < self._share

    def _take(self, workspace_id: str) -> None:
        self._free -= 1
        self._held[workspace_id] = self._held.get(workspace_id, 0) + 1

    def _leave(self, workspace_id: str) -> None:
        self._free += 1
        self._held[workspace_id] -= 1
        if not self._held[workspace_id]:
            del self._held[workspace_id]
        self._call_next()

    async def _wait(self, workspace_id: str) -> None:
        self._make_room(workspace_id)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(workspace_id, deque()).append(turn)
        self._length += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave(workspace_id)  # the place came in the moment in which the wait ended
            elif turn.cancelled():
                self._forget(workspace_id, turn)
            if isinstance(error, TimeoutError):
                raise Overloaded(private="no place came free in time") from None
            raise

    def _make_room(self, workspace_id: str) -> None:
        if self._length < self._room:
            return
        if self.turns_away(workspace_id):
            raise Overloaded
        longest = self._longest()
        last = self._waiting[longest][-1]
        self._forget(longest, last)
        last.set_exception(Overloaded())

    def _forget(self, workspace_id: str, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting[workspace_id]
        turns.remove(turn)
        self._length -= 1
        if not turns:
            del self._waiting[workspace_id]

    def _call_next(self) -> None:
        """Give the free place to the workspace whose turn is longest ago and that may hold one more."""
        for workspace_id in self._waiting if self._free else ():
            if self._may_hold(workspace_id):
                turn = self._waiting[workspace_id][0]
                self._waiting.move_to_end(workspace_id)
                self._forget(workspace_id, turn)
                self._take(workspace_id)
                turn.set_result(None)
                return
