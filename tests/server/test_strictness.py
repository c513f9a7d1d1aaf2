"""What two servers could read in two ways is refused, and nothing after it is read."""

from collections.abc import Awaitable, Callable

import pytest

from tests.server.running import Running
from tests.server.wire import HOT, hot, request

Started = Callable[..., Awaitable[Running]]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: latchwork.test\r\n\r\n"
_POST = b"POST /x HTTP/1.1\r\nHost: latchwork.test\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _get(*lines: bytes, target: bytes = b"/x", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b"GET " + target + b" " + version, *lines)) + b"\r\n\r\n"


REFUSED: dict[str, bytes] = {
    "length and chunked": _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "the same length twice": _POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": _POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a signed length": _POST + b"Content-Length: +5\r\n\r\nabcde",
    "a negative length": _POST + b"Content-Length: -5\r\n\r\nabcde",
    "a hexadecimal length": _POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "an empty length": _POST + b"Content-Length: \r\n\r\nabcde",
    "a length with a space in it": _POST + b"Content-Length: 5 5\r\n\r\nabcde",
    "a length beyond 64 bits": _POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcde",
    "a space before the colon": _POST + b"Content-Length : 5\r\n\r\nabcde",
    "chunked, identity": _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": _POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip, chunked": _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "xchunked": _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a control": _POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": (
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "chunked from HTTP/1.0": _CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
    "a folded header": _POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a folded coding": _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare LF after the request line": b"POST /x HTTP/1.1\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "a bare LF after a header": b"POST /x HTTP/1.1\r\nHost: a\nContent-Length: 0\r\n\r\n",
    "a bare LF at the end": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\n",
    "a bare CR": b"POST /x HTTP/1.1\r\nHost: a\rContent-Length: 0\r\n\r\n",
    "a NUL in a header": _POST + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a header without a name": _POST + b": a\r\n\r\n",
    "a header that begins with a space": b"POST /x HTTP/1.1\r\n Host: a\r\n\r\n",
    "a chunk size that is no number": _CHUNKED + b"zz\r\n\r\n",
    "a chunk size with a prefix": _CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk size with a space": _CHUNKED + b"5 \r\nabcde\r\n0\r\n\r\n",
    "a negative chunk size": _CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": _CHUNKED + b"fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "a chunk size that ends in LF": _CHUNKED + b"5\nabcde\r\n0\r\n\r\n",
    "a chunk longer than its size": _CHUNKED + b"5\r\nabcdef\r\n0\r\n\r\n",
    "a chunk extension with LF": _CHUNKED + b"5;a=b\nx\r\nabcde\r\n0\r\n\r\n",
    "two hosts": _get(b"Host: a", b"Host: b"),
    "the same host twice": _get(b"Host: a", b"host: a"),
    "no host": _get(b"Accept: */*"),
    "an empty host": _get(b"Host: "),
    "a host with a path": _get(b"Host: x/?"),
    "a host with a fragment": _get(b"Host: x#"),
    "a host with a user": _get(b"Host: x@y"),
    "a host with a backslash": _get(b"Host: x\\"),
    "a host with two ports": _get(b"Host: x:80:80"),
    "a host with a port that is no number": _get(b"Host: x:http"),
    "a host with a space": _get(b"Host: x y"),
    "two hosts in one": _get(b"Host: x,y"),
    "a bad host from HTTP/1.0": _get(b"Host: x/?", version=b"HTTP/1.0"),
    "an absolute target": _get(b"Host: a", target=b"http://evil.test/x"),
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without a slash": _get(b"Host: a", target=b"admin"),
    "a target with a fragment": _get(b"Host: a", target=b"/x#y"),
    "a target in overlong UTF-8": _get(b"Host: a", target=b"/\xc0\xaf"),
    "an upgrade to h2c": _get(
        b"Host: a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"
    ),
    "an upgrade with a body": (
        _POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nabcde"
    ),
    "an upgrade to a web socket": _get(b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket"),
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 in a line": _get(b"Host: a", version=b"HTTP/2.0"),
    "HTTP/0.9": _get(b"Host: a", version=b"HTTP/0.9"),
    "no version": b"GET /x\r\n\r\n",
    "a method in lower case": b"get /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "an answer instead of a request": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_and_the_connection_closed(server: Running, name: str) -> None:
    async with server.client() as client:
        answer = await client.ask(REFUSED[name] + SMUGGLED)
        assert answer.status == 400
        assert answer.header("connection") == "close"
        assert await client.is_closed()
    assert server.hot.calls == []
    assert "/smuggled" not in server.app.seen


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_too_behind_a_head_that_is_known(server: Running, name: str) -> None:
    async with server.client() as client:
        for _ in range(3):
            await client.ask(hot())
        await client.send(hot() + hot() + REFUSED[name] + SMUGGLED)
        assert [answer.status for answer in await client.answers(3)] == [200, 200, 400]
        assert await client.is_closed()
    assert len(server.hot.calls) == 5
    assert "/smuggled" not in server.app.seen


@pytest.mark.parametrize("host", [b"x/?", b"x@y", b"", b"x:80:80"])
async def test_a_hot_path_is_no_exception(server: Running, host: bytes) -> None:
    async with server.client() as client:
        await client.ask(hot())
        answer = await client.ask(hot().replace(b"latchwork.test", host) + SMUGGLED)
        assert answer.status == 400
        assert await client.is_closed()
    assert len(server.hot.calls) == 1
    assert server.app.seen == []


def test_the_table_is_as_long_as_it_was() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "SOURCE", "LINK", "QUERY"])
async def test_a_method_that_nothing_here_has_is_refused(server: Running, method: str) -> None:
    target = "latchwork.test:80" if method == "CONNECT" else HOT
    async with server.client() as client:
        answer = await client.ask(request(method, target) + SMUGGLED)
        assert answer.status == 405
        assert answer.header("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert await client.is_closed()
    assert server.app.seen == []


async def test_a_refusal_has_the_envelope_and_headers_of_every_answer(server: Running) -> None:
    async with server.client() as client:
        refusal = await client.ask(_get(b"Host: a", b"Host: b", target=b"/v2/things?x=1"))
    assert refusal.body == b'{"meta":{"requestId":"req_000000400"},"data":[400, "/v2/things"]}'
    assert [name for name, _ in refusal.headers] == [
        "date",
        "content-type",
        "content-length",
        "x-request-id",
        "x-content-type-options",
        "x-frame-options",
        "content-security-policy",
        "referrer-policy",
        "cache-control",
        "connection",
    ]
    assert refusal.header("x-request-id") == "req_000000400"


async def test_a_refusal_waits_for_the_answers_before_it(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/slow") + hot() + _get(b"Host: a", b"Host: b") + SMUGGLED)
        await server.app.arrival()
        server.app.gate.set()
        assert [answer.status for answer in await client.answers(3)] == [200, 200, 400]
        assert await client.is_closed()
    assert server.app.seen == ["/slow"]


async def test_a_request_that_breaks_off_before_its_turn_never_reaches_the_application(
    server: Running,
) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/slow") + REFUSED["a chunk size that is no number"] + SMUGGLED)
        await server.app.arrival()
        server.app.gate.set()
        assert [answer.status for answer in await client.answers(2)] == [200, 400]
        assert await client.is_closed()
    assert server.app.seen == ["/slow"]


async def test_nothing_after_the_last_request_is_read(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/x", b"Connection: close") + hot() + SMUGGLED)
        assert (await client.answer()).header("connection") == "close"
        assert await client.is_closed()
    assert (server.app.seen, server.hot.calls) == (["/x"], [])


@pytest.mark.parametrize("host", [b"a", b"a_b.test:8080", b"10.0.0.1", b"[::1]:80", b"xn--a.test."])
async def test_ordinary_hosts_are_accepted(server: Running, host: bytes) -> None:
    async with server.client() as client:
        assert (await client.ask(_get(b"Host: " + host))).status == 200


async def test_an_old_client_needs_no_host(server: Running) -> None:
    async with server.client() as client:
        assert (await client.ask(_get(version=b"HTTP/1.0"))).status == 200


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n"])
async def test_empty_lines_before_a_request_are_skipped(server: Running, before: bytes) -> None:
    async with server.client() as client:
        for _ in range(4):
            assert (await client.ask(before + hot())).status == 200
    assert len(server.hot.calls) == 4


async def test_a_chunked_body_and_its_trailers_arrive_without_the_trailers(server: Running) -> None:
    body = b"5\r\nabcde\r\n3;a=b\r\nfgh\r\n0\r\nX-Trailer: y\r\n\r\n"
    async with server.client() as client:
        answer = await client.ask(_CHUNKED + body)
        assert b'"body": "abcdefgh"' in answer.body
        assert b"x-trailer" not in answer.body
        assert (await client.ask(hot())).status == 200
