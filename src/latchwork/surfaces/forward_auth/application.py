"""`/forward-auth` as an ASGI application: token, question, key, verdict, in this order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from starlette.types import Receive, Scope, Send

from latchwork.domains.credits import Commit
from latchwork.domains.verification import Claim, Gatekeeper
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault, Unavailable
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.forward_auth.answers import fault_answer, verdict_answer
from latchwork.surfaces.forward_auth.credentials import Credentials, RawHeaders
from latchwork.surfaces.forward_auth.openapi import OPENAPI_PATH, PATH, document
from latchwork.surfaces.forward_auth.questions import Question, question_of
from latchwork.surfaces.http.client_ip import Networks, client_ip
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.http.faults import ERROR_PAGES, Unexpected, UnknownRoute, WrongMethod
from latchwork.surfaces.http.hot import Answer, HotHandler
from latchwork.surfaces.http.security import SECURITY_HEADERS

TIMEOUT_S = 10.0
"""How long a question may wait for what is not in memory; then 503, and the proxy refuses."""

_log = logging.getLogger(__name__)


class ForwardAuth:
    """Answers a proxy's question whether a client's request may pass, whatever the method.

    The request's body is not read: a proxy does not send one, and nothing in it is asked about.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        clock: Clock,
        credentials: Credentials,
        *,
        trusted_proxies: Networks = (),
        docs: DocsGate | None = None,
        error_pages: str = ERROR_PAGES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._clock = clock
        self._credentials = credentials
        self._trusted_proxies = trusted_proxies
        self._docs = docs or DocsGate()
        self._error_pages = error_pages
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = new_request_id()
        answer = await self._safely(request_id, self._answer if scope["path"] == PATH else self._other, scope)
        await _send(answer, request_id, scope, send)

    async def _safely(
        self, request_id: str, answer: Callable[[str, Scope], Awaitable[Answer]], scope: Scope
    ) -> Answer:
        try:
            return await answer(request_id, scope)
        except Fault as fault:
            if fault.private is not None:
                _log.warning("%s: %s (request %s)", fault.code, fault.private, request_id)
            return fault_answer(request_id, fault, self._error_pages)
        except Exception:  # noqa: BLE001 - whatever it is, the proxy gets the one fixed answer and refuses
            _log.exception("unexpected error in %s (request %s)", PATH, request_id)
            return fault_answer(request_id, Unexpected(), self._error_pages)

    def bind(self, query: bytes, headers: RawHeaders) -> HotHandler | None:
        """See `surfaces.http.hot.Binder`."""
        try:
            return partial(self._at_once, *self._asked(query, headers))
        except Fault:
            return None  # for the application to word

    def _at_once(
        self, question: Question, digest: bytes, token: bytes, body: bytes, ip: str
    ) -> "Answer | AfterCommit | None":
        request_id, now_ms = new_request_id(), self._clock.now_ms()
        try:
            claim = _claim(question, digest, ip, request_id)
            verdict = self._gatekeeper.attempt(question.api_id, claim, now_ms)
        except Fault:
            return None
        if verdict is None:
            return None
        answer = verdict_answer(request_id, verdict, now_ms, self._error_pages)
        if verdict.commit is None:
            return answer
        return AfterCommit(verdict.commit, answer, request_id, self._error_pages)

    def _asked(self, query: bytes, headers: RawHeaders) -> tuple[Question, bytes]:
        """The question, and the digest of the key that it is about."""
        sent = self._credentials.among(headers)
        question = question_of(query)
        return question, self._credentials.digest_of(sent)

    async def _answer(self, request_id: str, scope: Scope) -> Answer:
        question, digest = self._asked(scope["query_string"], scope["headers"])
        claim = _claim(question, digest, self._client_ip(scope), request_id)
        now_ms = self._clock.now_ms()
        verdict = self._gatekeeper.attempt(question.api_id, claim, now_ms)
        if verdict is None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    verdict = await self._gatekeeper.verify(question.api_id, claim, now_ms)
            except TimeoutError:
                raise Unavailable(private="The key could not be looked up in time.") from None
        elif verdict.commit is not None:
            await verdict.commit
        return verdict_answer(request_id, verdict, now_ms, self._error_pages)

    def _client_ip(self, scope: Scope) -> str:
        peer = scope.get("client")
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_ip(peer[0] if peer else "", forwarded, self._trusted_proxies)

    async def _other(self, request_id: str, scope: Scope) -> Answer:
        if scope["path"] != OPENAPI_PATH or not await self._docs.admits(scope):
            raise UnknownRoute
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod(("GET",))
        return Answer(200, msgspec.json.encode(document()))


class AfterCommit:
    """An answer that leaves when its spend is durable; see `surfaces.http.hot.Later`."""

    __slots__ = ("_answer", "_commit", "_error_pages", "_request_id")

    def __init__(self, commit: Commit, answer: Answer, request_id: str, error_pages: str) -> None:
        self._commit = commit
        self._answer = answer
        self._request_id = request_id
        self._error_pages = error_pages

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """See `Later.then`."""

        def settled(error: Exception | None) -> None:
            callback(self._answer if error is None else self._refused(error))

        self._commit.then(settled)

    def _refused(self, error: Exception) -> Answer:
        fault = error if isinstance(error, Fault) else Unavailable()
        return fault_answer(self._request_id, fault, self._error_pages)


def _claim(question: Question, digest: bytes, ip: str, request_id: str) -> Claim:
    return Claim(
        digest,
        ip,
        request_id,
        question.tags,
        question.permissions,
        question.cost,
        question.limits,
    )


async def _send(answer: Answer, request_id: str, scope: Scope, send: Send) -> None:
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *SECURITY_HEADERS,
        *answer.all_headers(),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
