"""The envelope of every answer: `meta` first, then `data` or `error`."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from latchwork.kernel.faults import Fault
from latchwork.surfaces.http.faults import headers_of
from latchwork.surfaces.http.hot import JSON, PROBLEM, Answer
from latchwork.surfaces.rpc.faults import InvalidRequest

ErrorTypes = Literal["negotiated", "problem", "json"]
"""How a procedure's errors are typed: as §1.1 negotiates, or always as the one or the other."""

STATUSES_WITH_ERRORS = frozenset({400, 408, 413, 499})
"""Where the contract has an `errors` list, even an empty one."""

_REFUSED = re.compile(rb";\s*q=0(\.0*)?\s*(;|$)")

encode = msgspec.json.Encoder().encode


def ok(request_id: str, data: Any) -> bytes:
    """A success with `data`; a value of None in it is written only where its type says so."""
    return b'{"meta":{"requestId":"%b"},"data":%b}' % (request_id.encode(), encode(data))


def listed(request_id: str, items: Sequence[Any], cursor: str | None) -> bytes:
    """One page of a list; `cursor` names the first row of the next page, if there is one."""
    more = b'{"hasMore":false}' if cursor is None else b'{"hasMore":true,"cursor":%b}' % encode(cursor)
    return b'{"meta":{"requestId":"%b"},"data":%b,"pagination":%b}' % (
        request_id.encode(),
        encode(items),
        more,
    )


def spread(request_id: str, members: Any) -> bytes:
    """A success whose members, at least one, stand beside `meta`."""
    return b'{"meta":{"requestId":"%b"},%b' % (request_id.encode(), encode(members)[1:])


def bare(request_id: str) -> bytes:
    """A success that has nothing to say: only `meta`."""
    return b'{"meta":{"requestId":"%b"}}' % request_id.encode()


def failed(
    request_id: str,
    fault: Fault,
    error_pages: str,
    *,
    accept: bytes = b"",
    types: ErrorTypes = "negotiated",
) -> Answer:
    """A fault as this surface renders it; `accept` is the request's raw `Accept` header.

    `error_pages` is the address to which a fault's code is appended, to make the `type` of the error.
    """
    error: dict[str, Any] = {
        "title": fault.title,
        "detail": fault.detail,
        "status": fault.status,
        "type": error_pages + fault.code,
    }
    if fault.status in STATUSES_WITH_ERRORS:
        error["errors"] = getattr(fault, "errors", ())
    body = b'{"meta":{"requestId":"%b"},"error":%b}' % (request_id.encode(), encode(error))
    return Answer(fault.status, body, _media_type(fault, accept, types), headers_of(fault))


def _media_type(fault: Fault, accept: bytes, types: ErrorTypes) -> bytes:
    if types != "negotiated":
        return PROBLEM if types == "problem" else JSON
    if fault.status == 429:
        return PROBLEM  # the only type under which the official clients recognise it
    if fault.status == 500 or isinstance(fault, InvalidRequest):
        return JSON
    return PROBLEM if accepts_problem(accept) else JSON


def accepts_problem(accept: bytes) -> bool:
    """Whether an `Accept` header lists `application/problem+json` or a range that covers it."""
    ranges = (PROBLEM, b"application/*", b"*/*")
    return any(
        entry.partition(b";")[0].strip() in ranges and not _REFUSED.search(entry)
        for entry in accept.lower().split(b",")
    )
