"""What can go wrong with a request before anybody looks at what it asks for."""

from collections.abc import Sequence

from latchwork.kernel.faults import Fault, NotFound

ERROR_PATH = "/docs/errors/"
"""Where a server has its pages of errors: one for each code, which follows."""

ERROR_PAGES = f"http://127.0.0.1:8765{ERROR_PATH}"
"""The same as an address, with which the `type` of an error begins, of a server that was told no other."""


class BodyTooLarge(Fault):
    """The body is longer than this procedure reads."""

    code = "user/bad_request/request_body_too_large"
    status = 413
    title = "Request Entity Too Large"
    remedy = "Send less at once: divide a list into several requests."

    @classmethod
    def over(cls, limit_bytes: int) -> "BodyTooLarge":
        """Names the limit that was passed."""
        return cls(f"The request body is larger than {limit_bytes} bytes, the most that is read here.")


class UnsupportedEncoding(Fault):
    """The body is compressed, or otherwise encoded: the header `Content-Encoding` says more than `identity`."""

    code = "user/bad_request/unsupported_media_type"
    status = 415
    title = "Unsupported Media Type"
    default_detail = "Compressed bodies are not read here. Send the body without Content-Encoding."
    remedy = "Send the body as it is, without the header `Content-Encoding`."


class RequestTimeout(Fault):
    """The request was not finished in time; nobody knows whether its work was."""

    code = "user/bad_request/request_timeout"
    status = 408
    title = "Request Timeout"
    default_detail = "The request took too long and was given up."
    remedy = "Look whether the change was made before you send the request again."


class ClientGone(Fault):
    """The client hung up before its request was complete; only logs and metrics hear of it."""

    code = "user/bad_request/client_closed_request"
    status = 499
    title = "Client Closed Request"
    default_detail = "The client closed the connection."
    remedy = "Let the client wait longer for its answers."


class UnknownRoute(NotFound):
    """Nothing is served under this path."""

    code = "user/not_found/route_not_found"
    default_detail = "There is nothing here. Check the path against the API reference."
    remedy = "Check the path against the API reference at `/docs`."


class WrongMethod(Fault):
    """The path exists, for other methods; `allowed` lists them."""

    code = "user/bad_request/method_not_allowed"
    status = 405
    title = "Method Not Allowed"
    remedy = "Use a method that the header `Allow` lists."

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"This path answers to {' and '.join(self.allowed)} only.")


class Unexpected(Fault):
    """A defect of ours. The public face is always the same; the log has the rest."""

    code = "unkey/application/unexpected_error"
    status = 500
    title = "Internal Server Error"
    default_detail = "Something went wrong on our side. Please quote the request id when you report it."
    remedy = "Report it with the request id, under which the server's log tells what happened."


def headers_of(fault: Fault) -> tuple[tuple[bytes, bytes], ...]:
    """The response headers that a fault calls for, whatever the surface's envelope."""
    headers: list[tuple[bytes, bytes]] = []
    retry_after_s = getattr(fault, "retry_after_s", None)
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % retry_after_s))
    if isinstance(fault, WrongMethod):
        headers.append((b"allow", ", ".join(fault.allowed).encode()))
    if isinstance(fault, UnsupportedEncoding):
        headers.append((b"accept-encoding", b"identity"))
    if fault.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(fault, BodyTooLarge | RequestTimeout):
        headers.append((b"connection", b"close"))  # the rest of the body is not worth reading
    return tuple(headers)
