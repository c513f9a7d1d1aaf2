"""A proxy before a server that loses what it is told to lose."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Fault = Literal["none", "lost answers", "silence", "reset"]
"""Lost answers: the server does what it is asked, and nobody hears of it. Silence: nothing passes, nothing
ends. Reset: the connection ends in the middle of a request."""


class FaultyProxy:
    """Forwards connections to a port of the loopback. A fault holds for requests that contain `only`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.fault: Fault = "none"
        self.only = b""
        self.struck = threading.Event()
        """Set when a fault has met a request."""
        self.left = sys.maxsize
        """How many bytes of answers still pass; where they are used up, connections end."""
        self._open: set[socket.socket] = set()
        self._deaf: set[socket.socket] = set()

    def serve(self) -> None:
        """Accept until closed."""
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=[near], daemon=True).start()

    def fail(self, fault: Fault, only: bytes = b"") -> None:
        """From now on."""
        self.struck.clear()
        self.only, self.fault = only, fault

    def close(self) -> None:
        """Stop, and end every connection."""
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pass(self, near: socket.socket) -> None:
        with suppress(OSError), near:
            self._open.add(near)
            with socket.create_connection(("127.0.0.1", self._target)) as far:
                self._open.add(far)
                threading.Thread(target=self._back, args=[far, near], daemon=True).start()
                while (data := near.recv(65_536)) and self._forward(data, far, near):
                    pass

    def _forward(self, data: bytes, far: socket.socket, near: socket.socket) -> bool:
        met = self.fault if self.only in data else "none"
        if met in ("none", "lost answers"):
            if met == "lost answers":
                self._deaf.add(near)
                self.struck.set()
            far.sendall(data)
            return True
        self.struck.set()
        if met == "silence":
            while near.recv(65_536):
                pass
        else:
            far.sendall(data[: len(data) // 2])
        return False

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65_536):
                if near in self._deaf:
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(data[: self.left])
                self.left -= len(data)
                if self.left <= 0:
                    break
            near.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty_proxy(target: int) -> Iterator[FaultyProxy]:
    """A running proxy before a port."""
    proxy = FaultyProxy(target)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()
