"""A transport for threads that keeps to a total deadline.

httpx's timeouts are for each wait of its own, so a server that sends a byte now and then could keep a thread for
ever. Here every wait of a thread ends with the deadline that the thread is under.
"""

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from latchwork.client.attempts import Deadline

_now = threading.local()


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Let every wait of this thread, in the block, end with the deadline."""
    before = getattr(_now, "deadline", None)
    _now.deadline = deadline
    try:
        yield
    finally:
        _now.deadline = before


def _cut(timeout_s: float | None, passed: type[Exception]) -> float | None:
    deadline: Deadline | None = getattr(_now, "deadline", None)
    if deadline is None:
        return timeout_s
    left_s = deadline.left_s
    if left_s <= 0:
        raise passed("the deadline has passed")
    return left_s if timeout_s is None else min(timeout_s, left_s)


class _Stream(httpcore.NetworkStream):
    """A connection whose waits are cut."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        cut = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, cut))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    """Opens connections whose waits are cut."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        cut = _cut(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, cut, local_address, socket_options))


class _Body(httpx.SyncByteStream):
    """An answer's body as httpx reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


class DeadlineTransport(httpx.BaseTransport):
    """A pool of connections for any number of threads, each under a deadline of its own."""

    def __init__(self, connections: int, keep_alive_s: float) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=keep_alive_s,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange; raises what httpx's own transport raises."""
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise httpx's error of the same name."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
