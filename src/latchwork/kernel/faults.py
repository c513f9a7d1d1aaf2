"""Faults: what a caller may be told when a request cannot be served.

A refusal of a key is not a fault but a verdict; a fault is a request that was wrong, forbidden or
unlucky. Every surface renders the same fault in its own envelope.
"""

from typing import ClassVar


class Fault(Exception):
    """A failure with a public face and a private one.

    `code` is the stable identifier (`<system>/<category>/<specific>`), `status` the HTTP status,
    `title` the short public name, `detail` the public sentence, `remedy` what its page in the reference says
    can be done. `private` goes to the log only.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    default_detail: ClassVar[str] = ""
    remedy: ClassVar[str] = "Read `detail`: it says what is wrong with this very request."

    def __init__(self, detail: str | None = None, *, private: str | None = None) -> None:
        self.detail = self.default_detail if detail is None else detail
        self.private = private
        super().__init__(self.detail)


class BadRequest(Fault):
    """The request is wrong in itself; the sender must change it."""

    code = "unkey/application/invalid_input"
    status = 400
    title = "Bad Request"
    default_detail = "The request is not valid."
    remedy = "Change the request as `detail` and `errors` say. Sent again as it is, it fails again."


class Unauthorized(Fault):
    """The request carries nothing by which its caller is known."""

    code = "unkey/authentication/key_not_found"
    status = 401
    title = "Unauthorized"
    default_detail = "The provided root key is invalid. We could not find the requested key."
    remedy = "Send the whole text of a root key that exists, as `Authorization: Bearer ROOT_KEY`."


class Forbidden(Fault):
    """The caller is known, and the answer is no."""

    code = "unkey/authorization/forbidden"
    status = 403
    title = "Forbidden"
    default_detail = "This is not allowed."
    remedy = "Have changed what `detail` names, or call as somebody who is allowed."


class InsufficientPermissions(Fault):
    """The caller lacks a permission that the detail names."""

    code = "unkey/authorization/insufficient_permissions"
    status = 403
    title = "Insufficient Permissions"
    remedy = "Use a root key that has one of the permissions that `detail` names."


class NotFound(Fault):
    """There is no such thing, or none that the caller may know of."""

    status = 404
    title = "Not Found"
    remedy = (
        "Check the id, and that the root key belongs to the same workspace: what another workspace has is not "
        "found, nor is what the root key may not know of."
    )


class Conflict(Fault):
    """Another thing stands in the way."""

    status = 409
    title = "Conflicting Resource"
    remedy = "Use the one that is there, or choose another name."


class PreconditionFailed(Fault):
    """The thing exists but is not in the state that the request needs."""

    code = "unkey/application/precondition_failed"
    status = 412
    title = "Precondition Failed"
    remedy = "Bring about what `detail` asks for, then send the request again."


class TooManyRequests(Fault):
    """The caller must wait; `retry_after_s` says how long, in whole seconds."""

    code = "user/too_many_requests/workspace_rate_limited"
    status = 429
    title = "Too Many Requests"
    remedy = "Wait for the seconds that `Retry-After` says, then send the request again."

    def __init__(
        self, detail: str | None = None, *, retry_after_s: int = 1, private: str | None = None
    ) -> None:
        super().__init__(detail, private=private)
        self.retry_after_s = retry_after_s


class Unavailable(Fault):
    """A part we depend on cannot serve right now; trying again later may help."""

    retry_after_s = 1  # what is away is looked for again each second or sooner

    code = "unkey/application/service_unavailable"
    status = 503
    title = "Service Unavailable"
    default_detail = "The service cannot answer right now. Please try again."
    remedy = "Send the request again in a moment. If it lasts, the server's log says why."
