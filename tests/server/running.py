"""A server of ours with a small application and hot handlers that remember what they were asked."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from latchwork.asgi import ASKED, Application, Receive, Scope, Send
from latchwork.server.fastlane import FastProtocol, fast_protocol
from latchwork.server.limits import Limits
from latchwork.server.run import GracefulServer, bind
from latchwork.surfaces.http.client_ip import Networks, networks
from latchwork.surfaces.http.hot import Answer, HotHandler
from tests.server.wire import BARE, HOT, PATIENCE_S, Client


def envelope(number: int, data: bytes) -> bytes:
    """The body of an answer, as every surface begins it."""
    return b'{"meta":{"requestId":"req_%09d"},"data":%b}' % (number, data)


def render_error(status: int, path: str) -> bytes:
    """The body of a refusal."""
    return envelope(status, json.dumps([status, path]).encode())


class FakeLater:
    """An answer that the test finishes."""

    def __init__(self) -> None:
        self._callback: Callable[[bytes | Answer], None] | None = None
        self._answer: bytes | Answer | None = None

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        if self._answer is not None:
            callback(self._answer)
        self._callback = callback

    def finish(self, answer: bytes | Answer) -> None:
        self._answer = answer
        if self._callback is not None:
            self._callback(answer)


class Hot:
    """A hot handler that does what the body says, and remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, bytes, str]] = []
        self.laters: asyncio.Queue[FakeLater] = asyncio.Queue()

    def __call__(self, token: bytes, body: bytes, ip: str) -> bytes | Answer | FakeLater | None:
        self.calls.append((token, body, ip))
        kind = body.partition(b" ")[0].strip(b'"')
        act = getattr(self, "_" + kind.decode("latin-1"), None) if kind.isalpha() else None
        return envelope(len(self.calls), body) if act is None else act(body)

    def _none(self, body: bytes) -> None:
        return None

    def _fail(self, body: bytes) -> None:
        raise RuntimeError("planted")

    def _other(self, body: bytes) -> Answer:
        headers = ((b"retry-after", b"7"), (b"ratelimit-limit", b"10"))
        return Answer(429, envelope(len(self.calls), body), b"application/problem+json", headers)

    def _split(self, body: bytes) -> Answer:
        return Answer(200, envelope(len(self.calls), body), headers=((b"x-evil", b"a\r\nx-more: b"),))

    def _later(self, body: bytes) -> FakeLater:
        later = FakeLater()
        self.laters.put_nowait(later)
        return later

    def _already(self, body: bytes) -> FakeLater:
        later = FakeLater()
        later.finish(envelope(len(self.calls), body))
        return later

    def _passed(self, body: bytes) -> Answer:
        return Answer(200, envelope(len(self.calls), body), headers=((b"x-who", b"me"),))

    def bind(self, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> HotHandler | None:
        """Answer for a head as for a body that says what the query says; `unbound` is for the application."""
        if query == b"unbound":
            return None
        who = b",".join(value for name, value in headers if name == b"x-key")
        return lambda token, body, ip: self(who, b'"%b"' % query + body, ip)

    async def later(self) -> FakeLater:
        """The next unfinished answer, once a request has been given it."""
        return await asyncio.wait_for(self.laters.get(), PATIENCE_S)


class App:
    """Says what it was asked; some paths behave in a way of their own."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        self.seen.append(scope["path"])
        self.arrived.put_nowait(scope["path"])
        act: Callable[..., Awaitable[None]] = getattr(self, "_" + scope["path"][1:], self._echo)
        await act(scope, receive, send)

    async def arrival(self) -> str:
        """The path of the next request, once it is here."""
        return await asyncio.wait_for(self.arrived.get(), PATIENCE_S)

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        said = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "length": len(body),
            "body": body[:200].decode("latin-1"),
            "asked": ASKED in scope.get("extensions", {}),
            "headers": sorted(name.decode() for name, _ in scope["headers"]),
            "client": scope["client"][0],
        }
        await _say(send, json.dumps(said).encode())

    async def _slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        await self._echo(scope, receive, send)

    async def _early(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b'"early"')

    async def _unread(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        await _say(send, b'"unread"')

    async def _patient(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    async def _started(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await self._patient(scope, receive, send)

    async def _long(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 262_144, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _crash(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("planted")


async def _whole(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body  # type: ignore[no-any-return]


async def _say(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Running:
    """A server between its start and its stop, and everything a test may look at."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        trusted: tuple[str, ...] = (),
        another_way: tuple[bytes, ...] = (),
        heads: int = 4_096,
        lane: bool = True,
    ) -> None:
        self.hot = Hot()
        self.app = App()
        self.now_s = 0.0
        proxies: Networks = networks(trusted)
        handlers = {HOT: self.hot}
        self.protocol: type[FastProtocol] = fast_protocol(
            handlers,
            bound={BARE: self.hot.bind},
            render_error=render_error,
            limits=limits,
            trusted=proxies,
            another_way=another_way,
            heads=heads,
            clock=lambda: self.now_s,
        )
        self.application = Application(
            {}, fallback=self.app, hot=handlers, trusted=proxies, another_way=another_way
        )
        http: Any = self.protocol if lane else HttpToolsProtocol
        ready = asyncio.Event()
        self._ready = ready
        self.server = GracefulServer(self.application, http=http, on_ready=ready.set)

    async def __aenter__(self) -> Self:
        self._sock = bind("127.0.0.1", 0)
        self.port: int = self._sock.getsockname()[1]
        self.task = asyncio.create_task(self.server._serve([self._sock]))
        await asyncio.wait_for(self._ready.wait(), PATIENCE_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.gate.set()
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        if self.server.should_exit:
            await self.task
        else:
            await self._end()

    async def _end(self) -> None:
        """End at once what no test stopped; a graceful stop takes uvicorn two tenths of a second."""
        self.task.cancel()
        await asyncio.wait({self.task})
        for listening in self.server.servers:
            listening.close()
        self._sock.close()
        while self.server.server_state.connections or self.server.server_state.tasks:
            await asyncio.sleep(0)
        await self.server.lifespan.shutdown()

    def client(self) -> Client:
        """A connection to be opened with `async with`."""
        return Client("127.0.0.1", self.port)

    def sweep(self, now_s: float) -> None:
        """Let the deadlines be looked at, at a time of the test's choosing."""
        self.now_s = now_s
        self.protocol.terms.sweep.run(now_s)
