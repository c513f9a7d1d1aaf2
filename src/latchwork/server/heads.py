"""A memory of request heads that the parser has read before, by digest, never in plain text."""

from collections.abc import Callable
from typing import NamedTuple

from latchwork.surfaces.http.hot import HotHandler

Span = tuple[int, int]


class Head(NamedTuple):
    """What the parser made of a head of an ordinary hot request; spans point into the same bytes.

    `token` is the digest of its bearer token.
    """

    handler: HotHandler
    content_length: int
    token: bytes
    forwarded: tuple[Span, ...]


class Heads:
    """Bounded; a head is worth remembering when it comes a second time.

    Heads that are all different (a trace id in each) pass through a set that is emptied when it is full,
    and so neither grow the memory nor drive out heads that return.
    """

    def __init__(self, room: int = 4_096) -> None:
        self._room = room
        self._known: dict[bytes, Head] = {}
        self._met: set[bytes] = set()
        self.find: Callable[[bytes], Head | None] = self._known.get

    @property
    def room(self) -> int:
        """How many heads are kept; with 0 none is."""
        return self._room

    def __len__(self) -> int:
        return len(self._known)

    def meet(self, digest: bytes) -> bool:
        """Note a head that is not known; whether it was met before."""
        met = self._met
        if digest in met:
            return True
        if len(met) >= 2 * self._room:
            met.clear()
        met.add(digest)
        return False

    def learn(self, digest: bytes, head: Head) -> None:
        """Remember a head; the oldest gives way when there is no room."""
        if len(self._known) >= self._room:
            del self._known[next(iter(self._known))]
        self._known[digest] = head
        self._met.discard(digest)


def span_of(value: bytes, head: bytes) -> Span:
    """Where a value that the parser found stands in the head; any place with the same bytes will do."""
    start = head.index(value)
    return start, start + len(value)
