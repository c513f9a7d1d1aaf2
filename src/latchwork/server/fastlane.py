"""The fast lane: hot requests answered inside the protocol, without scope, task or ASGI.

A request takes the first way that is sure to understand it:

1. Its head was read before, byte for byte: nothing is parsed. Only at the boundary of a message, where the
   parser's state depends on nothing that came before, so that the same bytes mean what they meant then.
   A connection remembers the head it sent last; heads of all connections are remembered by their digests.
2. uvicorn's parser, and a screen that lets only ordinary requests to hot paths pass.
3. uvicorn's ordinary way, for everything else and for what a hot handler declines.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, ClassVar

from latchwork.asgi import ASKED
from latchwork.server.answers import Answers, RenderError
from latchwork.server.connection import BODY, DEAF, IDLE, StrictProtocol, Terms
from latchwork.server.deadlines import Sweep
from latchwork.server.heads import Head, Heads
from latchwork.server.lane import Familiar, Lane, OrdinaryParser, Request, learnt
from latchwork.server.limits import Limits, is_host
from latchwork.surfaces.http.client_ip import Networks, canonical, client_ip, is_trusted
from latchwork.surfaces.http.hot import Answer, Binder, HotHandler, Later, token_digest
from latchwork.surfaces.http.ordinary import Ordinary, Screen

_END_OF_HEAD = b"\r\n\r\n"

# A client whose heads never return (a trace id in each) is asked for them only now and then.
_UNKNOWN_IN_A_ROW = 16
_THEN_SKIPPED = 7

_is_known_host = lru_cache(maxsize=256)(is_host)

_log = logging.getLogger(__name__)


# HEAD is left out: its answers have no body.
_BARE_METHODS = frozenset({b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})


class FastProtocol(StrictProtocol):
    """`StrictProtocol` with a fast lane; made by `fast_protocol`."""

    lane: ClassVar[Lane]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hot: Request | None = None
        self._parts: list[bytes] = []
        self._declined = False  # the handler has been asked about the request that is being parsed
        self._lesson: tuple[bytes, Head] | None = None
        self._studied: tuple[bytes, bytes] | None = None  # the head that is being parsed by itself
        self._familiar: Familiar | None = None
        self._unknown = 0
        self._skipped = 0
        self._peer = ""
        self._is_proxied = False
        self._find = self.lane.heads.find
        self._recalls = self.lane.heads.room > 0 and self.limit_concurrency is None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = canonical(self.client[0]) if self.client else ""
        self._is_proxied = is_trusted(self._peer, self.lane.trusted)

    def shutdown(self) -> None:
        self._recalls = False
        super().shutdown()

    # The first way

    def data_received(self, data: bytes) -> None:
        if self._idle and self._recalls:
            familiar = self._familiar
            if familiar is not None and len(data) == familiar[2] and data.startswith(familiar[0]):
                self._repeat(data, familiar)
                return
            data = self._recall(data)
        if data and self._phase < DEAF:
            self._feed(data)

    def _repeat(self, data: bytes, familiar: Familiar) -> None:
        """Serve one whole request whose head is the last one's; the hottest lines of the server."""
        _, end, _, handler, token, address = familiar
        try:
            answer = handler(token, data[end:], address)
        except Exception:  # noqa: BLE001 - whatever failed, the application renders it
            _failed()
            answer = None
        if answer is None:
            self._declined = True
            self._feed(data)
            return
        self._waiting.since = None
        if type(answer) is bytes:
            state, answers = self.server_state, self.terms.answers
            state.total_requests += 1
            if answers.defaults is not state.default_headers:
                answers.follow(state.default_headers)
            self.transport.write(answers.ok(answer))
        elif type(answer) is Answer:
            self._finish(answer)
            self._settle()
        else:
            self._idle = False
            self._await(answer)  # type: ignore[arg-type]

    def _recall(self, data: bytes) -> bytes:
        """Answer the requests at the start of `data` whose heads are known; the rest is for the parser."""
        while self._skipped == 0:
            end = data.find(_END_OF_HEAD) + 4
            if end < 4:
                break
            digest = sha256(data[:end]).digest()
            head = self._find(digest)
            if head is None:
                data = self._study(digest, data, end)
                break
            handler, length, token, forwarded = head
            after = end + length
            if len(data) < after:
                break
            address = self._address([data[a:b] for a, b in forwarded]) if forwarded else self._peer
            try:
                answer = handler(token, data[end:after], address)
            except Exception:  # noqa: BLE001 - whatever failed, the application renders it
                _failed()
                answer = None
            if answer is None:
                self._declined = True
                break
            self._familiar = data[:end], end, after, handler, token, address
            self._unknown = 0
            self._waiting.since = None
            data = data[after:]
            if type(answer) is bytes and not data and not self._out:
                self.server_state.total_requests += 1
                self.transport.write(self._fresh().ok(answer))
                return data
            self._give(answer)
            if not data or self._running is not None:
                break
        else:
            self._skipped -= 1
        self._settle()
        return data

    def _study(self, digest: bytes, data: bytes, end: int) -> bytes:
        """Have the parser read a head that comes again, by itself, to see what it makes of these bytes."""
        self._unknown += 1
        if self._unknown > _UNKNOWN_IN_A_ROW:
            self._skipped = _THEN_SKIPPED
        if not self.lane.heads.meet(digest):
            return data
        head = data[:end]
        self._studied = digest, head
        self._feed(head)
        self._studied = None
        hot = self._hot
        # The parser is inside the body and has seen nothing of it: the head is exactly these bytes.
        if hot is not None and self._phase == BODY and not self._parts:
            self._lesson = digest, learnt(hot, head, self.lane.trusted)
        return data[end:]

    # The second way

    def on_headers_complete(self) -> None:
        found = self.lane.hot.get(self._target)
        if found is None:
            handler, ordinary = self._bound()
        else:
            handler, ordinary = found[0], self._screened(found[1])
        if handler is None or ordinary is None:
            super().on_headers_complete()
            return
        forwarded = ordinary[4]
        address = self._address(forwarded) if forwarded else self._peer
        method = b"POST" if found else self.parser.get_method()
        hot = self._hot = handler, address, self._target, self._fields, ordinary, method
        self._phase = BODY
        self._waiting.restart()
        if found is None and self._studied is not None:  # such a request ends with its head
            digest, head = self._studied
            self._lesson = digest, learnt(hot, head, self.lane.trusted)

    def _bound(self) -> tuple[HotHandler | None, Ordinary | None]:
        """The handler of a request that its head says everything about, and what the screen made of it."""
        path, _, query = self._target.partition(b"?")
        bind = self.lane.bound.get(path)
        if bind is None or b"#" in query or self.parser.get_method() not in _BARE_METHODS:
            return None, None
        if not self._may_be_hot():
            return None, None
        ordinary = self.lane.screen.sift_bare(self._fields)
        if ordinary is None or not self._is_plain(ordinary):
            return None, None
        return bind(query, [(name.lower(), value) for name, value in self._fields]), ordinary

    def _screened(self, most_bytes: int) -> Ordinary | None:
        if self.parser.get_method() != b"POST" or not self._may_be_hot():
            return None
        ordinary = self.lane.screen.sift(self._fields)
        if ordinary is None or ordinary[1] > most_bytes or not self._is_plain(ordinary):
            return None
        return ordinary

    def _may_be_hot(self) -> bool:
        if self._draining or (self._oversize and self._is_head_too_large()):
            return False
        return self.parser.should_keep_alive() and not (
            self.limit_concurrency is not None and self._is_overloaded()
        )

    def _is_plain(self, ordinary: Ordinary) -> bool:
        _, _, host, connection, _ = ordinary
        return _is_known_host(host) and (connection is None or self.parser.get_http_version() == "1.1")

    def _is_overloaded(self) -> bool:
        limit = self.limit_concurrency
        return limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)

    def _address(self, forwarded: Sequence[bytes]) -> str:
        return client_ip(self._peer, forwarded, self.lane.trusted) if self._is_proxied else self._peer

    def on_body(self, body: bytes) -> None:
        if self._hot is None:
            super().on_body(body)
        else:
            self._parts.append(body)
            self._waiting.since = None
            self._waiting.gained += len(body)

    def on_message_complete(self) -> None:
        hot = self._hot
        if hot is None:
            super().on_message_complete()
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._hot = None
        self._phase = IDLE
        self._fed = 0
        self._waiting.since = None
        if self._running is None and not self._line:
            self._serve(hot, body)
        else:
            self._line.append(partial(self._serve, hot, body))

    def _serve(self, hot: Request, body: bytes) -> None:
        answer = None
        if self._declined:
            self._declined = False
        else:
            handler, address, _, _, ordinary, _ = hot
            try:
                answer = handler(token_digest(ordinary[0]), body, address)
            except Exception:  # noqa: BLE001 - whatever failed, the application renders it
                _failed()
        if answer is None:
            self._lesson = None
            self._replay(hot, body)
            return
        if self._lesson is not None:
            self._learn(self._lesson, answer)
        if type(answer) is bytes and not self._draining:
            self.server_state.total_requests += 1
            self._out.append(self._fresh().ok(answer))
        else:
            self._give(answer)

    def _learn(self, lesson: tuple[bytes, Head], answer: bytes | Answer | Later) -> None:
        """Remember the head of a request that was served, not of one that was turned away."""
        self._lesson = None
        if not isinstance(answer, Answer) or answer.status == 200:
            self.lane.heads.learn(*lesson)

    # Answering

    def _give(self, answer: bytes | Answer | Later) -> None:
        if isinstance(answer, (bytes, Answer)):
            self._finish(answer)
        else:
            self._await(answer)

    def _await(self, answer: Later) -> None:
        self._running = answer
        answer.then(partial(self._arrived, answer))

    def _arrived(self, later: Later, answer: bytes | Answer) -> None:
        if self._running is not later:
            return  # the client has gone
        self._running = None
        self._waiting.restart()
        if type(answer) is bytes and not (self._line or self._out or self._draining or self.flow.held):
            self.server_state.total_requests += 1
            self.transport.write(self._fresh().ok(answer))
            self._idle = self._phase == IDLE
            return
        self._finish(answer)
        self._advance()

    def _finish(self, answer: bytes | Answer) -> None:
        self.server_state.total_requests += 1
        answers = self._fresh()
        if self._draining:
            self._out.append(answers.any(answer, closing=True))
            self._end()
        elif isinstance(answer, bytes):
            self._out.append(answers.ok(answer))
        else:
            self._out.append(answers.any(answer))

    def _end(self) -> None:
        """Write the last answer and close; requests behind it are the client's to repeat."""
        self._phase = DEAF
        self._line.clear()
        self._settle()
        self.transport.close()

    # The third way

    def _replay(self, hot: Request, body: bytes) -> None:
        """Give a request that was received whole to the application, which need not ask the handler again."""
        _, _, target, fields, _, method = hot
        parser, current = self.parser, self.cycle
        self.parser = OrdinaryParser(method)  # type: ignore[assignment]
        try:
            cycle, app = self._open(target, fields)
        finally:
            self.parser = parser
        if self._receiving is not None:
            self.cycle = current
        cycle.scope["extensions"] = {ASKED: {}}
        cycle.body.extend(body)
        cycle.more_body = False
        cycle.message_event.set()
        self._run(cycle, app)


