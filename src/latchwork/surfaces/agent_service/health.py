"""`/health/live` and `/health/ready`: what an orchestrator asks, without saying anything about the inside."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.types import Receive, Scope, Send

from latchwork.surfaces.http.security import SECURITY_HEADERS

LIVE, READY = "/health/live", "/health/ready"


class HealthApplication:
    """Answers 200 or 503. `ready` says whether requests can be served; it must not take long or fail."""

    def __init__(self, ready: Callable[[], Awaitable[bool]]) -> None:
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, word = await self._answer(scope["path"], scope["method"])
        body = msgspec.json.encode({"status": word})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *SECURITY_HEADERS,
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, path: str, method: str) -> tuple[int, str]:
        if path not in (LIVE, READY):
            return 404, "not found"
        if method not in ("GET", "HEAD"):
            return 405, "method not allowed"
        if path == LIVE:
            return 200, "alive"
        return (200, "ready") if await self._ready() else (503, "not ready")
