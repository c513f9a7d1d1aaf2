"""What is behind and beside the proxies: a server that says what reached it, and one that never answers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Upstream:
    """Answers every request with its own description, and counts them."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port: int = server.server_address[1]
        self.reached = 0


@contextmanager
def upstream() -> Iterator[Upstream]:
    """An upstream on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _say(self) -> None:
            running.reached += 1
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            said = json.dumps(
                {
                    "method": self.command,
                    "target": self.path,
                    "headers": [[name.lower(), value] for name, value in self.headers.items()],
                    "body_bytes": len(body),
                }
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = _say

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Upstream(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()


class Silent:
    """Stands where Latchwork should be; hears questions and answers none."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked = 0


@contextmanager
def silent(*, listens: bool, cuts: bool) -> Iterator[Silent]:
    """On a free port, where it listens at all; `cuts`: it hangs up on who asks, else it lets them wait."""
    held: list[socket.socket] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        place = Silent(listening.getsockname()[1])

        def hear() -> None:
            while True:
                try:
                    asking, _ = listening.accept()
                except OSError:
                    return
                place.asked += bool(asking.recv(65_536))
                if cuts:
                    asking.close()
                else:
                    held.append(asking)

        hearing = threading.Thread(target=hear, daemon=True)
        if listens:
            listening.listen()
            hearing.start()
        yield place
        if listens:
            listening.shutdown(socket.SHUT_RDWR)
            hearing.join()
    for each in held:
        each.close()
