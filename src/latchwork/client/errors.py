"""What can go wrong with a call, told apart by what the caller may do about it.

A key that may not pass is no error: it is a `Verification` whose `valid` is false.
"""

from collections.abc import Sequence

import msgspec


class LatchworkError(Exception):
    """Everything that this client raises of its own."""


class Unavailable(LatchworkError):
    """There is no answer to rely on. Each subclass says whether anything may have been done."""


class NotSent(Unavailable):
    """The request did not reach the server, so nothing was done: nobody listens, or there was no time."""


class Unanswered(Unavailable):
    """The request was sent and no whole answer came: it may or may not have been done, and counted."""


class ServerFailed(Unavailable):
    """The server answered that it cannot serve (a 5xx); it may or may not have been done."""

    def __init__(
        self, message: str, *, status: int, request_id: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Unreadable(Unavailable):
    """What answered is not Latchwork, or of a version that this client does not understand."""


class Violation(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where, what, and what would be right."""

    location: str = ""
    message: str = ""
    fix: str = ""


class Refused(LatchworkError):
    """The server understood and declined (a 4xx); the same request will be declined again.

    `code` is stable (`<system>/<category>/<specific>`), `detail` a sentence, `errors` lists violations of the
    request's schema, and `request_id` names the request in the server's log.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str = "",
        title: str = "",
        request_id: str = "",
        errors: Sequence[Violation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s


class BadRequest(Refused):
    """400: the request is wrong in itself."""


class Unauthorized(Refused):
    """401: the root key is unknown."""


class Forbidden(Refused):
    """403: the root key may not do this, is disabled or has expired."""


class NotFound(Refused):
    """404: there is no such thing, or none that the root key may know of."""


class Conflict(Refused):
    """409: another thing stands in the way."""


class Gone(Refused):
    """410: it was deleted."""


class PreconditionFailed(Refused):
    """412: it is not in the state that the request needs."""


class TooManyRequests(Refused):
    """429: the workspace has used up its calls; `retry_after_s` says how long to wait."""


BY_STATUS: dict[int, type[Refused]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    429: TooManyRequests,
}
"""The class of each status; any other 4xx is a plain `Refused`."""
