"""The application of applications: which one serves a path, and how they start and stop together."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from latchwork.asgi import Application, Message, Receive, Scope, Send

Told = list[str]


def _named(name: str, told: Told) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An application that says its name and the path it was given, and notes its own start and stop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                told.append(f"{name} {event}")
                scope["state"].setdefault("started", []).append(name)
                await send({"type": f"lifespan.{event}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{name} {scope['path']}".encode()})

    return app


async def _without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"


async def _failing_to_start(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no disk"})


async def _failing_to_stop(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "disk full"})


async def _get(application: Application, path: str, kind: str = "http") -> str:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": kind, "method": "GET", "path": path, "headers": [], "query_string": b""}
    await application(scope, receive, send)
    return bytes(sent[1]["body"]).decode()


async def _live(application: Application, state: dict[str, Any] | None = None) -> list[Message]:
    """Start and stop; what the application answered."""
    events: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return events.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await application({"type": "lifespan", "state": {} if state is None else state}, receive, send)
    return sent


MOUNTED = {
    "/v2/keys.verifyKey": "rpc",
    "/v2/": "rpc",
    "/api": "operations",
    "/api/": "operations",
    "/api/x/y": "operations",
    "/api/v2": "resources",
    "/api/v2/things": "resources",
    "/api/v2x": "operations",
    "/apiary": "rest",
    "/v2": "rest",
    "/": "rest",
    "": "rest",
    "//api": "rest",
    "/API": "rest",
    "/api;x": "rest",
    "/v2/../api": "rpc",
    "/health": "health",
    "/health/": "health",
    "/healthy": "rest",
}


@pytest.mark.parametrize("path", MOUNTED)
async def test_the_longest_prefix_serves_the_path_as_it_was_sent(path: str) -> None:
    told: Told = []
    mounts = {"/api": "operations", "/v2/": "rpc", "/api/v2": "resources", "/health": "health"}
    application = Application(
        {prefix: _named(name, told) for prefix, name in mounts.items()}, fallback=_named("rest", told)
    )
    assert await _get(application, path) == f"{MOUNTED[path]} {path}"


async def test_everything_starts_inside_the_platform_and_stops_before_it() -> None:
    told: Told = []

    @asynccontextmanager
    async def platform() -> AsyncIterator[None]:
        told.append("platform startup")
        yield
        told.append("platform shutdown")

    one = _named("one", told)
    application = Application(
        {"/a": one, "/b": one, "/c": _without_lifespan}, fallback=_named("rest", told), lifespan=platform
    )
    state: dict[str, Any] = {}
    sent = await _live(application, state)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert told == [
        "platform startup",
        "one startup",
        "rest startup",
        "rest shutdown",
        "one shutdown",
        "platform shutdown",
    ]
    assert state["started"][:2] == ["one", "rest"]
    assert application.failure is None


async def test_when_one_cannot_start_those_that_did_are_stopped() -> None:
    told: Told = []
    application = Application({"/a": _named("one", told)}, fallback=_failing_to_start)
    (answer,) = await _live(application)
    assert answer == {"type": "lifespan.startup.failed", "message": "no disk"}
    assert told == ["one startup", "one shutdown"]
    assert str(application.failure) == "no disk"


async def test_when_one_cannot_stop_the_others_still_do() -> None:
    told: Told = []
    application = Application({"/a": _named("one", told)}, fallback=_failing_to_stop)
    started, stopped = await _live(application)
    assert started["type"] == "lifespan.startup.complete"
    assert stopped == {"type": "lifespan.shutdown.failed", "message": "disk full"}
    assert told == ["one startup", "one shutdown"]


def _hot_scope(length: int) -> dict[str, Any]:
    headers = [(b"host", b"a"), (b"authorization", b"a"), (b"content-length", b"%d" % length)]
    return {
        "type": "http",
        "method": "POST",
        "path": "/hot",
        "headers": headers,
        "query_string": b"",
        "client": None,
    }


async def test_a_body_in_pieces_reaches_the_handler_whole_and_the_application_in_one() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"cd"},
        {"type": "http.disconnect"},
    ]
    seen: list[object] = []

    def decline(token: bytes, body: bytes, ip: str) -> None:
        seen.append((token, body, ip))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    async def receive() -> Message:
        return pieces.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError

    await Application({}, fallback=app, hot={"/hot": decline})(_hot_scope(4), receive, send)
    assert seen == [
        (b"", b"abcd", ""),
        {"type": "http.request", "body": b"abcd", "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_a_client_that_leaves_while_it_sends_is_asked_about_nowhere() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError

    def handler(token: bytes, body: bytes, ip: str) -> None:
        raise AssertionError

    application = Application({}, fallback=_without_lifespan, hot={"/hot": handler})
    await application(_hot_scope(4), receive, send)
