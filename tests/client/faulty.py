"""A server that does with each request what it is told, and remembers what it was asked."""

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Act = Callable[[socket.socket], bool]
"""What becomes of a request, on its connection; whether the connection goes on."""

VALID = b'{"meta":{"requestId":"req_123456789"},"data":{"valid":true,"code":"VALID"}}'


def answer(status: int = 200, body: bytes = VALID, *lines: bytes) -> Act:
    """A whole answer."""

    def act(connection: socket.socket) -> bool:
        head = b"HTTP/1.1 %d Words\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        connection.sendall(head % (status, len(body)) + b"".join(line + b"\r\n" for line in lines))
        connection.sendall(b"\r\n" + body)
        return True

    return act


def problem(status: int, *lines: bytes) -> Act:
    """An error as the server words it."""
    body = (
        b'{"meta":{"requestId":"req_123456789"},"error":{"title":"No","detail":"It is so.","status":%d,'
        b'"type":"https://latchwork.dev/docs/errors/a/b/c","errors":[{"location":"/x","message":"m","fix":"f"}]}}'
    )
    return answer(status, body % status, *lines)


def hang_up(connection: socket.socket) -> bool:
    """Close without a word."""
    return False


def reset(connection: socket.socket) -> bool:
    """Cut the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def half(connection: socket.socket) -> bool:
    """Half an answer, then nothing more."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + VALID[:20])
    return False


def silence(connection: socket.socket) -> bool:
    """No answer, until the client has gone."""
    while connection.recv(65_536):
        pass
    return False


def drip(start: bytes) -> Act:
    """After `start`, a byte now and then, for ever."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(start)
        connection.settimeout(0.01)
        with suppress(OSError):
            while True:
                connection.sendall(b"a")
                with suppress(TimeoutError):
                    if not connection.recv(1):
                        return False
        return False

    return act


class Faulty:
    """The server. `acts` are for the next requests, in order; `always` for all that come after."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acts: deque[Act] = deque()
        self.always: Act = answer()
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = threading.Semaphore(0)

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := _whole(connection):
                self.requests.append(request)
                self.asked.release()
                act = self.acts.popleft() if self.acts else self.always
                if not act(connection):
                    return


def _whole(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65_536)
        if not more:
            return b""
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        more = connection.recv(65_536)
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body


@contextmanager
def faulty() -> Iterator[Faulty]:
    """A faulty server on a free port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = Faulty(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                server.connections += 1
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
