"""One connection: uvicorn's protocol with limits on every request and every answer in its turn."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, ClassVar

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from latchwork.server.answers import Answers
from latchwork.server.deadlines import Sweep, Waiting
from latchwork.server.limits import Limits, Refused, must_be_served

# What the next byte of the client belongs to.
IDLE, HEAD, BODY, DEAF, LINGER = range(5)

# Framing around chunks of a body: what a client may spend on size lines, extensions and trailers.
_FRAMING_BYTES = 16_384
_FRAMING_BYTES_PER_CHUNK = 128

_DRAIN_S = 0.5  # for a request that is already on its way when the server begins to stop

Fields = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all connections of one server share."""

    limits: Limits
    answers: Answers
    sweep: Sweep


class _Flow(FlowControl):
    """Reading stays paused while requests wait for their turn, whoever asks to resume it."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class StrictProtocol(HttpToolsProtocol):
    """Refuses early what is too large, too slow or ambiguous; runs pipelined requests one after the other.

    uvicorn still parses, makes the scopes and runs the application; this class decides when.
    """

    terms: ClassVar[Terms]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = IDLE
        self._target = b""
        self._fields: Fields = []
        self._head_bytes = 0  # received of a head that is not complete
        self._fed = 0  # bytes of this read that belong to the message at its end
        self._oversize = False
        self._receiving: RequestResponseCycle | None = None
        self._body_left = 0
        self._framing_left = inf  # finite while a body is chunked
        self._running: object | None = None  # whose answer is due now
        self._line: deque[Callable[[], None]] = deque()  # whose answers are due after it
        self._opened: tuple[RequestResponseCycle, ASGI3Application]
        self._out: list[bytes] = []
        self._idle = True  # at the boundary of a message, with nothing in flight
        self._draining = False
        self._waiting = Waiting()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: _Flow = _Flow(transport)
        self.terms.sweep.add(self, self.loop)
        if len(self.connections) > self.terms.limits.connections:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self.terms.sweep.discard(self)
        running, self._running = self._running, None
        if isinstance(running, RequestResponseCycle):
            running.disconnected = True
            running.message_event.set()
        self._line.clear()
        self._out.clear()
        self._phase = DEAF
        self._idle = False
        super().connection_lost(exc)

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._phase < DEAF:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._fed = len(data)
        self._oversize = self._head_bytes + self._fed > self.terms.limits.head_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(_status_of(error))
        else:
            if self._phase != IDLE:
                self._meter()
        self._settle()

    def _meter(self) -> None:
        """Count what the parser swallows without telling: an unfinished header, framing of chunks."""
        if self._phase == HEAD:
            self._head_bytes += self._fed
            if self._head_bytes > self.terms.limits.head_bytes:
                self._refuse(431)
        else:
            self._framing_left -= self._fed
            if self._framing_left < 0:
                self._refuse(400)

    def on_message_begin(self) -> None:
        self._phase = HEAD
        self._target = b""
        self._fields = []
        self._head_bytes = 0
        self._waiting.since = None

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self.terms.limits.target_bytes:
            raise Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))  # trailers come too late to be seen by anybody

    def on_headers_complete(self) -> None:
        parser = self.parser
        if self._is_head_too_large():
            raise Refused(431)
        must_be_served(parser.get_method(), parser.get_http_version(), self._target, self._fields)
        if parser.should_upgrade():
            raise Refused(400)
        cycle, app = self._open(self._target, self._fields)
        self._expect_body(cycle)
        self._in_turn(partial(self._run, cycle, app))

    def _is_head_too_large(self) -> bool:
        if not self._oversize:
            return False
        size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._fields)
        return size > self.terms.limits.head_bytes

    def _expect_body(self, cycle: RequestResponseCycle) -> None:
        headers = dict(cycle.scope["headers"])
        self._body_left = self.terms.limits.max_body(cycle.scope["path"])
        if int(headers.get(b"content-length", 0)) > self._body_left:
            raise Refused(413)
        self._framing_left = _FRAMING_BYTES if b"transfer-encoding" in headers else inf
        self._receiving = cycle
        self._phase = BODY
        self._fed = 0
        self._waiting.restart()

    def on_chunk_header(self) -> None:
        self._framing_left += _FRAMING_BYTES_PER_CHUNK

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._body_left -= size
        if self._body_left < 0:
            raise Refused(413)
        if self._fed:
            self._framing_left += size
        self._waiting.since = None
        self._waiting.gained += size
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._phase = IDLE
        self._fed = 0
        self._framing_left = inf
        self._receiving = None
        self._waiting.since = None
        super().on_message_complete()

    # Turns

    def _open(self, target: bytes, fields: Fields) -> tuple[RequestResponseCycle, ASGI3Application]:
        """Have uvicorn make the scope and the cycle of a request, without starting it."""
        super().on_message_begin()
        self.url = target
        for name, value in fields:
            super().on_header(name, value)
        self.cycle = None  # type: ignore[assignment]
        super().on_headers_complete()
        return self._opened

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._opened = cycle, app

    def _in_turn(self, turn: Callable[[], None]) -> None:
        if self._running is None and not self._line:
            turn()
        else:
            self._line.append(turn)

    def _run(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if self._draining:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._running = None
        self._waiting.restart()
        if not self.transport.is_closing():
            self._advance()
            self.flow.resume_reading()  # the rest of a body that the application did not want

    def _advance(self) -> None:
        while self._line and self._running is None:
            self._line.popleft()()
        self._settle()

    def _settle(self) -> None:
        """Write what is ready, and read on unless requests or answers are piling up."""
        out, flow = self._out, self.flow
        if out:
            self._out = []
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self._line or flow.held or flow.write_paused:
            self._balance(flow)
        self._idle = self._phase == IDLE and self._running is None and not flow.held

    def _balance(self, flow: _Flow) -> None:
        flow.held = bool(self._line) or flow.write_paused
        if flow.held:
            flow.pause_reading()
        else:
            flow.resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._waiting.restart()
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._waiting.restart()
        self._settle()

    # Refusing and ending

    def _refuse(self, status: int) -> None:
        """Answer `status` when it is this request's turn, and hear nothing more."""
        path = self._target.partition(b"?")[0].decode("latin-1") if self._phase in (HEAD, BODY) else ""
        receiving, self._receiving = self._receiving, None
        self._phase = DEAF
        if receiving is None or self._withdraw(receiving):
            self._in_turn(partial(self._send_refusal, status, path))
        elif receiving.response_complete:
            self._linger()
        else:
            self.transport.close()

    def _withdraw(self, cycle: RequestResponseCycle) -> bool:
        """Take back a request that is still being received; false when its answer is already under way."""
        if cycle.response_started:
            return False
        if self._running is cycle:
            self._running = None
        else:
            self._line.pop()
        cycle.disconnected = True
        cycle.message_event.set()
        return True

    def _send_refusal(self, status: int, path: str) -> None:
        self._out.append(self._fresh().refusal(status, path))
        self._linger()

    def _fresh(self) -> Answers:
        answers = self.terms.answers
        if answers.defaults is not self.server_state.default_headers:
            answers.follow(self.server_state.default_headers)
        return answers

    def _linger(self) -> None:
        """Throw away what still arrives: closing at once would reset the connection under the answer."""
        self._phase = LINGER
        self._waiting.restart()
        self._line.clear()
        self._settle()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Finish what has begun; told by uvicorn when the server stops.

        A connection that was busy a moment ago stays open for another: its client may have sent the next
        request already, and learns from `connection: close` that it is the last.
        """
        self._draining = True
        if isinstance(self._running, RequestResponseCycle):
            self._running.keep_alive = False
        elif self._idle:
            if self._waiting.since is not None:
                self.transport.close()
            self._waiting.since = self.terms.sweep.now_s(self.loop)

    def expire(self, now_s: float) -> None:
        """Act on a deadline that has passed; called once a second."""
        waiting, limits = self._waiting, self.terms.limits
        if self.flow.write_paused:
            if waiting.longer_than(limits.stalled_write_s, now_s):
                self.transport.abort()
        elif self.flow.read_paused:
            waiting.restart()
        elif self._phase in (HEAD, BODY):
            if self._is_too_slow(now_s):
                self._refuse(408)
                self._settle()
        elif self._phase == LINGER or self._running is None:
            if waiting.longer_than(self._patience_s(), now_s):
                self.transport.close()
        else:
            waiting.restart()

    def _is_too_slow(self, now_s: float) -> bool:
        waiting, limits = self._waiting, self.terms.limits
        if self._phase == HEAD:
            return waiting.longer_than(limits.head_s, now_s)
        idle = waiting.longer_than(limits.body_idle_s, now_s)
        return waiting.slower_than(limits.body_bytes_per_s, limits.body_idle_s, now_s) or idle

    def _patience_s(self) -> float:
        if self._phase == LINGER:
            return self.terms.limits.linger_s
        return _DRAIN_S if self._draining else self.terms.limits.keep_alive_s


def _status_of(error: httptools.HttpParserError) -> int:
    """What to answer when the parser stopped: by its own rules, by ours, or because we failed."""
    cause = error.__context__
    if isinstance(cause, Refused):
        return cause.status
    if cause is None or isinstance(cause, httptools.HttpParserError):
        return 400
    _log.error("A request could not be taken in.", exc_info=cause)
    return 500
