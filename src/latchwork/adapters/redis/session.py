"""A session of a node with the script: calls that run in order, until the first one that fails or is late."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import hiredis
import msgspec

from latchwork.adapters.redis import script
from latchwork.adapters.redis.connection import Connection

_encode = msgspec.msgpack.Encoder().encode


class Answer(NamedTuple):
    """What a call was answered: `values` are everything, those of its operations from `FIRST_VALUE` on."""

    status: int
    epoch: str
    now_ms: int
    ran: int
    values: Sequence[Any]


FIRST_VALUE = 4
Answered = Callable[[Answer | None], None]
"""Hears the answer to a call, or `None` when the session ended before one came."""


class Call:
    """One call of the script on its way."""

    __slots__ = ("answered", "number", "operations", "sent_s")

    def __init__(self, operations: script.Operations, answered: Answered, sent_s: float) -> None:
        self.operations = operations
        self.answered = answered
        self.sent_s = sent_s
        self.number = 0


class Names(NamedTuple):
    """Who calls, and under which name everything is kept."""

    prefix: str
    node: str
    session: int
    epoch: str
    next_epoch: str


class Session:
    """Sends calls over one connection and keeps their deadline.

    When it ends, which is told once by `ended` with a reason, the calls still on their way are answered
    `None`: whether they ran is for a later session to find out, which also keeps them from running later.
    """

    def __init__(
        self,
        line: Connection,
        names: Names,
        numbers: Iterator[int],
        ended: Callable[[str], None],
        *,
        deadline_s: float,
    ) -> None:
        """`numbers` numbers the calls of all sessions of a node; none may take longer than `deadline_s`."""
        self._deadline_s = deadline_s
        self.names = names
        self._line = line
        line.lost = self.end
        self._numbers = numbers
        self._ended: Callable[[str], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self._calls: deque[Call] = deque()
        self._watch: asyncio.Handle | None = None

    @property
    def in_flight(self) -> int:
        """How many calls are on their way."""
        return len(self._calls)

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs in it any more."""
        return self._ended is None

    def call(self, operations: script.Operations, answered: Answered) -> Call:
        """Run operations; once the session has ended they do not run any more."""
        call = Call(operations, answered, self._loop.time())
        if self.has_ended:
            call.number = next(self._numbers)
            self._loop.call_soon(answered, None)
            return call
        self._send(call, b"EVALSHA", script.SHA)
        if self._watch is None:
            self._watch = self._loop.call_at(call.sent_s + self._deadline_s, self._look)
        return call

    async def ask(self, operations: script.Operations) -> Answer:
        """Run operations and wait; raises `SessionEnded`."""
        future: asyncio.Future[Answer | None] = self._loop.create_future()
        call = self.call(operations, lambda answer: None if future.done() else future.set_result(answer))
        answer = await future
        if answer is None:
            raise SessionEnded(call.number)
        return answer

    def end(self, reason: str) -> None:
        """End the session and its connection."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if self._watch is not None:
            self._watch.cancel()
        self._line.drop(reason)
        calls = list(self._calls)
        self._calls.clear()
        ended(reason)
        for call in calls:
            call.answered(None)

    def _send(self, call: Call, command: bytes, text: bytes) -> None:
        call.number = next(self._numbers)
        names = self.names
        asked = [
            names.prefix, names.node, names.session, call.number, names.epoch, names.next_epoch,
            *call.operations,
        ]  # fmt: skip
        self._calls.append(call)
        self._line.send((command, text, b"0", _encode(asked)), self._replied)

    def _replied(self, reply: Any) -> None:
        if not self._calls:
            return
        call = self._calls.popleft()
        if type(reply) is list:
            call.answered(Answer(reply[0], reply[1].decode(), reply[2], reply[3], reply))
        elif isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            self._send(call, b"EVAL", script.TEXT)
        else:
            self._calls.appendleft(call)
            self.end(f"Redis refused: {reply}")

    def _look(self) -> None:
        """Look after the oldest call; one that seems late may have been answered while this process was busy."""
        self._watch = None
        if not self._calls:
            return
        late_s = self._calls[0].sent_s + self._deadline_s
        if self._loop.time() < late_s:
            self._watch = self._loop.call_at(late_s, self._look)
        else:
            self._watch = self._loop.call_later(0.001, self._give_up, self._calls[0])

    def _give_up(self, call: Call) -> None:
        if self._calls and self._calls[0] is call:
            self.end(f"no answer within {self._deadline_s * 1000:.0f} ms")
        else:
            self._look()


class SessionEnded(Exception):
    """The session ended before the answer to the call of that number came; it may have run."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the session ended before call {number} was answered")
        self.number = number
