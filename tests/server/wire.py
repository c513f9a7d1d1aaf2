"""What goes over the wire: requests as bytes, answers taken apart, a client that does neither itself."""

import asyncio
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Self

HOT = "/v2/keys.verifyKey"
BARE = "/forward-auth"
PATIENCE_S = 20.0  # a test that waits longer has hung


def hot(body: bytes = b'"x"', *more: bytes, path: str = HOT, key: bytes = b"root") -> bytes:
    """An ordinary request to a hot path, with `more` header lines."""
    lines = (b"Authorization: Bearer " + key, b"Content-Type: application/json", *more)
    return request("POST", path, *lines, body=body)


def bare(query: str = "x", *more: bytes, method: str = "GET") -> bytes:
    """An ordinary request without a body, that its head says everything about."""
    return request(method, f"{BARE}?{query}", b"X-Key: k", *more)


def request(method: str, target: str, *lines: bytes, body: bytes | None = None) -> bytes:
    """A request with a Host, the header lines given, and a body's length when there is a body."""
    head = [f"{method} {target} HTTP/1.1".encode(), b"Host: latchwork.test", *lines]
    if body is not None:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + (body or b"")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, with its bytes as they came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def steady(self) -> bytes:
        """The bytes with what differs from one answer to the next made equal: date and request id."""
        dated = re.sub(rb"\r\ndate: [^\r]*", b"\r\ndate: *", self.raw)
        return re.sub(rb"req_[0-9A-Za-z]{9}", b"req_*********", dated)


class Client:
    """One connection; what is read must come within seconds, or the test fails."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def ask(self, data: bytes) -> Response:
        """Send and read one answer."""
        await self.send(data)
        return await self.answer()

    async def answer(self) -> Response:
        """The next answer."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._answer()

    async def answers(self, count: int) -> list[Response]:
        """The next `count` answers."""
        return [await self.answer() for _ in range(count)]

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as closing."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def is_closed(self) -> bool:
        """Whether the server closes without another byte."""
        return await self.rest() == b""

    async def _answer(self) -> Response:
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))
        fields = dict(headers)
        if fields.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self.reader.readexactly(int(fields.get("content-length", "0")))
        return Response(int(first.split(" ")[1]), headers, body, head + body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body
