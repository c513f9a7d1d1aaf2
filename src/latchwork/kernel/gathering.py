"""Gathering: what comes in neighbouring turns of the event loop is done in one go."""

import asyncio
from collections.abc import Callable

MOST_WAIT_S = 0.001
"""How long the first may wait for others while more of them keep coming."""


class Gathering:
    """Calls `ready` as soon as a turn of the event loop has brought nothing new.

    So the groups are the larger the more is to be done, and who comes alone never waits. For what costs
    much each time and little for each one in it: a commit, a call to another server.
    """

    __slots__ = ("_began_s", "_count", "_loop", "_ready", "_watches")

    def __init__(self, count: Callable[[], int], ready: Callable[[], None]) -> None:
        """`count` says how many have gathered; belongs to the event loop that runs when something first comes."""
        self._count = count
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watches = False
        self._began_s = 0.0

    def begin(self) -> None:
        """Something has come; more of it need not be told until `ready` has been called."""
        if self._watches:
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._watches = True
        self._began_s = self._loop.time()
        self._loop.call_soon(self._look, 1)

    def _look(self, before: int) -> None:
        count = self._count()
        assert self._loop is not None
        if count > before and self._loop.time() - self._began_s < MOST_WAIT_S:
            self._loop.call_soon(self._look, count)
            return
        self._watches = False
        if count:
            self._ready()
