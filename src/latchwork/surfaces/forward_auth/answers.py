"""Verdicts and faults as a proxy understands them: a status, and headers that it hands on."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from latchwork.domains.ratelimits import SHADOW
from latchwork.domains.verification import KeySnapshot, Outcome, Verdict
from latchwork.kernel.faults import Fault
from latchwork.surfaces.forward_auth.faults import UnknownKey
from latchwork.surfaces.http.faults import ERROR_TYPES, headers_of
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


def verdict_answer(request_id: str, verdict: Verdict, now_ms: int) -> Answer:
    """The answer to a question: 200, or a refusal with a problem document (RFC 9457)."""
    snapshot = verdict.snapshot
    if snapshot is None:
        return fault_answer(request_id, UnknownKey())
    if verdict.outcome is not Outcome.VALID:
        return _refused(request_id, verdict, now_ms)
    remaining = b"" if verdict.remaining is None else b"%d" % verdict.remaining
    headers: Headers = (*_identity(snapshot), (b"x-latchwork-remaining", remaining))
    if verdict.limits:
        headers = (*headers, *_limit_headers(verdict, now_ms))
    body = b'{"meta":{"requestId":"%b"},"data":{"valid":true,"code":"VALID"}}' % request_id.encode()
    return Answer(200, body, headers=headers)


def fault_answer(request_id: str, fault: Fault) -> Answer:
    """The answer to a question that cannot be decided, or that was asked without a key."""
    headers = headers_of(fault)
    if isinstance(fault, UnknownKey):
        headers = (_BEARER_INVALID,)
    problem = {
        "type": ERROR_TYPES + fault.code,
        "title": fault.title,
        "status": fault.status,
        "detail": fault.detail,
    }
    return _problem(request_id, problem, headers)


def _refused(request_id: str, verdict: Verdict, now_ms: int) -> Answer:
    status, title, code = REFUSALS[verdict.outcome]
    headers: Headers = (_BEARER_INVALID,) if status == 401 else ()
    problem: dict[str, Any] = {
        "type": ERROR_TYPES + code,
        "title": title,
        "status": status,
        "detail": verdict.reason,
        "code": verdict.outcome.value,
    }
    if verdict.retry_at_ms is not None:
        problem["retryAt"] = verdict.retry_at_ms
        headers = (*headers, (b"retry-after", b"%d" % _seconds_until(verdict.retry_at_ms, now_ms)))
    if verdict.limits:
        headers = (*headers, *_limit_headers(verdict, now_ms))
    return _problem(request_id, problem, headers)


def _problem(request_id: str, problem: dict[str, Any], headers: Headers) -> Answer:
    """The document, and the same on one line in a header for proxies that drop the body of a refusal."""
    body = json.dumps({"meta": {"requestId": request_id}} | problem, separators=(",", ":"))
    detail = problem["detail"]
    if len(detail) > _LONGEST_DETAIL:
        problem["detail"] = detail[: _LONGEST_DETAIL - 1] + "…"
    line = json.dumps(problem, separators=(",", ":"))
    return Answer(
        problem["status"], body.encode(), PROBLEM, (*headers, (b"x-latchwork-problem", line.encode()))
    )


def _limit_headers(verdict: Verdict, now_ms: int) -> Headers:
    """`RateLimit-*` of the limit nearest to refusing, or of the one that refuses longest."""
    states = [
        (state.exceeded, state.reset_ms if state.exceeded else -state.remaining, bound.rule.limit, state)
        for bound, state in verdict.limits or ()
        if bound.rule.mode != SHADOW
    ]
    if not states:
        return ()
    _, _, limit, state = max(states, key=lambda each: each[:2])
    return (
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % state.remaining),
        (b"ratelimit-reset", b"%d" % _seconds_until(state.reset_ms, now_ms)),
    )


def _seconds_until(moment_ms: int, now_ms: int) -> int:
    """Whole seconds, rounded up, at least 1."""
    return max(1, -((now_ms - moment_ms) // 1000))


@lru_cache(maxsize=4_096)
def _identity(snapshot: KeySnapshot) -> Headers:
    """Who the key is, in headers; the same for every answer about this snapshot.

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
    return tuple((name, value if len(value) <= LONGEST_VALUE else b"") for name, value in values)


def listed(texts: Iterable[str]) -> bytes:
    """Texts as one header value, separated by commas.

    Printable ASCII stays as it is; all else, the space, the comma and the percent sign are percent-encoded
    UTF-8, so that nothing can break out of the header or into its neighbour.
    """
    return ",".join(quote(text, safe=_SAFE) if _UNSAFE.search(text) else text for text in texts).encode()
