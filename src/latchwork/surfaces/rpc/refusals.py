"""What the server says when it refuses a request before any procedure hears of it."""

from typing import ClassVar

from latchwork.kernel.faults import Fault
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.rpc.envelope import failed

_SAID: dict[int, tuple[str, str, str]] = {
    400: ("user/bad_request/request_malformed", "Bad Request", "The request is not valid HTTP."),
    405: ("user/bad_request/method_not_allowed", "Method Not Allowed", "This method is not served."),
    408: ("user/bad_request/request_timeout", "Request Timeout", "The request did not arrive in time."),
    413: (
        "user/bad_request/request_body_too_large",
        "Request Entity Too Large",
        "The request body is larger than this server takes.",
    ),
    414: ("user/bad_request/uri_too_long", "URI Too Long", "The address of the request is too long."),
    431: (
        "user/bad_request/request_headers_too_large",
        "Request Header Fields Too Large",
        "The request headers are larger than this server takes.",
    ),
    503: (
        "unkey/application/service_unavailable",
        "Service Unavailable",
        "The server has as many connections as it takes. Please try again.",
    ),
}


def refusal(status: int, path: str) -> bytes:
    """The body of a refusal with that status, in the envelope of this surface."""
    code_, title_, detail = _SAID.get(status, _SAID[400])

    class Refusal(Fault):
        code: ClassVar[str] = code_
        title: ClassVar[str] = title_

    Refusal.status = status
    return failed(new_request_id(), Refusal(detail)).body
