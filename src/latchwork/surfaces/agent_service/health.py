"""`/health/live`, `/health/ready` and `/health`: what orchestrators ask, and what people look at.

Anybody is told how each part fares in a word; the numbers behind it are for administrators.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.types import Receive, Scope, Send

from latchwork.surfaces.http.docs import IsAdmin, nobody
from latchwork.surfaces.http.security import SECURITY_HEADERS

HEALTH, LIVE, READY = "/health", "/health/live", "/health/ready"


@dataclass(frozen=True, slots=True)
class Part:
    """How a part fares. One that is `off` was not wanted, or cannot be in this installation."""

    status: Literal["ok", "failing", "off"]
    facts: Mapping[str, int | str]
    """For administrators, by their names in JSON."""


Parts = Mapping[str, Callable[[], Part]]


class HealthApplication:
    """Answers 200 or 503. `ready` says whether requests can be served; it must not take long or fail."""

    def __init__(
        self, ready: Callable[[], Awaitable[bool]], parts: Parts | None = None, is_admin: IsAdmin = nobody
    ) -> None:
        self._ready = ready
        self._parts = parts or {}
        self._is_admin = is_admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, told = await self._answer(scope)
        body = msgspec.json.encode(told)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *SECURITY_HEADERS,
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope) -> tuple[int, dict[str, Any]]:
        path = scope["path"]
        if path not in (HEALTH, LIVE, READY):
            return 404, {"status": "not found"}
        if scope["method"] not in ("GET", "HEAD"):
            return 405, {"status": "method not allowed"}
        if path == LIVE:
            return 200, {"status": "alive"}
        is_ready = await self._ready()
        if path == HEALTH:
            return await self._whole(scope, is_ready=is_ready)
        return (200, {"status": "ready"}) if is_ready else (503, {"status": "not ready"})

    async def _whole(self, scope: Scope, *, is_ready: bool) -> tuple[int, dict[str, Any]]:
        """Every part: 503 only where nothing can be served, as all but the database can be done without."""
        found = {"database": Part("ok" if is_ready else "failing", {})}
        found |= {name: ask() for name, ask in self._parts.items()}
        is_well = all(part.status != "failing" for part in found.values())
        in_full = is_ready and await self._is_admin(scope)
        told = {
            name: {"status": part.status} | (dict(part.facts) if in_full else {})
            for name, part in found.items()
        }
        return 200 if is_ready else 503, {"status": "ok" if is_well else "degraded", "parts": told}
