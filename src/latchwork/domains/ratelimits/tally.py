"""One face for counters that answer at once and for those that are shared with other nodes."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from latchwork.domains.ratelimits.ports import Counters, SharedCounters
from latchwork.domains.ratelimits.records import LimitCheck, LimitState


class Tally(Protocol):
    """Counts what is taken, wherever that is; see `Counters`.

    `now_ms` is the caller's time: counters with a clock of their own go by that, unless tests set the time.
    """

    async def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """Take the cost of `check` if it fits."""
        ...

    async def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """Take the costs of all enforced checks if every one of them fits, else of none."""
        ...

    async def peek(
        self, checks: Sequence[LimitCheck], now_ms: int, *, is_supposed: bool = False
    ) -> list[LimitState]:
        """What `take` would answer; takes nothing. Where the time `is_supposed`, as if it were then."""
        ...

    async def reset(self, key: str) -> None:
        """Forget what was taken from all counters of `key`."""
        ...

    def time_ms(self, now_ms: int) -> int:
        """The caller's time in the clock that `reset_ms` and `retry_ms` are told in."""
        ...


class LocalTally:
    """Counters of this process."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters

    async def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """See `Tally`."""
        return self.counters.take_one(check, now_ms)

    async def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """See `Tally`."""
        return self.counters.take(checks, now_ms)

    async def peek(
        self, checks: Sequence[LimitCheck], now_ms: int, *, is_supposed: bool = False
    ) -> list[LimitState]:
        """See `Tally`."""
        return self.counters.peek(checks, now_ms)

    async def reset(self, key: str) -> None:
        """See `Tally`."""
        self.counters.reset(key)

    def time_ms(self, now_ms: int) -> int:
        """See `Tally`."""
        return now_ms


class SharedTally:
    """Counters of all nodes. Where `is_timed`, a test clock, they go by the caller's time instead of their own."""

    def __init__(self, counters: SharedCounters, *, is_timed: bool = False) -> None:
        self.counters = counters
        self._is_timed = is_timed

    async def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """See `Tally`."""
        return (await self.take([check], now_ms))[0]

    async def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """See `Tally`."""
        states: asyncio.Future[list[LimitState]] = asyncio.get_running_loop().create_future()

        def done(told: list[LimitState]) -> None:
            with suppress(asyncio.InvalidStateError):  # nobody waits any longer
                states.set_result(told)

        self.ask(checks, now_ms, done)
        return await states

    def ask(
        self, checks: Sequence[LimitCheck], now_ms: int, done: Callable[[list[LimitState]], None]
    ) -> None:
        """As `take`, for who hears of it later."""
        self.counters.ask(checks, done, now_ms if self._is_timed else None)

    async def peek(
        self, checks: Sequence[LimitCheck], now_ms: int, *, is_supposed: bool = False
    ) -> list[LimitState]:
        """See `Tally`."""
        return await self.counters.peek(checks, now_ms if self._is_timed or is_supposed else None)

    async def reset(self, key: str) -> None:
        """See `Tally`."""
        await self.counters.reset(key)

    def time_ms(self, now_ms: int) -> int:
        """See `Tally`."""
        return now_ms if self._is_timed else self.counters.now_ms()
