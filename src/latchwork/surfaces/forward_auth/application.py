"""`/forward-auth` as an ASGI application: token, question, key, verdict, in this order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import sha256

import msgspec
from starlette.types import Receive, Scope, Send

from latchwork.domains.migrations import MalformedKey, Migrations
from latchwork.domains.verification import Claim, Gatekeeper, Verdict
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault, Unavailable
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.forward_auth.answers import fault_answer, verdict_answer
from latchwork.surfaces.forward_auth.credentials import Credentials, RawHeaders
from latchwork.surfaces.forward_auth.openapi import OPENAPI_PATH, PATH, document
from latchwork.surfaces.forward_auth.questions import Question, question_of
from latchwork.surfaces.http.bulkhead import Ceiling
from latchwork.surfaces.http.client_ip import Networks, client_ip
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.http.faults import ERROR_PAGES, Unexpected, UnknownRoute, WrongMethod
from latchwork.surfaces.http.hot import Answer, HotHandler
from latchwork.surfaces.http.later import AfterCommit
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
        migrations: Migrations,
        *,
        decisions: Ceiling,
        trusted_proxies: Networks = (),
        docs: DocsGate | None = None,
        error_pages: str = ERROR_PAGES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._clock = clock
        self._credentials = credentials
        self._migrations = migrations
        self._decisions = decisions
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
            question, key = self._asked(query, headers)
        except Fault:
            return None  # for the application to word
        return partial(self._at_once, question, sha256(key).digest())

    def _at_once(
        self, question: Question, digest: bytes, token: bytes, body: bytes, ip: str
    ) -> Answer | AfterCommit | None:
        request_id, now_ms = new_request_id(), self._clock.now_ms()
        try:
            claim = _claim(question, digest, ip, request_id)
            if self._decisions.is_reached and self._gatekeeper.waits_for_database(digest):
                return None
            verdict = self._gatekeeper.attempt(question.api_id, claim, now_ms)
        except Fault:
            return None
        if verdict is None or _may_wait(question, verdict):
            return None
        if verdict.commit is None:
            return verdict_answer(request_id, verdict, now_ms, self._error_pages)
        answer = partial(verdict_answer, request_id, verdict, now_ms, self._error_pages)
        refused = partial(refusal, self._error_pages)
        return AfterCommit(verdict.commit, answer, request_id, refused, self._decisions)

    def _asked(self, query: bytes, headers: RawHeaders) -> tuple[Question, bytes]:
        """The question, and the key that it is about."""
        sent = self._credentials.among(headers)
        question = question_of(query)
        return question, self._credentials.key_of(sent)

    async def _answer(self, request_id: str, scope: Scope) -> Answer:
        question, key = self._asked(scope["query_string"], scope["headers"])
        claim = _claim(question, sha256(key).digest(), self._client_ip(scope), request_id)
        with self._decisions:
            return await self._decided(question, key, claim)

    async def _decided(self, question: Question, key: bytes, claim: Claim) -> Answer:
        request_id, now_ms = claim.request_id, self._clock.now_ms()
        verdict = self._gatekeeper.attempt(question.api_id, claim, now_ms)
        if verdict is None or _may_wait(question, verdict):
            try:
                async with asyncio.timeout(self._timeout_s):
                    verdict = await self._looked_up(question, key, claim, now_ms)
            except TimeoutError:
                raise Unavailable(private="The key could not be looked up in time.") from None
        elif verdict.commit is not None:
            await verdict.commit
        return verdict_answer(request_id, verdict, now_ms, self._error_pages)

    async def _looked_up(self, question: Question, key: bytes, claim: Claim, now_ms: int) -> Verdict:
        """The verdict, also on a key that waits for its first use under the migration of the question."""
        verdict = await self._gatekeeper.verify(question.api_id, claim, now_ms)
        if question.migration_id is None or verdict.snapshot is not None:
            return verdict
        try:
            await self._migrations.recognise_for(
                question.api_id,
                question.migration_id,
                key.decode(),
                remote_ip=claim.ip,
                request_id=claim.request_id,
            )
        except (MalformedKey, UnicodeDecodeError):  # the question is right, and the key is none of those
            return verdict
        return await self._gatekeeper.verify(question.api_id, claim, now_ms)

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


def refusal(error_pages: str, request_id: str, error: Exception) -> Answer:
    """The answer where a spend did not become durable: nobody is let through."""
    fault = error if isinstance(error, Fault) else Unavailable()
    return fault_answer(request_id, fault, error_pages)


def _may_wait(question: Question, verdict: Verdict) -> bool:
    """Whether the key, which is not known, may be one that waits for its first use."""
    return question.migration_id is not None and verdict.snapshot is None and verdict.commit is None


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
