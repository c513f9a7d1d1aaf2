"""What a server says in this surface's envelope about a request that it does not even read."""

from collections.abc import Callable

from latchwork.kernel.faults import BadRequest, Fault, Unavailable
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.http.faults import ERROR_PAGES, BodyTooLarge, RequestTimeout, Unexpected
from latchwork.surfaces.rpc.envelope import failed


class MalformedHead(BadRequest):
    """The request line or a header breaks HTTP, or means different things to different servers."""

    default_detail = "The request's line or headers are not valid HTTP."


class UnknownMethod(Fault):
    """A method that nothing here has."""

    code = "user/bad_request/method_not_allowed"
    status = 405
    title = "Method Not Allowed"
    default_detail = "Nothing here can be asked with this method."
    remedy = "Use the method that the API reference at `/docs` gives; nearly always it is POST."


class TargetTooLong(Fault):
    """The request's target is longer than any that is served."""

    code = "user/bad_request/target_too_long"
    status = 414
    title = "URI Too Long"
    default_detail = "The request's target is too long."
    remedy = "Ask for less in one address."


class HeadersTooLarge(Fault):
    """The request's headers are larger than are read."""

    code = "user/bad_request/headers_too_large"
    status = 431
    title = "Request Header Fields Too Large"
    default_detail = "The request's headers are too large."
    remedy = "Send fewer or shorter headers; cookies are the usual reason."


_FAULTS: dict[int, type[Fault]] = {
    fault.status: fault
    for fault in (MalformedHead, UnknownMethod, RequestTimeout, TargetTooLong, HeadersTooLarge, Unavailable)
}


def refusals(most_bytes: Callable[[str], int], error_pages: str = ERROR_PAGES) -> Callable[[int, str], bytes]:
    """Makes the JSON body of a refusal from its status and the path, where that is known.

    `most_bytes` tells how long a body may be that is sent to a path; `error_pages` is where the pages of
    errors are.
    """

    def refusal(status: int, path: str) -> bytes:
        if status == BodyTooLarge.status:
            fault: Fault = BodyTooLarge.over(most_bytes(path))
        else:
            fault = _FAULTS.get(status, Unexpected)()
        return failed(new_request_id(), fault, error_pages).body

    return refusal
