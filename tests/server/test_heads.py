"""The memory of heads: bounded, and never of another opinion than the parser."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from latchwork.asgi import Application
from latchwork.server.connection import StrictProtocol, Terms
from latchwork.server.fastlane import FastProtocol, fast_protocol
from latchwork.server.heads import Head, Heads, span_of
from latchwork.server.limits import Limits
from tests.server.running import App, Hot, envelope, render_error
from tests.server.test_strictness import REFUSED
from tests.server.wire import BARE, HOT, bare, hot, request


def _head(length: int = 1) -> Head:
    return Head(Hot(), length, b"", ())


def test_a_head_is_worth_learning_when_it_comes_again() -> None:
    heads = Heads()
    assert [heads.meet(b"a"), heads.meet(b"b"), heads.meet(b"a")] == [False, False, True]
    heads.learn(b"a", _head())
    assert heads.find(b"a") is not None
    assert heads.find(b"b") is None


def test_the_oldest_gives_way() -> None:
    heads = Heads(room=3)
    for name in (b"a", b"b", b"c", b"d"):
        heads.learn(name, _head())
    assert [heads.find(name) is not None for name in (b"a", b"b", b"c", b"d")] == [False, True, True, True]
    assert len(heads) == 3


def test_heads_that_never_return_are_forgotten_and_drive_nothing_out() -> None:
    heads = Heads(room=10)
    heads.learn(b"kept", _head())
    assert not any(heads.meet(b"%d" % number) for number in range(1_000))
    assert heads.find(b"kept") is not None
    assert len(heads._met) <= 20


def test_a_span_gives_the_value_back_wherever_it_stands() -> None:
    head = b"POST /a HTTP/1.1\r\nX: Bearer k\r\nAuthorization: Bearer k\r\n\r\n"
    start, stop = span_of(b"Bearer k", head)
    assert head[start:stop] == b"Bearer k"


class _Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, half_closes: bool) -> None:
        super().__init__()
        self.half_closes = half_closes
        self.written = b""
        self.events: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.events.append("close")

    def write_eof(self) -> None:
        self.events.append("eof")

    def can_write_eof(self) -> bool:
        return self.half_closes

    def is_closing(self) -> bool:
        return "close" in self.events

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default


class _Side:
    """Everything behind one kind of protocol, and what came of a conversation with it."""

    def __init__(self, heads: int) -> None:
        self.hot = Hot()
        self.app = App()
        handlers = {HOT: self.hot}
        self.protocol: type[FastProtocol] = fast_protocol(
            handlers, bound={BARE: self.hot.bind}, render_error=render_error, heads=heads
        )
        self.config = Config(
            Application({}, fallback=self.app, hot=handlers), http=self.protocol, log_config=None, ws="none"
        )
        self.config.load()

    async def converse(self, pieces: Sequence[bytes], *, half_closes: bool = True) -> tuple[object, ...]:
        loop = asyncio.get_running_loop()
        self.hot.calls.clear()
        self.app.seen.clear()
        wire, protocol = _Wire(half_closes), self.protocol(self.config, ServerState(), {}, loop)
        protocol.connection_made(wire)
        for piece in pieces:
            if not wire.is_closing():
                protocol.data_received(piece)
            await _settled(protocol)
            while not self.hot.laters.empty():
                self.hot.laters.get_nowait().finish(envelope(0, b'"late"'))
                await _settled(protocol)
        outcome = (wire.written, tuple(wire.events), tuple(self.hot.calls), tuple(self.app.seen))
        protocol.connection_lost(None)
        await _settled(protocol)
        return outcome


async def _settled(protocol: FastProtocol) -> None:
    for _ in range(12):
        await asyncio.sleep(0)


_KNOWN = [
    hot(),
    hot(b'"other"'),
    hot(b'"x"', key=b"second"),
    hot(b'{"key":"k"}', b"Connection: keep-alive"),
    hot(b'"none"'),
    hot(b'"already"'),
    hot(b'"later"'),
    hot(b'"forwarded"', b"X-Forwarded-For: 1.2.3.4"),
    bare(),
    bare("passed"),
    bare("none"),
    bare("later"),
    bare("other"),
    bare("passed", b"X-Forwarded-For: 1.2.3.4", b"Authorization: Bearer k", b"Connection: keep-alive"),
    bare("passed", b"Content-Type: text/html", b"Content-Length: 0", method="DELETE"),
]
NOT_BARE = {
    "of no body": bare(method="HEAD"),
    "of a body": request("POST", f"{BARE}?x", b"X-Key: k", body=b"12345"),
    "of chunks": bare("x", b"Transfer-Encoding: chunked", method="PUT") + b"0\r\n\r\n",
    "unbound": bare("unbound"),
    "about to close": bare("x", b"Connection: close"),
    "with two keys": bare("x", b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "with a fragment": bare("x#y"),
    "with two hosts": bare("x", b"Host: other.test"),
    "of another method": bare(method="TRACE"),
    "of another path": request("GET", f"{BARE}/x?passed"),
    "of an older protocol": bare().replace(b"HTTP/1.1", b"HTTP/1.0"),
}
_MESSAGES = [
    *_KNOWN,
    hot(b""),
    hot(b'"late"\r\n\r\n'),
    hot(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    hot().replace(b"Content-Length: 3", b"Content-Length: 003"),
    hot().replace(b"Content-Length: 3", b"Content-Length:\t3 "),
    hot().replace(b"POST ", b"POST  "),
    hot(b'"x"', b"Connection: close"),
    hot(b'"x"', b"X-A: \r\n\r\n"[:-4]),
    *NOT_BARE.values(),
    request("GET", "/cold"),
    request("POST", "/cold", body=b"12345"),
    request("POST", HOT, b"Authorization: a", b"Transfer-Encoding: chunked") + b'3\r\n"x"\r\n0\r\n\r\n',
    b"\r\n",
    b"\r\n\r\n",
    *REFUSED.values(),
]


@st.composite
def _conversations(draw: st.DrawFn) -> list[bytes]:
    """Requests one after the other, perhaps damaged somewhere, cut into packets anywhere."""
    messages = draw(st.lists(st.sampled_from(_KNOWN) | st.sampled_from(_MESSAGES), min_size=1, max_size=6))
    sent = b"".join(messages)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(sent) - 1))
        damage = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\0", b"0", b"G", b":"])
        )
        sent = sent[:at] + damage + sent[at + draw(st.integers(0, 2)) :]
    ends = draw(st.lists(st.integers(0, len(sent)), max_size=4))
    # Cuts between messages are likely ones: that is where clients write.
    for message in messages[:-1] if draw(st.booleans()) else ():
        ends.append((ends[-1] if ends else 0) + len(message))
    cuts = sorted({0, len(sent), *(end for end in ends if end <= len(sent))})
    return [sent[a:b] for a, b in itertools.pairwise(cuts) if a < b]


_REMEMBERING = _Side(heads=4_096)
_PARSING = _Side(heads=0)


def _both(pieces: Sequence[bytes]) -> tuple[object, object]:
    async def converse() -> tuple[object, object]:
        return await _REMEMBERING.converse(pieces), await _PARSING.converse(pieces)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(converse())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_conversations())
@example([hot(), hot(), hot()])
@example([hot(b'"later"') * 3 + hot()])
@example([hot() * 5 + b"\r\n\r\n" + hot()])
@example([b"\r\n\r\n" + hot(), b"\r\n\r\n" + hot(), b"\r\n\r\n" + hot()])
def test_remembering_heads_changes_no_byte_and_no_call(pieces: list[bytes]) -> None:
    remembering, parsing = _both(pieces)
    assert remembering == parsing


def test_the_comparison_above_did_recall_heads() -> None:
    for _ in range(3):
        _both(_KNOWN)
    heads = _REMEMBERING.protocol.lane.heads
    unserved = (hot(b'"none"'), bare("none"), bare("other"))
    served = [message for message in _KNOWN if message not in unserved]
    assert all(heads.find(_digest(message)) is not None for message in served)
    assert len(_PARSING.protocol.lane.heads) == 0


def _digest(message: bytes) -> bytes:
    return sha256(message[: message.find(b"\r\n\r\n") + 4]).digest()


@pytest.mark.parametrize("name", NOT_BARE)
def test_what_is_not_bare_is_for_the_application_or_refused(name: str) -> None:
    for _ in range(4):
        _both([NOT_BARE[name]])
    assert _REMEMBERING.protocol.lane.heads.find(_digest(NOT_BARE[name])) is None
    assert _REMEMBERING.hot.calls == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_never_learnt(name: str) -> None:
    for _ in range(4):
        _both([hot() + REFUSED[name]])
    assert _REMEMBERING.protocol.lane.heads.find(_digest(REFUSED[name])) is None


def test_only_heads_that_were_served_are_learnt() -> None:
    side = _Side(heads=100)
    answered, refused, declined = hot(b'"x"'), hot(b'"other one"'), hot(b'"none"')
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(side.converse([answered, refused, declined] * 4))
    assert len(side.hot.calls) == 12
    assert len(side.protocol.lane.heads) == 1


def test_a_client_whose_heads_never_return_is_seldom_asked_for_them() -> None:
    side = _Side(heads=100)
    requests = [hot(b'"x"', b"traceparent: %d" % number) for number in range(1_000)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(side.converse(requests))
    assert len(side.hot.calls) == 1_000
    assert len(side.protocol.lane.heads._met) < 200


@pytest.mark.parametrize("limit", [0, 1, 100])
def test_uvicorns_own_limit_of_concurrency_holds_for_hot_requests(limit: int) -> None:
    side = _Side(heads=100)
    side.config.limit_concurrency = limit
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        written = runner.run(side.converse([hot()] * 3))[0]
    assert isinstance(written, bytes)
    assert written.count(b"HTTP/1.1 200") == (3 if limit == 100 else 0)
    assert len(side.hot.calls) == (3 if limit == 100 else 0)


def test_a_failure_of_ours_while_a_request_comes_in_is_a_500_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(path: str) -> int:
        raise ZeroDivisionError

    side = _Side(heads=100)
    side.protocol.terms = Terms(
        Limits(max_body=broken), side.protocol.terms.answers, side.protocol.terms.sweep
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        written, events, *_ = runner.run(side.converse([request("GET", "/cold"), hot()]))
    assert isinstance(written, bytes)
    assert written.startswith(b"HTTP/1.1 500 ")
    assert events == ("eof",)
    assert "ZeroDivisionError" in caplog.text


def test_without_a_way_to_close_one_side_both_are_closed() -> None:
    side = _Side(heads=100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        written, events, *_ = runner.run(side.converse([b"nonsense"], half_closes=False))
    assert isinstance(written, bytes)
    assert written.startswith(b"HTTP/1.1 400 ")
    assert events == ("close",)


def test_the_limits_hold_without_a_fast_lane_too() -> None:
    side = _Side(heads=0)
    side.protocol = type("Plain", (StrictProtocol,), {"terms": side.protocol.terms})
    side.config.http_protocol_class = side.protocol
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        written, events, *_ = runner.run(side.converse([hot() + b"nonsense", hot()]))
    assert isinstance(written, bytes)
    assert [written.count(b"HTTP/1.1 200 "), written.count(b"HTTP/1.1 400 ")] == [1, 1]
    assert (events, len(side.hot.calls)) == (("eof",), 1)


def test_no_secret_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    side = _Side(heads=100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(side.converse([hot(key=b"very_secret")] * 4))
    heads = side.protocol.lane.heads
    assert len(heads) == 1
    assert "very_secret" not in repr(vars(heads)) + caplog.text
