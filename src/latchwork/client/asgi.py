"""A middleware for Starlette, FastAPI and every other ASGI application: no request gets in without a good key."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from latchwork.client.asynchronous import AsyncLatchwork
from latchwork.client.calls import LimitCheck
from latchwork.client.guards import KEY_HEADERS, MEDIA_TYPE, Conditions, Guard, Refusal, Sent, WhenUnavailable

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION = 1008


class KeyMiddleware:
    """Verifies the key of every HTTP request and WebSocket before the application sees it.

    The verdict is in `scope["state"]["latchwork"]`, which Starlette calls `request.state.latchwork`. `skip` are
    paths that need no key, whole and exact. Put it inside a CORS middleware: preflights carry no key.
    """

    def __init__(
        self,
        app: ASGIApp,
        client: AsyncLatchwork,
        *,
        when_unavailable: WhenUnavailable,
        permissions: str | None = None,
        cost: int | None = None,
        ratelimits: Sequence[LimitCheck] = (),
        tags: Sequence[str] = (),
        keyspaces: Sequence[str] = (),
        skip: Sequence[str] = (),
        key_headers: Sequence[str] = KEY_HEADERS,
    ) -> None:
        self._app = app
        self._client = client
        self._guard = Guard(when_unavailable=when_unavailable, key_headers=key_headers)
        self._conditions = Conditions(permissions, cost, ratelimits, tags, keyspaces)
        self._skip = frozenset(skip)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in self._skip:
            await self._app(scope, receive, send)
            return
        peer = scope.get("client")
        verdict = await self._guard.acheck(
            self._client, sent_of(scope), peer[0] if peer else None, self._conditions
        )
        if isinstance(verdict, Refusal):
            await _refuse(verdict, scope, receive, send)
            return
        state = scope.get("state", {}) | {"latchwork": verdict}
        await self._app({**scope, "state": state}, receive, send)


def sent_of(scope: Scope) -> Sent:
    """Reads the headers of an ASGI request."""

    def sent(name: str) -> list[str]:
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in scope["headers"] if key == wanted]

    return sent


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    prefix = "http"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        prefix = "websocket.http"
    body = refusal.body
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body))} | dict(refusal.headers)
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{prefix}.response.start", "status": refusal.status, "headers": raw})
    sends_body = scope.get("method") != "HEAD"
    await send({"type": f"{prefix}.response.body", "body": body if sends_body else b""})
