"""Verdicts and faults as a proxy understands them: a status, and headers that it hands on."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from latchwork.domains.ratelimits import SHADOW, LimitState
from latchwork.domains.verification import BoundLimit, KeySnapshot, Outcome, Verdict
from latchwork.kernel.faults import Fault
from latchwork.surfaces.forward_auth.faults import UnknownKey
from latchwork.surfaces.http.faults import headers_of
from latchwork.surfaces.http.hot import PROBLEM, Answer

LONGEST_VALUE = 1_024
"""Bytes of one identity header; what is longer is left empty, because proxies refuse long headers whole."""

_LONGEST_DETAIL = 300  # in the header; the body has all of it

REFUSALS = {
    Outcome.DISABLED: (401, "Unauthorized", "unkey/authorization/key_disabled"),
    Outcome.EXPIRED: (401, "Unauthorized", "user/authentication/key_expired"),
    Outcome.FORBIDDEN: (403, "Forbidden", "unkey/authorization/forbidden"),
    Outcome.INSUFFICIENT_PERMISSIONS: (
        403,
        "Insufficient Permissions",
        "unkey/authorization/insufficient_permissions",
    ),
    Outcome.RATE_LIMITED: (429, "Too Many Requests", "user/too_many_requests/rate_limited"),
    Outcome.USAGE_EXCEEDED: (429, "Too Many Requests", "user/too_many_requests/usage_exceeded"),
}
"""Status, title and code of each refusal of a key that was found (RFC 6750: 401 when another key would do)."""

_BEARER_INVALID = (b"www-authenticate", b'Bearer error="invalid_token"')
_UNSAFE = re.compile(r"[^\x21-\x24\x26-\x2b\x2d-\x7e]")  # all but printable ASCII, and percent and comma
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%,")

Headers = tuple[tuple[bytes, bytes], ...]


def verdict_answer(request_id: str, verdict: Verdict, now_ms: int, error_pages: str) -> Answer:
    """The answer to a question: 200, or a refusal with a problem document (RFC 9457)."""
    snapshot = verdict.snapshot
    if snapshot is None:
        return fault_answer(request_id, UnknownKey(), error_pages)
    if verdict.outcome is not Outcome.VALID:
        return _refused(request_id, verdict, now_ms, error_pages)
    lines = b"%bx-latchwork-remaining: %b\r\n%b" % (
        _identity(snapshot),
        _remaining(verdict),
        _limit_lines(verdict, now_ms) if verdict.limits else b"",
    )
    body = b'{"meta":{"requestId":"%b"},"data":{"valid":true,"code":"VALID"}}' % request_id.encode()
    return Answer(200, body, lines=lines)


def _remaining(verdict: Verdict) -> bytes:
    """What may still be spent: the key's credits, its identity's, or the fewer of both."""
    left, shared = verdict.remaining, verdict.identity_remaining
    if left is None or (shared is not None and shared < left):
        left = shared
    return b"" if left is None else b"%d" % left


def fault_answer(request_id: str, fault: Fault, error_pages: str) -> Answer:
    """The answer to a question that cannot be decided, or that was asked without a key."""
    headers = headers_of(fault)
    if isinstance(fault, UnknownKey):
        headers = (_BEARER_INVALID,)
    problem = {
        "type": error_pages + fault.code,
        "title": fault.title,
        "status": fault.status,
        "detail": fault.detail,
    }
    return _problem(request_id, problem, headers)


def _refused(request_id: str, verdict: Verdict, now_ms: int, error_pages: str) -> Answer:
    status, title, code = REFUSALS[verdict.outcome]
    headers: Headers = (_BEARER_INVALID,) if status == 401 else ()
    problem: dict[str, Any] = {
        "type": error_pages + code,
        "title": title,
        "status": status,
        "detail": verdict.reason,
        "code": verdict.outcome.value,
    }
    if verdict.retry_at_ms is not None:
        problem["retryAt"] = verdict.retry_at_ms
        headers = (*headers, (b"retry-after", b"%d" % _seconds_until(verdict.retry_at_ms, now_ms)))
    return _problem(request_id, problem, headers, _limit_lines(verdict, now_ms))


def _problem(request_id: str, problem: dict[str, Any], headers: Headers, lines: bytes = b"") -> Answer:
    """The document, and the same on one line in a header for proxies that drop the body of a refusal."""
    body = json.dumps({"meta": {"requestId": request_id}} | problem, separators=(",", ":"))
    detail = problem["detail"]
    if len(detail) > _LONGEST_DETAIL:
        problem["detail"] = detail[: _LONGEST_DETAIL - 1] + "…"
    line = json.dumps(problem, separators=(",", ":"))
    headers = (*headers, (b"x-latchwork-problem", line.encode()))
    return Answer(problem["status"], body.encode(), PROBLEM, headers, lines)


def _limit_lines(verdict: Verdict, now_ms: int) -> bytes:
    """`RateLimit-*` of the limit nearest to refusing, or of the one that refuses longest."""
    nearest: tuple[BoundLimit, LimitState] | None = None
    for bound, state in verdict.limits or ():
        if bound.rule.mode != SHADOW and (nearest is None or _is_nearer(state, nearest[1])):
            nearest = bound, state
    if nearest is None:
        return b""
    bound, state = nearest
    return b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n" % (
        bound.rule.limit,
        state.remaining,
        _seconds_until(state.reset_ms, now_ms),
    )


def _is_nearer(one: LimitState, other: LimitState) -> bool:
    if one.exceeded or other.exceeded:
        return one.exceeded and (not other.exceeded or one.reset_ms > other.reset_ms)
    return one.remaining < other.remaining


def _seconds_until(moment_ms: int, now_ms: int) -> int:
    """Whole seconds, rounded up, at least 1."""
    return max(1, -((now_ms - moment_ms) // 1000))


@lru_cache(maxsize=4_096)
def _identity(snapshot: KeySnapshot) -> bytes:
    """Who the key is, in lines of headers; the same for every answer about this snapshot.

    All of them are always sent, empty where there is nothing to tell: proxies that replace a client's header
    only by one of ours (Envoy), or that take the lack of one literally (Caddy), would else let through lies.
    """
    told = (
        (b"x-latchwork-key-id", [snapshot.key_id]),
        (b"x-latchwork-key-name", [snapshot.name or ""]),
        (b"x-latchwork-identity-id", [snapshot.identity_id]),
        (b"x-latchwork-external-id", [snapshot.external_id]),
        (b"x-latchwork-permissions", sorted(snapshot.permissions)),
        (b"x-latchwork-roles", snapshot.roles),
    )
    values = ((name, listed(texts)) for name, texts in told)
    return b"".join(
        b"%b: %b\r\n" % (name, value if len(value) <= LONGEST_VALUE else b"") for name, value in values
    )


def listed(texts: Iterable[str]) -> bytes:
    """Texts as one header value, separated by commas.

    Printable ASCII stays as it is; all else, the space, the comma and the percent sign are percent-encoded
    UTF-8, so that nothing can break out of the header or into its neighbour.
    """
    return ",".join(quote(text, safe=_SAFE) if _UNSAFE.search(text) else text for text in texts).encode()
