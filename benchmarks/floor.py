"""What a Python server cannot be faster than: two peers that answer a fixed body and decide nothing.

    python benchmarks/floor.py bare --port 9001 --body-bytes 400   # asyncio protocol, httptools
    python benchmarks/floor.py asgi --port 9002 --body-bytes 400   # ASGI callable on uvicorn

Both run on uvloop and read a request's whole body before they answer.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import uvicorn
import uvloop

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Bare(asyncio.Protocol):
    """Parses each request and writes the same bytes for it."""

    answer: bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.write = transport.write
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.write(self.answer)


def bare(port: int, body: bytes) -> None:
    Bare.answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    uvloop.run(_listen(port))


async def _listen(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


def asgi(port: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    end = {"type": "http.response.body", "body": body}

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(end)

    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("peer", choices=("bare", "asgi"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body-bytes", type=int, default=400)
    asked = parser.parse_args()
    body = b'"' + b"x" * (asked.body_bytes - 2) + b'"'
    {"bare": bare, "asgi": asgi}[asked.peer](asked.port, body)


if __name__ == "__main__":
    main()
