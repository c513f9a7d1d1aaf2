"""ClickHouse's HTTP interface over its engine, in a process of its own: `DIRECTORY PORT USER PASSWORD`.

chDB can have one directory a process and brings pandas along, so it keeps out of the tests' own process.
Statements run one after the other; what the real server does with several connections is not tried here.
"""

import base64
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chdb import session

_OF_THE_TRANSPORT = {
    "cancel_http_readonly_queries_on_client_close",
    "client_protocol_version",
    "database",
    "enable_http_compression",
    "http_headers_progress_interval_ms",
    "query",
    "query_id",
    "send_progress_in_http_headers",
    "wait_end_of_query",
}
_FORMAT = re.compile(rb"\s+FORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+(.+?)\s+FORMAT\s+(\w+)\s*?\n", re.IGNORECASE | re.DOTALL)
_ASKS = re.compile(rb"[\s(]*(SELECT|WITH)\b", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)")


class Engine:
    """chDB, one statement at a time."""

    def __init__(self, directory: str) -> None:
        self._session: Any = session.Session(directory)  # type: ignore[no-untyped-call]
        self._turn = threading.Lock()

    def answer(self, statement: bytes, asked: dict[str, str]) -> bytes:
        """What the statement answers, in its own format; raises `RuntimeError`."""
        settings = {
            name: value
            for name, value in asked.items()
            if name not in _OF_THE_TRANSPORT and not name.startswith("param_")
        }
        parameters = {
            name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")
        }
        with self._turn:
            if asked.get("database"):
                self._run(f'USE "{asked["database"]}"'.encode())
            inserted = _INSERT.match(statement)
            if inserted:
                return self._insert(inserted[1], inserted[2], statement[inserted.end() :], settings)
            if _ASKS.match(statement):
                return self._run(_with_settings(statement, settings), parameters)
            return self._run(statement, parameters)

    def _insert(self, into: bytes, format_: bytes, data: bytes, settings: dict[str, str]) -> bytes:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            clause = f" SETTINGS {_clause(settings)}" if settings else ""
            return self._run(
                b"INSERT INTO %s FROM INFILE '%s'%s FORMAT %s"
                % (into, file.name.encode(), clause.encode(), format_)
            )

    def _run(self, statement: bytes, parameters: dict[str, str] | None = None) -> bytes:
        answer = self._session.query(statement.decode(), "TabSeparated", params=parameters or {})
        return answer.bytes() or b"" if answer else b""


def _with_settings(statement: bytes, settings: dict[str, str]) -> bytes:
    if not settings:
        return statement
    at = _FORMAT.search(statement)
    head, tail = (statement[: at.start()], statement[at.start() :]) if at else (statement, b"")
    return head + f"\nSETTINGS {_clause(settings)}".encode() + tail


def _clause(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in settings.items())


class Door(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine: Engine
    authorization: str

    def do_GET(self) -> None:
        """A health check, or a query in the address."""
        self.do_POST()

    def do_POST(self) -> None:
        """A statement in the body, or in the address with its data in the body."""
        body = self._body()
        if urlsplit(self.path).path == "/ping":
            self._tell(200, b"Ok.\n")
            return
        if self.headers.get("Authorization", self.authorization) != self.authorization:
            self._fail("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", 401)
            return
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        statement = asked["query"].encode() + b"\n" + body if asked.get("query") else body
        try:
            self._tell(200, self.engine.answer(statement, asked))
        except Exception as error:
            self._fail(str(error))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _unpacked(body, self.headers.get("Content-Encoding", ""))

    def _fail(self, message: str, status: int = 500) -> None:
        code = _CODE.search(message)
        self._tell(status, message.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1000"})

    def _tell(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        import lz4.frame

        parts = []
        while body:
            frame = lz4.frame.LZ4FrameDecompressor()
            parts.append(frame.decompress(body))
            body = frame.unused_data or b""
        return b"".join(parts)
    assert not encoding, encoding
    return body


def main() -> None:
    """Serve until the process is ended."""
    directory, port, user, password = sys.argv[1:]
    Door.engine = Engine(directory)
    Door.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Door)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
