"""What is known of a request before its body is understood, and the reading of that body."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Receive

from latchwork.surfaces.http.faults import BodyTooLarge, ClientGone, UnsupportedEncoding

_LENGTH_DIGITS = 18  # more of them are more bytes than anybody reads


class Headers:
    """Request headers by lower-case name, values as raw bytes."""

    __slots__ = ("_raw", "_values")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)
        self._values = dict(self._raw)

    def get(self, name: bytes) -> bytes | None:
        """The value, of several the last; `None` when it was not sent."""
        return self._values.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Every value in the order sent."""
        return [value for key, value in self._raw if key == name] if name in self._values else []

    def text(self, name: bytes) -> str:
        """The value as Latin-1 text, the encoding of HTTP; empty when it was not sent."""
        return self._values.get(name, b"").decode("latin-1")

    def repeated(self, name: bytes) -> bool:
        """Whether the name was sent more than once."""
        return len(self._values) < len(self._raw) and len(self.all(name)) > 1

    def raw(self) -> list[tuple[bytes, bytes]]:
        """All of them, as sent."""
        return self._raw


@dataclass(slots=True)
class RequestFacts:
    """Who asked for what, from where, when: known for every request, authenticated or not."""

    request_id: str
    method: str
    path: str
    remote_ip: str
    now_ms: int
    headers: Headers

    @property
    def user_agent(self) -> str:
        """As sent, at most 512 characters, control characters replaced by spaces."""
        sent = self.headers.text(b"user-agent")[:512]
        return sent if sent.isprintable() else "".join(c if c.isprintable() else " " for c in sent)


async def read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    """The whole body; never holds more than `limit_bytes` and one chunk.

    Raises `BodyTooLarge` (from the announced length alone where there is one), `ClientGone`, and
    `UnsupportedEncoding`, which no bomb gets past: nothing is ever unpacked.
    """
    _must_be_plain(headers)
    if _announced(headers) > limit_bytes:
        raise BodyTooLarge.over(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            raise BodyTooLarge.over(limit_bytes)
        if not message.get("more_body", False):
            return chunk if not chunks else b"".join((*chunks, chunk))
        chunks.append(chunk)


def _announced(headers: Headers) -> int:
    length = headers.get(b"content-length") or b"0"
    return int(length[:_LENGTH_DIGITS]) if length.isdigit() else 0


def _must_be_plain(headers: Headers) -> None:
    for encoding in headers.all(b"content-encoding"):
        if encoding.strip().lower() not in (b"", b"identity"):
            raise UnsupportedEncoding()
