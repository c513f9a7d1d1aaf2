"""Who may come in: the root key in the header, and the workspace's own limit on API requests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from latchwork.kernel.faults import Fault, TooManyRequests
from latchwork.kernel.principal import Principal
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.rpc.faults import MalformedAuthorization


@dataclass(frozen=True, slots=True)
class Allowance:
    """How a workspace stands against its limit on API requests after this one."""

    limit: int
    remaining: int
    reset_s: int
    """Whole seconds until the window ends."""
    admitted: bool = True

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The `RateLimit-*` headers of every authenticated answer."""
        return (
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset_s),
        )

    def refusal(self) -> TooManyRequests:
        """What a caller is told who was not admitted."""
        return TooManyRequests(
            f"This workspace may make {self.limit} API requests a minute. "
            f"Try again in {self.reset_s} seconds.",
            retry_after_s=self.reset_s,
        )


class RefusedCaller(Exception):
    """A root key is known and refused all the same: `who` would call, `fault` says why not."""

    def __init__(self, who: Principal, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.who = who
        self.fault = fault


Authenticate = Callable[[bytes, RequestFacts], Awaitable[Principal]]
"""Finds who holds a root key; raises the fault of a key that is unknown, `RefusedCaller` for one that is known but
disabled or expired."""

Recognise = Callable[[bytes], str | None]
"""The workspace of a root key by the `token_digest` of a request, if memory alone knows it."""


def unrecognised(token: bytes) -> str | None:
    """Memory knows nobody."""
    return None


Meter = Callable[[Principal], Awaitable[Allowance | None]]
"""Counts one request against the workspace's limit; `None` when it has none. A request over the limit is
an `Allowance` that does not admit it; an exception means that nothing could be counted, and lets it in."""


async def unmetered(who: Principal) -> Allowance | None:
    """No workspace has a limit."""
    return None


def bearer_token(headers: Headers) -> bytes:
    """The token of the one `Authorization` header; raises `MalformedAuthorization`."""
    if headers.repeated(b"authorization"):
        raise MalformedAuthorization()
    scheme, _, token = (headers.get(b"authorization") or b"").strip().partition(b" ")
    if scheme != b"Bearer":
        raise MalformedAuthorization.without_scheme()
    if not token.strip():
        raise MalformedAuthorization()
    return token.strip()
