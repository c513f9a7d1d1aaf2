"""The contract between a surface's hot handlers and whatever door calls them."""

from collections.abc import Callable
from dataclasses import dataclass
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


class Later(Protocol):
    """An answer that waits for a commit; finished on the event loop that asked."""

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """Call `callback` once with the finished answer; at once when it is already there."""
        ...


HotHandler = Callable[[bytes, bytes, str], bytes | Answer | Later | None]
"""`handler(authorization, body, client_ip)`: the JSON body of a 200, another answer, a later one,
or `None` when only the ordinary application can serve the request."""

_REQUEST_ID = slice(22, 35)


def request_id_of(body: bytes) -> bytes:
    """The request id of a rendered answer, which always starts `{"meta":{"requestId":"req_…"`."""
    return body[_REQUEST_ID]
