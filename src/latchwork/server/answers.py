"""Renders answers as the very bytes that uvicorn writes for the same answer of the ASGI application."""

import logging
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE

from latchwork.asgi import response_headers
from latchwork.surfaces.http.hot import Answer, request_id_of
from latchwork.surfaces.http.security import SECURITY_HEADERS

RenderError = Callable[[int, str], bytes]
"""`render_error(status, path)`: the JSON body of a refusal; the path is empty when it is not known."""

_Fields = list[tuple[bytes, bytes]]

_CLOSE = (b"connection", b"close")
_BESIDE = {
    405: ((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),),
    503: ((b"retry-after", b"1"),),
}

_LENGTHS = [b"%d\r\nx-request-id: " % length for length in range(4_096)]
_TAIL = b"\r\n" + b"".join(b"%b: %b\r\n" % field for field in SECURITY_HEADERS) + b"\r\n"


_log = logging.getLogger(__name__)


class Answers:
    """Renders; keeps what is constant for as long as uvicorn keeps its headers, which is a second."""

    def __init__(self, render_error: RenderError) -> None:
        self._render_error = render_error
        self.defaults: _Fields | None = None
        self._prefix = b""

    def follow(self, defaults: _Fields) -> None:
        """Take over uvicorn's headers (the date); to be called when they are another list than `defaults`."""
        self.defaults = defaults
        self._prefix = b"%b%bcontent-type: application/json\r\ncontent-length: " % (
            STATUS_LINE[200],
            _lines(defaults),
        )

    def ok(self, body: bytes) -> bytes:
        """A 200 with a JSON body, on a connection that stays open."""
        length = len(body)
        after = _LENGTHS[length] if length < 4_096 else b"%d\r\nx-request-id: " % length
        return b"".join((self._prefix, after, request_id_of(body), _TAIL, body))

    def _passed(self, answer: Answer) -> bytes:
        """A 200 with a JSON body and more headers, which come rendered."""
        body = answer.body
        length = b"%d\r\nx-request-id: " % len(body)
        return b"".join((self._prefix, length, request_id_of(body), _TAIL[:-2], answer.lines, b"\r\n", body))

    def any(self, answer: bytes | Answer, *, closing: bool = False) -> bytes:
        """Any answer; `closing` tells the client that the connection ends with it."""
        if isinstance(answer, bytes):
            answer = Answer(200, answer)
        if answer.lines and answer.status == 200 and not (answer.headers or closing):
            return self._passed(answer)
        if any(HEADER_VALUE_RE.search(value) for _, value in answer.headers):
            _log.error("A header of a hot answer would have broken out of its line.")
            answer = Answer(500, self._render_error(500, ""))
        fields = [*(self.defaults or ()), *response_headers(answer)]
        if closing:
            fields.append(_CLOSE)
        return b"%b%b\r\n%b" % (STATUS_LINE[answer.status], _lines(fields), answer.body)

    def refusal(self, status: int, path: str) -> bytes:
        """A refusal, after which the connection is closed."""
        body = self._render_error(status, path)
        return self.any(Answer(status, body, headers=_BESIDE.get(status, ())), closing=True)


def _lines(fields: _Fields) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)
