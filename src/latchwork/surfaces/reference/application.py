"""Serves the reference page and its two assets; nothing else comes from anywhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from starlette.types import Receive, Scope, Send

from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.http.requests import Headers
from latchwork.surfaces.http.security import SECURITY_HEADERS
from latchwork.surfaces.reference.errors import ErrorKind, ErrorPages
from latchwork.surfaces.reference.page import Page
from latchwork.surfaces.reference.shell import Tab

PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only this server's own style sheet and script; nothing inline, nothing from elsewhere."""

_HTML = b"text/html; charset=utf-8"
_ERRORS = "errors"
_OWN = (b"content-security-policy", b"cache-control")
_KEPT = tuple(pair for pair in SECURITY_HEADERS if pair[0] not in _OWN)
_ASSETS = {"reference.css": b"text/css; charset=utf-8", "reference.js": b"text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class ReferenceDocument:
    """One OpenAPI document: `slug` in the page's address, `source` where the document itself is served."""

    slug: str
    title: str
    source: str
    load: Callable[[], Mapping[str, Any]]
    """Called once, when somebody first opens the page."""


@dataclass(frozen=True, slots=True)
class _Resource:
    media_type: bytes
    body: bytes
    etag: bytes


class Reference:
    """An ASGI application for `/docs` (the first document), `/docs/<slug>`, and the pages of errors.

    `errors` makes the kinds of errors when somebody first asks for one; each has its page at
    `/docs/errors/<code>`, which is where the `type` of an error leads.
    """

    def __init__(
        self,
        documents: Sequence[ReferenceDocument],
        gate: DocsGate | None = None,
        errors: Callable[[], Sequence[ErrorKind]] = tuple,
    ) -> None:
        self._documents = {document.slug: document for document in documents}
        self._errors = errors
        self._error_pages: ErrorPages | None = None
        self._first = documents[0].slug
        self._gate = gate or DocsGate()
        self._made: dict[str, _Resource] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        resource = await self._found(scope)
        if resource is None:
            await _send(send, scope, 404, (b"text/plain; charset=utf-8", b"There is nothing here.\n"))
        elif scope["method"] not in ("GET", "HEAD"):
            await _send(send, scope, 405, (b"text/plain; charset=utf-8", b"Read only.\n"), (b"allow", b"GET"))
        elif Headers(scope["headers"]).get(b"if-none-match") == resource.etag:
            await _send(send, scope, 304, (resource.media_type, b""), (b"etag", resource.etag))
        else:
            await _send(send, scope, 200, (resource.media_type, resource.body), (b"etag", resource.etag))

    async def _found(self, scope: Scope) -> _Resource | None:
        name = str(scope["path"]).removeprefix("/docs").strip("/") or self._first
        if not await self._gate.admits(scope):
            return None
        if name not in self._made:
            made = self._make(name)
            if made is None:
                return None
            self._made[name] = made
        return self._made[name]

    def _make(self, name: str) -> _Resource | None:
        if name in _ASSETS:
            return _asset(name)
        if name in self._documents:
            shown = self._documents[name]
            page = Page(shown.load(), self._tabs(name), shown.source).render()
            return _resource(_HTML, page)
        if name == _ERRORS or name.startswith(f"{_ERRORS}/"):
            page_of_error = self._errors_of().render(name.removeprefix(_ERRORS).strip("/"))
            return None if page_of_error is None else _resource(_HTML, page_of_error)
        return None

    def _errors_of(self) -> ErrorPages:
        if self._error_pages is None:
            self._error_pages = ErrorPages(self._errors(), self._tabs(_ERRORS))
        return self._error_pages

    def _tabs(self, current: str) -> list[Tab]:
        tabs = [Tab(d.title, f"/docs/{d.slug}", d.slug == current) for d in self._documents.values()]
        return [*tabs, Tab("Errors", f"/docs/{_ERRORS}", current == _ERRORS)]


def _asset(name: str) -> _Resource:
    return _resource(_ASSETS[name], files(__package__).joinpath("assets", name).read_bytes())


def _resource(media_type: bytes, body: bytes) -> _Resource:
    return _Resource(media_type, body, b'"%b"' % sha256(body).hexdigest()[:32].encode())


async def _send(
    send: Send, scope: Scope, status: int, content: tuple[bytes, bytes], *more: tuple[bytes, bytes]
) -> None:
    media_type, body = content
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", new_request_id().encode()),
        (b"content-security-policy", PAGE_POLICY),
        (b"cache-control", b"no-cache"),
        *_KEPT,
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
