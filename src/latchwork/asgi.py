"""The ASGI application: dispatches to the mounted surfaces by path and answers hot paths before them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

from latchwork.surfaces.http.client_ip import Networks, client_ip
from latchwork.surfaces.http.hot import Answer, HotHandler, Later, request_id_of, token_digest
from latchwork.surfaces.http.ordinary import Ordinary, Screen
from latchwork.surfaces.http.security import SECURITY_HEADERS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]

ASKED = "latchwork.asked"
"""The key in a scope's `extensions` by which our server says that the hot handler has been asked already."""

_log = logging.getLogger(__name__)


class LifespanFailed(Exception):
    """A mounted application could not start or stop; the message is its own."""


class Application:
    """One ASGI application made of several, each serving the full paths under its prefix."""

    def __init__(
        self,
        mounts: Mapping[str, ASGIApp],
        *,
        fallback: ASGIApp,
        hot: Mapping[str, HotHandler] | None = None,
        lifespan: Lifespan = nullcontext,
        trusted: Networks = (),
        another_way: Iterable[bytes] = (),
        hot_body_bytes: int = 65_536,
    ) -> None:
        """`mounts`: by prefix; `/api` serves `/api` and `/api/…`, the longest wins, `fallback` has the rest.

        `lifespan` surrounds the lifespans of all mounted applications. `hot`, `trusted`, `another_way` and
        `hot_body_bytes` mean what they mean to the fast lane, so that any ASGI server gives the same answers.
        """
        self._mounts = sorted(mounts.items(), key=lambda mount: len(mount[0]), reverse=True)
        self._fallback = fallback
        self._hot = dict(hot or {})
        self._lifespan = lifespan
        self._trusted = trusted
        self._screen = Screen(another_way)
        self._hot_body_bytes = hot_body_bytes
        self.failure: BaseException | None = None
        """Why the application did not start, once it has failed to."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection, or run through start and stop."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] in self._hot:
            remaining = await self._answer(scope, receive, send)
            if remaining is None:
                return
            receive = remaining
        await self._mounted(scope["path"])(scope, receive, send)

    def _mounted(self, path: str) -> ASGIApp:
        for prefix, app in self._mounts:
            if path.startswith(prefix) and (prefix.endswith("/") or path[len(prefix) :][:1] in ("", "/")):
                return app
        return self._fallback

    # Hot paths

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        """Answer a hot request; else what the mounted application shall receive from."""
        ordinary = self._screened(scope)
        if ordinary is None:
            return receive
        body = await _body(receive)
        if body is None:
            return None
        authorization, _, _, _, forwarded = ordinary
        peer = (scope.get("client") or ("",))[0]
        answer = self._ask(scope["path"], authorization, body, client_ip(peer, forwarded, self._trusted))
        if answer is None:
            return _replaying(body, receive)
        await _send(answer if isinstance(answer, (bytes, Answer)) else await _finished(answer), send)
        return None

    def _screened(self, scope: Scope) -> Ordinary | None:
        if scope["method"] != "POST" or scope["query_string"] or ASKED in scope.get("extensions", ()):
            return None
        ordinary = self._screen.sift(scope["headers"])
        return None if ordinary is None or ordinary[1] > self._hot_body_bytes else ordinary

    def _ask(self, path: str, authorization: bytes, body: bytes, ip: str) -> bytes | Answer | Later | None:
        try:
            return self._hot[path](token_digest(authorization), body, ip)
        except Exception:  # noqa: BLE001 - whatever failed, the application renders it
            _log.exception("A hot handler failed; the application serves the request.")
            return None

    # Start and stop

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.get("state", {})
        await receive()
        stack = AsyncExitStack()
        try:
            await self._start(stack, state)
        except Exception as error:  # noqa: BLE001 - told to the server, which ends
            self.failure = error
            _log.exception("The application could not start.")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await stack.aclose()
        except Exception as error:  # noqa: BLE001 - told to the server, which ends
            _log.exception("The application could not stop cleanly.")
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, stack: AsyncExitStack, state: Mapping[str, Any]) -> None:
        async with AsyncExitStack() as begun:
            await begun.enter_async_context(self._lifespan())
            apps = {id(app): app for app in (*(app for _, app in self._mounts), self._fallback)}
            for app in apps.values():
                await begun.enter_async_context(_alive(app, state))
            stack.push_async_exit(begun.pop_all())


def response_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of a hot answer, in the order in which every door sends them."""
    return [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id_of(answer.body)),
        *SECURITY_HEADERS,
        *answer.all_headers(),
    ]


async def _body(receive: Receive) -> bytes | None:
    """The whole body, whose length the screen has limited; `None` when the client has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, which has been read, and then what `receive` gives."""
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return given.pop() if given else await receive()

    return replay


async def _finished(later: Later) -> bytes | Answer:
    future: asyncio.Future[bytes | Answer] = asyncio.get_running_loop().create_future()
    later.then(lambda answer: None if future.done() else future.set_result(answer))
    return await future


async def _send(answer: bytes | Answer, send: Send) -> None:
    if isinstance(answer, bytes):
        answer = Answer(200, answer)
    headers = response_headers(answer)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


@asynccontextmanager
async def _alive(app: ASGIApp, state: Mapping[str, Any]) -> AsyncIterator[None]:
    """Keep a mounted application between its start and its stop; one without a lifespan just lives."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    running = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    told = await _told("lifespan.startup", running, inbox, outbox)
    try:
        yield
    finally:
        if told:
            await _told("lifespan.shutdown", running, inbox, outbox)
            await asyncio.wait({running})


async def _told(
    event: str,
    running: asyncio.Future[None],
    inbox: asyncio.Queue[Message],
    outbox: asyncio.Queue[Message],
) -> bool:
    """Tell the application of an event; false when it ended without a word. Raises `LifespanFailed`."""
    inbox.put_nowait({"type": event})
    word = asyncio.ensure_future(outbox.get())
    waits: set[asyncio.Future[Any]] = {running, word}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not word.done():
        word.cancel()
        _log.debug("A mounted application has no lifespan.", exc_info=running.exception())
        return False
    message = word.result()
    if message["type"].endswith(".failed"):
        raise LifespanFailed(message.get("message", ""))
    return True
