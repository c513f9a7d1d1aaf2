"""What every web framework's guard does: find the key, have it verified, and say no in HTTP.

The helpers for frameworks differ only in how they read a request and write an answer.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from latchwork.client.calls import Call, LimitCheck, verify_key
from latchwork.client.errors import LatchworkError, TooManyRequests, Unavailable
from latchwork.client.results import Verification
from latchwork.client.verbs import Awaited, Blocking

WhenUnavailable = Literal["refuse", "allow"]
"""What becomes of a request when there is no verdict: `refuse` (503) protects what is behind, `allow` lets
everybody in who sends something in place of a key, with a `Verification` that is `assumed`."""

KEY_HEADERS = ("Authorization", "X-API-Key")
MEDIA_TYPE = "application/problem+json"

Sent = Callable[[str], Sequence[str]]
"""`sent(name)`: the values of a request's header, in the order sent."""

_STATUSES = {
    "NOT_FOUND": (401, "Unauthorized", "The key is not valid here."),
    "DISABLED": (401, "Unauthorized", "The key is disabled."),
    "EXPIRED": (401, "Unauthorized", "The key has expired."),
    "FORBIDDEN": (403, "Forbidden", "The key may not be used so."),
    "INSUFFICIENT_PERMISSIONS": (403, "Insufficient Permissions", "The key lacks permissions."),
    "RATE_LIMITED": (429, "Too Many Requests", "A limit is used up."),
    "USAGE_EXCEEDED": (429, "Too Many Requests", "The credits are used up."),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in HTTP: a problem document (RFC 9457), its status and headers."""

    status: int
    problem: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def body(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.problem).encode()


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a key must satisfy; see `latchwork.client.calls.verify_key`."""

    permissions: str | None = None
    cost: int | None = None
    ratelimits: Sequence[LimitCheck] = ()
    tags: Sequence[str] = ()
    keyspaces: Sequence[str] = ()


class Guard:
    """Decides about requests, whatever the framework."""

    def __init__(
        self, *, when_unavailable: WhenUnavailable, key_headers: Sequence[str] = KEY_HEADERS
    ) -> None:
        if when_unavailable not in ("refuse", "allow"):
            raise ValueError(f"when_unavailable is 'refuse' or 'allow', not {when_unavailable!r}")
        self._allows = when_unavailable == "allow"
        self._key_headers = tuple(key_headers)

    def check(
        self, client: Blocking, sent: Sent, ip: str | None, conditions: Conditions
    ) -> Verification | Refusal:
        """The verdict that lets a request pass, or the answer that refuses it.

        Raises `Refused` when the server declines to verify, which is a mistake in the application's set-up.
        """
        call = self._call(sent, ip, conditions)
        if isinstance(call, Refusal):
            return call
        try:
            return _judged(client.send(call))
        except (Unavailable, TooManyRequests) as error:
            return self._without_verdict(error)

    async def acheck(
        self, client: Awaited, sent: Sent, ip: str | None, conditions: Conditions
    ) -> Verification | Refusal:
        """`check`, awaited."""
        call = self._call(sent, ip, conditions)
        if isinstance(call, Refusal):
            return call
        try:
            return _judged(await client.send(call))
        except (Unavailable, TooManyRequests) as error:
            return self._without_verdict(error)

    def _call(self, sent: Sent, ip: str | None, conditions: Conditions) -> Call[Verification] | Refusal:
        for name in self._key_headers:
            values = sent(name)
            if len(values) > 1:
                return _refusal(401, "Unauthorized", f"The header {name} came more than once.")
            key = _key_in(name, values[0]) if values else ""
            if len(key) > 512:
                return _refusal(*_STATUSES["NOT_FOUND"], code="NOT_FOUND")
            if key:
                return verify_key(
                    key,
                    permissions=conditions.permissions,
                    cost=conditions.cost,
                    ratelimits=conditions.ratelimits,
                    tags=conditions.tags,
                    keyspaces=conditions.keyspaces,
                    client_ip=ip,
                )
        return _refusal(401, "Unauthorized", f"Send your API key as {self._in_words()}.")

    def _in_words(self) -> str:
        return " or ".join(
            "'Authorization: Bearer KEY'" if name.lower() == "authorization" else f"'{name}: KEY'"
            for name in self._key_headers
        )

    def _without_verdict(self, error: LatchworkError) -> Verification | Refusal:
        if self._allows:
            _log.warning("A request passes unverified: %s", error)
            return Verification(valid=True, code="UNVERIFIED", assumed=True)
        _log.warning("A request is refused, because its key cannot be verified: %s", error)
        detail = "Access cannot be checked right now. Please try again."
        return _refusal(503, "Service Unavailable", detail, headers={"Retry-After": "1"})


def _key_in(name: str, value: str) -> str:
    if name.lower() != "authorization":
        return value.strip()
    scheme, _, key = value.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _judged(verdict: Verification) -> Verification | Refusal:
    if verdict.valid:
        return verdict
    status, title, detail = _STATUSES.get(verdict.code, (403, "Forbidden", "The key may not be used so."))
    headers = {}
    if status == 429:
        headers = _limit_headers(verdict)
    return _refusal(status, title, verdict.reason or detail, code=verdict.code, headers=headers)


def _limit_headers(verdict: Verification) -> dict[str, str]:
    import time

    now_ms = time.time() * 1000
    headers = {}
    if verdict.retry_at_ms is not None:
        headers["Retry-After"] = _seconds(verdict.retry_at_ms - now_ms)
    over = [limit for limit in verdict.ratelimits if limit.exceeded]
    if over:
        longest = max(over, key=lambda limit: limit.reset_ms)
        headers["RateLimit-Limit"] = str(longest.limit)
        headers["RateLimit-Remaining"] = str(longest.remaining)
        headers["RateLimit-Reset"] = _seconds(longest.reset_ms - now_ms)
    return headers


def _seconds(duration_ms: float) -> str:
    return str(max(1, -int(-duration_ms // 1000)))


def _refusal(
    status: int, title: str, detail: str, *, code: str = "", headers: Mapping[str, str] | None = None
) -> Refusal:
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    told = dict(headers or {})
    if code:
        problem["code"] = code
    if status == 401:
        told["WWW-Authenticate"] = 'Bearer error="invalid_token"' if code else "Bearer"
    return Refusal(status, problem, told)
