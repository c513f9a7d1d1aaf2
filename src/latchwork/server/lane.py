"""What the hot side of all connections of a server shares, and what it keeps of one request."""

from collections.abc import Mapping
from dataclasses import dataclass

from latchwork.server.connection import Fields
from latchwork.server.heads import Head, Heads, span_of
from latchwork.surfaces.http.client_ip import Networks
from latchwork.surfaces.http.hot import Binder, HotHandler, token_digest
from latchwork.surfaces.http.ordinary import Ordinary, Screen


@dataclass(frozen=True, slots=True)
class Lane:
    """Handlers by path, those that heads are bound to by path, and what recognises heads."""

    hot: Mapping[bytes, tuple[HotHandler, int]]
    bound: Mapping[bytes, Binder]
    screen: Screen
    heads: Heads
    trusted: Networks


Request = tuple[HotHandler, str, bytes, Fields, Ordinary, bytes]
"""An ordinary request to a hot path, without its body: handler, client's address, target, headers, what the
screen made of them, method. A plain tuple because one is made for every request that is parsed."""


Familiar = tuple[bytes, int, int, HotHandler, bytes, str]
"""The head a connection sent last, its length, that of the whole message, and how to serve the next like it:
handler, digest of the token, client's address."""


class OrdinaryParser:
    """Answers for the parser when uvicorn asks about an ordinary request that was parsed earlier."""

    def __init__(self, method: bytes) -> None:
        self._method = method

    def get_http_version(self) -> str:
        return "1.1"

    def get_method(self) -> bytes:
        return self._method

    def should_upgrade(self) -> bool:
        return False

    def should_keep_alive(self) -> bool:
        return True


def learnt(hot: Request, head: bytes, trusted: Networks) -> Head:
    """What to remember of the head of a request, whose bytes are these."""
    handler, _, _, _, (authorization, length, _, _, forwarded), _ = hot
    spans = tuple(span_of(value, head) for value in forwarded) if trusted else ()
    return Head(handler, length, token_digest(authorization), spans)