def _failed() -> None:
    _log.exception("A hot handler failed; the application serves the request.")


def fast_protocol(
    hot: Mapping[str, HotHandler],
    *,
    render_error: RenderError,
    bound: Mapping[str, Binder] | None = None,
    limits: Limits | None = None,
    trusted: Networks = (),
    another_way: Iterable[bytes] = (),
    heads: int = 4_096,
    clock: Callable[[], float] | None = None,
) -> type[FastProtocol]:
    """A protocol class for uvicorn's `http=`, answering the paths of `hot` itself.

    `bound` are paths of requests without a body that their heads say everything about.
    `render_error(status, path)` makes the JSON body of a refusal. `trusted` are the proxies whose
    `X-Forwarded-For` is believed. Requests with a header of `another_way` (lower-case names) are never hot.
    `heads` is how many request heads are remembered; 0 parses every request. `clock` gives the seconds that
    deadlines go by; by default the event loop's.
    """
    limits = limits or Limits()
    paths = {
        path.encode("ascii"): (handler, min(limits.hot_body_bytes, limits.max_body(path)))
        for path, handler in hot.items()
    }
    binders = {path.encode("ascii"): bind for path, bind in (bound or {}).items()}
    members = {
        "terms": Terms(limits, Answers(render_error), Sweep(clock)),
        "lane": Lane(paths, binders, Screen(another_way), Heads(heads), trusted),
    }
    return type("ServedProtocol", (FastProtocol,), members)
