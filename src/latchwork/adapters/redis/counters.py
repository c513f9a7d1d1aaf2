"""Counters in Redis: whatever is asked in neighbouring turns of the event loop is one call of a script."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from latchwork.adapters.redis import script
from latchwork.adapters.redis.keeper import Keeper
from latchwork.adapters.redis.session import FIRST_VALUE, Answer, Call, Session
from latchwork.domains.ratelimits import Algorithm, Done, LimitCheck, LimitState, Sharing, Standby
from latchwork.domains.ratelimits.standby import taken
from latchwork.kernel.clock import Clock
from latchwork.kernel.gathering import Gathering

DEADLINE_S = 0.04
"""How long a call may take; an ask that comes meanwhile waits for it no longer than that either, and is then
answered alone."""

MOST_IN_FLIGHT = 2
MOST_CHECKS = 500
"""Checks in one call: some two milliseconds in which Redis serves nobody else."""

_log = logging.getLogger(__name__)


class Ask:
    """A request: what to take or only to look at, or a counter to reset; who hears of it; and as if when."""

    __slots__ = ("checks", "done", "looks", "now_ms", "resets")

    def __init__(
        self,
        checks: Sequence[LimitCheck],
        done: Done,
        now_ms: int | None,
        looks: bool = False,
        resets: tuple[str, Algorithm | None, int | None] | None = None,
    ) -> None:
        self.checks = checks
        self.done = done
        self.now_ms = now_ms
        self.looks = looks
        self.resets = resets


class RedisCounters:
    """The port `SharedCounters`, owned by one event loop.

    While Redis is out of reach `standby` answers; `keeper` brings what was admitted meanwhile back to it.
    """

    def __init__(
        self,
        url: str,
        standby: Standby,
        clock: Clock,
        *,
        prefix: str = "lw:",
        windows_kept: int = 2,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`windows_kept` above 2 remembers more windows, and for longer, for a clock that tests set."""
        self._standby = standby
        self._clock = clock
        self._ahead_ms = 0
        self._memory: script.Operations = []
        if windows_kept > 2:
            script.add_memory(self._memory, windows_kept, 600_000)
        self._session: Session | None = None
        self._asked: deque[Ask] = deque()
        self._gathering = Gathering(self._asked.__len__, self._flush)
        self._keeper = Keeper(
            url, prefix, standby, self._memory, self._serve, self._unserved, deadline_s=deadline_s
        )
        self.sharing = Sharing("degraded", clock.now_ms(), "Redis has not been reached yet")

    async def open(self) -> None:
        """See `SharedCounters`."""
        self._loop = asyncio.get_running_loop()
        await self._keeper.open()

    async def close(self) -> None:
        """See `SharedCounters`."""
        await self._keeper.close()
        self._flush()

    def now_ms(self) -> int:
        """See `SharedCounters`."""
        return self._clock.now_ms() + self._ahead_ms

    def ask(self, checks: Sequence[LimitCheck], done: Done, now_ms: int | None = None) -> None:
        """See `SharedCounters`."""
        self._put(Ask(checks, done, now_ms))

    async def peek(self, checks: Sequence[LimitCheck], now_ms: int | None = None) -> list[LimitState]:
        """See `SharedCounters`."""
        states: asyncio.Future[list[LimitState]] = self._loop.create_future()
        self._put(Ask(checks, _resolving(states), now_ms, looks=True))
        return await states

    async def reset(
        self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None
    ) -> None:
        """See `SharedCounters`."""
        states: asyncio.Future[list[LimitState]] = self._loop.create_future()
        self._put(Ask((), _resolving(states), None, resets=(key, algorithm, duration_ms)))
        await states

    def _put(self, ask: Ask) -> None:
        self._asked.append(ask)
        self._gathering.begin()

    def _flush(self) -> None:
        while self._asked and self._session is None:
            self._answer_alone(self._asked.popleft())
        while self._asked and self._session is not None and self._session.in_flight < MOST_IN_FLIGHT:
            self._send(self._session)

    def _send(self, session: Session) -> None:
        asked, asks, operations = self._asked, [], list(self._memory)
        room, looks, now_ms = MOST_CHECKS, False, None
        while asked and room > 0:
            ask = asked.popleft()
            asks.append(ask)
            if ask.looks is not looks:
                looks = ask.looks
                script.add_look(operations, looks)
            if ask.now_ms != now_ms:
                now_ms = ask.now_ms
                script.add_moment(operations, now_ms)
            if ask.resets is not None:
                script.add_reset(operations, *ask.resets)
            script.add_request(operations, ask.checks)
            room -= len(ask.checks) or 1

        def answered(answer: Answer | None) -> None:
            if answer is None:
                self._answer_in_doubt(asks, call)
            elif answer.status != script.RAN:
                session.end("what was counted is gone")
                for one in asks:
                    self._answer_alone(one)
            else:
                self._answer(asks, answer)

        call = session.call(operations, answered)

    def _answer(self, asks: list[Ask], answer: Answer) -> None:
        self._ahead_ms = answer.now_ms - self._clock.now_ms()
        reading = script.Reading(answer.values, FIRST_VALUE, answer.now_ms, self._standby)
        for ask in asks:
            if ask.resets is not None:
                key, algorithm, duration_ms = ask.resets
                self._standby.reset(key, algorithm=algorithm, duration_ms=duration_ms)
            self._finish(ask, reading.request(ask.checks, ask.now_ms, ask.looks))
        if self._asked:
            self._gathering.begin()

    def _answer_alone(self, ask: Ask) -> None:
        now_ms = self.now_ms() if ask.now_ms is None else ask.now_ms
        if ask.looks:
            states = self._standby.peek(ask.checks, now_ms)
        else:
            states = self._standby.take(ask.checks, now_ms)
            self._standby.owe(taken(ask.checks, states), now_ms)
        if ask.resets is not None:
            key, algorithm, duration_ms = ask.resets
            self._standby.reset(key, algorithm=algorithm, duration_ms=duration_ms)
            self._keeper.owe_reset(ask.resets)
        self._finish(ask, states)

    def _answer_in_doubt(self, asks: list[Ask], call: Call) -> None:
        """Answer what may have been counted in Redis or not: it is owed only if it was not."""
        owed: list[tuple[list[LimitCheck], int]] = []
        for ask in asks:
            if ask.looks or ask.resets is not None:
                self._answer_alone(ask)
                continue
            now_ms = self.now_ms() if ask.now_ms is None else ask.now_ms
            states = self._standby.take(ask.checks, now_ms)
            owed.append((taken(ask.checks, states), now_ms))
            self._finish(ask, states)

        def did_not_run() -> None:
            for checks, now_ms in owed:
                self._standby.owe(checks, now_ms)

        self._keeper.doubt(call.number, did_not_run)

    def _finish(self, ask: Ask, states: list[LimitState]) -> None:
        """Tell whoever asked; one who fails on hearing it does not keep it from the others."""
        try:
            ask.done(states)
        except Exception as failure:  # noqa: BLE001 - reported where the loop reports such things
            context = {"message": "an answer of the shared counters was not taken", "exception": failure}
            self._loop.call_exception_handler(context)

    def _serve(self, session: Session, now_ms: int) -> None:
        self._session = session
        self._ahead_ms = now_ms - self._clock.now_ms()
        self.sharing = Sharing("shared", self._clock.now_ms())
        _log.info("Limits are shared through Redis.")

    def _unserved(self, session: Session | None, reason: str) -> None:
        """`session` has ended; `None` when another attempt to begin one has failed."""
        if session is self._session and session is not None:
            self._session = None
            self.sharing = Sharing("degraded", self._clock.now_ms(), reason)
            _log.warning("Limits are shared no longer, each node enforces its part: %s", reason)
            if self._asked:
                self._gathering.begin()
        elif self._session is None:
            self.sharing = Sharing("degraded", self.sharing.since_ms, reason)


def _resolving(future: "asyncio.Future[list[LimitState]]") -> Done:
    def done(states: list[LimitState]) -> None:
        with suppress(asyncio.InvalidStateError):
            future.set_result(states)

    return done
