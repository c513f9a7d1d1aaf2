"""The contract between a surface's hot handlers and whatever door calls them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

JSON = b"application/json"
PROBLEM = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer that is more than a plain 200: its body starts with the request id like any other."""

    status: int
    body: bytes
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    lines: bytes = b""
    """More headers as lines, each with its CRLF: rendered beforehand, of values that cannot break out."""

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, and those of the lines."""
        told = (line.partition(b": ") for line in self.lines.split(b"\r\n")[:-1])
        return [*self.headers, *((name, value) for name, _, value in told)]


class Later(Protocol):
    """An answer that waits for a commit; finished on the event loop that asked."""

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """Call `callback` once with the finished answer; at once when it is already there."""
        ...


HotHandler = Callable[[bytes, bytes, str], bytes | Answer | Later | None]
"""`handler(token, body, client_ip)`: the JSON body of a 200, another answer, a later one, or `None` when
only the ordinary application can serve the request. `token` is the `token_digest` of the request."""

Binder = Callable[[bytes, Iterable[tuple[bytes, bytes]]], HotHandler | None]
"""`bind(query, headers)`: the hot handler of every request without a body that has this head (names in lower
case), or `None` when only the ordinary application can serve it. It keeps no secret of the head."""

_BEARER = b"Bearer "


def token_digest(authorization: bytes) -> bytes:
    """The SHA-256 of the bearer token in an Authorization header; empty where there is none.

    Doors work it out once for all requests that repeat a head, and keep no token.
    """
    if authorization[:7] != _BEARER:
        return b""
    return sha256(authorization[7:]).digest()


_REQUEST_ID = slice(22, 35)


def request_id_of(body: bytes) -> bytes:
    """The request id of a rendered answer, which always starts `{"meta":{"requestId":"req_…"`."""
    return body[_REQUEST_ID]
