"""Which requests a hot handler may see: ordinary ones, with no header that asks for more than an answer."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

# Each changes how the body is read or what the answer means, so only the whole application serves it.
_NEVER_ORDINARY = (b"transfer-encoding", b"expect", b"upgrade", b"content-encoding")

_JSON = frozenset(
    {
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=utf-8",
    }
)

_BARE = ((b"authorization", b""), (b"content-length", b"0"))

_LENGTH_DIGITS = 18  # what fits the 64 bits that HTTP parsers count in
_SPELLINGS = 1024  # more than clients use; past it a spelling is looked at each time


class Kind(IntEnum):
    """What a header means to a hot request."""

    IGNORED = 0
    ANOTHER_WAY = 1
    AUTHORIZATION = 2
    CONTENT_LENGTH = 3
    CONTENT_TYPE = 4
    HOST = 5
    CONNECTION = 6
    FORWARDED = 7


_KINDS = {
    b"authorization": int(Kind.AUTHORIZATION),
    b"content-length": int(Kind.CONTENT_LENGTH),
    b"content-type": int(Kind.CONTENT_TYPE),
    b"host": int(Kind.HOST),
    b"connection": int(Kind.CONNECTION),
    b"x-forwarded-for": int(Kind.FORWARDED),
}


Ordinary = tuple[bytes, int, bytes, bytes | None, Sequence[bytes]]
"""Of an ordinary request: Authorization, Content-Length, Host, Connection if there is one, and the values of
X-Forwarded-For. A plain tuple because one is made for every hot request."""


class Screen:
    """Tells ordinary heads from the rest; shared by every door, so that all agree."""

    def __init__(self, another_way: Iterable[bytes] = ()) -> None:
        """`another_way`: lower-case names of headers that no hot handler understands."""
        self._kinds: dict[bytes, int] = {
            name: int(Kind.ANOTHER_WAY) for name in (*_NEVER_ORDINARY, *another_way)
        }
        self._kinds.update(_KINDS)
        self._spelled: dict[bytes, int] = dict(self._kinds)

    def sift(self, headers: Iterable[tuple[bytes, bytes]]) -> Ordinary | None:
        """What matters of the head, or `None` when the request is not an ordinary one.

        Names may come in any case. Ordinary means: one Authorization, one Content-Length, one Host, at most
        one Connection and Content-Type, the type being JSON in UTF-8, and nothing that asks for another way.
        """
        spelled = self._spelled
        single: list[bytes | None] = [None] * 8
        forwarded: Sequence[bytes] = ()
        for name, value in headers:
            kind = spelled.get(name)
            if kind is None:
                kind = self._classify(name)
            if not kind:
                continue
            if kind == 7:
                forwarded = (*forwarded, value)
            elif kind == 1 or single[kind] is not None:
                return None
            else:
                single[kind] = value
        return _judged(single, forwarded)

    def sift_bare(self, headers: Iterable[tuple[bytes, bytes]]) -> Ordinary | None:
        """As `sift`, of a request without a body: it need bring no Authorization and no Content-Length."""
        kept = [(name, value) for name, value in headers if name.lower() != b"content-type"]
        names = {name.lower() for name, _ in kept}
        ordinary = self.sift([*kept, *(pair for pair in _BARE if pair[0] not in names)])
        return None if ordinary is None or ordinary[1] else ordinary

    def _classify(self, name: bytes) -> int:
        kind = self._kinds.get(name.lower(), 0)
        if len(self._spelled) < _SPELLINGS:
            self._spelled[name] = kind
        return kind


def _judged(single: Sequence[bytes | None], forwarded: Sequence[bytes]) -> Ordinary | None:
    _, _, authorization, length, media_type, host, connection, _ = single
    if authorization is None or length is None or host is None:
        return None
    if not length.isdigit() or len(length) > _LENGTH_DIGITS:
        return None
    if media_type is not None and media_type not in _JSON and media_type.lower() not in _JSON:
        return None
    return authorization, int(length), host, connection, forwarded
