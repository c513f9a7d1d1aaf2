"""One sweep a second over all connections, instead of a timer for each request."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Expiring(Protocol):
    """What the sweep visits."""

    def expire(self, now_s: float) -> None:
        """Act on every deadline that has passed at `now_s`."""
        ...


class Sweep:
    """Visits its members once a second while there are any; an idle server has no timer at all."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """`clock` gives seconds that never run backwards; by default the time of the event loop."""
        self._clock = clock
        self._members: set[Expiring] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Expiring, loop: asyncio.AbstractEventLoop) -> None:
        """Visit `member` from now on."""
        self._members.add(member)
        if self._timer is None:
            self._timer = loop.call_later(1.0, self._tick, loop)

    def discard(self, member: Expiring) -> None:
        """Visit `member` no more."""
        self._members.discard(member)

    def now_s(self, loop: asyncio.AbstractEventLoop) -> float:
        """The time that deadlines go by."""
        return loop.time() if self._clock is None else self._clock()

    def run(self, now_s: float) -> None:
        """Visit every member once, at `now_s`."""
        for member in tuple(self._members):
            member.expire(now_s)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.run(self.now_s(loop))
        if self._members:
            self._timer = loop.call_later(1.0, self._tick, loop)


class Waiting:
    """How long a connection has waited for one thing; started by the first sweep that finds it waiting.

    So the hot path never asks for the time: it only forgets (`since = None`).
    """

    __slots__ = ("gained", "period", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self.period: float | None = None
        self.gained = 0

    def restart(self) -> None:
        """Something new is waited for."""
        self.since = self.period = None
        self.gained = 0

    def longer_than(self, limit_s: float, now_s: float) -> bool:
        """Whether the wait has reached `limit_s`."""
        if self.since is None:
            self.since = now_s
        return now_s - self.since >= limit_s

    def slower_than(self, per_s: int, period_s: float, now_s: float) -> bool:
        """Whether a full period brought less than `per_s` for each second; then a new period begins."""
        if self.period is None:
            self.period = now_s
        if now_s - self.period < period_s:
            return False
        slow = self.gained < per_s * period_s
        self.period, self.gained = now_s, 0
        return slow
