"""The RPC surface as one ASGI application: a table of paths, and one way through for every request.

Request id, body limits, schema, authentication, the workspace's own limit, then the procedure; each
step may refuse, and every refusal leaves in the same envelope. Two spellings of one path do not
exist, so finding a procedure is one dictionary look-up.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.types import Receive, Scope, Send

from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Fault
from latchwork.kernel.ids import new_request_id
from latchwork.kernel.principal import Principal
from latchwork.surfaces.http.bulkhead import Bulkhead, Ceiling, Overloaded
from latchwork.surfaces.http.client_ip import Networks, client_ip
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.http.faults import (
    ERROR_PAGES,
    ClientGone,
    RequestTimeout,
    Unexpected,
    UnknownRoute,
    WrongMethod,
)
from latchwork.surfaces.http.hot import JSON, Answer, HotHandler, request_id_of, token_digest
from latchwork.surfaces.http.requests import Headers, RequestFacts, read_body
from latchwork.surfaces.http.security import SECURITY_HEADERS
from latchwork.surfaces.rpc import envelope
from latchwork.surfaces.rpc.accounting import Account, attempt_of, unaccounted
from latchwork.surfaces.rpc.admission import (
    Authenticate,
    Meter,
    Recognise,
    RefusedCaller,
    bearer_token,
    unmetered,
    unrecognised,
)
from latchwork.surfaces.rpc.bodies import BodyReader
from latchwork.surfaces.rpc.faults import MissingAuthorization
from latchwork.surfaces.rpc.openapi import document
from latchwork.surfaces.rpc.procedures import Call, Family, Page, Procedure, Rendered, Spread, Visit
from latchwork.surfaces.rpc.queries import QueryReader, refuse_secrets

P = TypeVar("P")
RawPairs = tuple[tuple[bytes, bytes], ...]

OPENAPI_PATH = "/v2/openapi.json"
TIMEOUT_S = 60.0
_UNBOUNDED = 1 << 30

UNHOT_HEADERS = (b"x-test-time", b"x-unkey-metrics")
"""Headers that change what a hot procedure does, so that its ordinary handler serves the request."""

_log = logging.getLogger(__name__)


Record = Callable[[str, int, int], None]
"""Told of every request: the path of its procedure (empty when there is none), its status (499 when
nobody waited for the answer) and its duration in nanoseconds."""


def unrecorded(path: str, status: int, duration_ns: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class _Route(Generic[P]):
    procedure: Procedure[P]
    body: BodyReader[Any] | None
    query: QueryReader[Any] | None


@dataclass(slots=True)
class _Turn(Generic[P]):
    """One request on its way: what is known of it so far."""

    facts: RequestFacts
    query: bytes
    receive: Receive
    route: _Route[P] | None = None
    headers: RawPairs = field(default=())
    who: Principal | None = None


class RpcApplication(Generic[P]):
    """Serves every procedure of the families, and their OpenAPI document.

    `platform` is what handlers find in `call.platform`. `admission_faults` are those that
    `authenticate` may raise besides an unknown key; they are documented for every procedure.
    `error_pages` is where the pages of errors are. `decisions` and `administration` bound what is served at once;
    without them nothing does.
    """

    def __init__(
        self,
        families: Sequence[Family[P]],
        platform: P,
        *,
        authenticate: Authenticate,
        clock: Clock,
        recognise: Recognise = unrecognised,
        meter: Meter = unmetered,
        record: Record = unrecorded,
        account: Account = unaccounted,
        trusted_proxies: Networks = (),
        decisions: Ceiling | None = None,
        administration: Bulkhead | None = None,
        docs: DocsGate | None = None,
        admission_faults: Sequence[type[Fault]] = (),
        error_pages: str = ERROR_PAGES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._families = tuple(families)
        self._platform = platform
        self._authenticate = authenticate
        self._recognise = recognise
        self._clock = clock
        self._meter = meter
        self._record = record
        self._account = account
        self._trusted_proxies = trusted_proxies
        self._decisions = decisions or Ceiling(_UNBOUNDED)
        self._administration = administration or Bulkhead(_UNBOUNDED, 0)
        self._docs = docs or DocsGate()
        self._admission_faults = tuple(admission_faults)
        self._error_pages = error_pages
        self._timeout_s = timeout_s
        self._routes = self._table()
        self._document: bytes | None = None

    @property
    def hot(self) -> dict[str, HotHandler]:
        """The hot handlers by path, for doors that answer POST requests before this application does.

        A door leaves requests with one of `UNHOT_HEADERS` to the application.
        """
        return {
            procedure.path: procedure.heat(self._platform)
            for family in self._families
            for procedure in family.procedures
            if procedure.heat is not None
        }

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """The methods that are served under each path, the document's own left out."""
        return {path: tuple(methods) for path, methods in self._routes.items()}

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of everything served here."""
        return document(self._families, self._admission_faults)

    def _table(self) -> dict[str, dict[str, _Route[P]]]:
        table: dict[str, dict[str, _Route[P]]] = {}
        for procedure in (p for family in self._families for p in family.procedures):
            for method in procedure.methods:
                if method in table.setdefault(procedure.path, {}):
                    raise ValueError(f"{method} {procedure.path} is declared twice")
                readers = procedure.body_reader(method), procedure.query_reader(method)
                table[procedure.path][method] = _Route(procedure, *readers)
        return table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _hang_up(scope, receive, send)
            return
        began_ns = time.perf_counter_ns()
        headers = Headers(scope["headers"])
        facts = RequestFacts(
            request_id=new_request_id(),
            method=scope["method"],
            path=scope["path"],
            remote_ip=self._client_ip(scope, headers),
            now_ms=self._clock.now_ms(),
            headers=headers,
        )
        turn: _Turn[P] = _Turn(facts, scope.get("query_string", b""), receive)
        answer = await self._answer(turn, scope)
        path = turn.route.procedure.path if turn.route else ""
        self._record(path, answer.status, time.perf_counter_ns() - began_ns)
        if answer.status != ClientGone.status:
            await _send(answer, turn, send)

    async def _answer(self, turn: _Turn[P], scope: Scope) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s) as timeout:
                if turn.facts.path == OPENAPI_PATH:
                    return await self._openapi_answer(turn.facts, scope)
                return await self._served(turn, self._route(turn))
        except Fault as fault:
            return self._failed(turn, fault)
        except TimeoutError as error:
            return self._failed(turn, RequestTimeout() if timeout.expired() else _defect(turn, error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets the one fixed answer
            return self._failed(turn, _defect(turn, error))

    def _client_ip(self, scope: Scope, headers: Headers) -> str:
        peer = scope.get("client")
        return client_ip(peer[0] if peer else "", headers.all(b"x-forwarded-for"), self._trusted_proxies)

    def _route(self, turn: _Turn[P]) -> _Route[P]:
        methods = self._routes.get(turn.facts.path)
        if methods is None:
            raise UnknownRoute()
        method = "GET" if turn.facts.method == "HEAD" else turn.facts.method
        turn.route = methods.get(method)
        if turn.route is None:
            raise WrongMethod(tuple(methods))
        return turn.route

    async def _served(self, turn: _Turn[P], route: _Route[P]) -> Answer:
        facts, procedure = turn.facts, route.procedure
        if procedure.urgency == "queued":
            self._turn_away(facts)
        if turn.query and route.query is None:
            refuse_secrets(turn.query, facts.path)
        body = await read_body(turn.receive, facts.headers, procedure.body_bytes)
        _must_have_credential(procedure, facts.headers)
        arguments = _arguments(route, body, turn.query)
        if procedure.urgency == "free":
            return await self._performed(turn, procedure, arguments, self._identified(turn, procedure))
        if procedure.urgency == "prompt":
            with self._decisions:
                return await self._performed(turn, procedure, arguments, self._identified(turn, procedure))
        with self._administration.arrivals:
            known = await _settled(self._identified(turn, procedure))
        workspace_id = "" if turn.who is None else turn.who.workspace_id
        async with self._administration.place(workspace_id):
            return await self._performed(turn, procedure, arguments, known)

    def _turn_away(self, facts: RequestFacts) -> None:
        """Refuse what would be refused in the end, before it costs anything; raises `Overloaded`."""
        workspace_id = self._recognise(token_digest(facts.headers.get(b"authorization") or b""))
        if workspace_id is not None and self._administration.turns_away(workspace_id):
            raise Overloaded

    async def _performed(
        self,
        turn: _Turn[P],
        procedure: Procedure[P],
        arguments: tuple[Any, ...],
        identified: Awaitable[Visit[P]],
    ) -> Answer:
        try:
            visit = await identified
            if procedure.metered and turn.who is not None:
                await self._count(turn, turn.who)
            answer = _rendered(visit, procedure, await procedure.handler(visit, *arguments))
        except Exception as error:
            await self._account_for(turn, procedure, arguments, error)
            raise
        await self._account_for(turn, procedure, arguments, None)
        return answer

    async def _account_for(
        self, turn: _Turn[P], procedure: Procedure[P], arguments: tuple[Any, ...], error: Exception | None
    ) -> None:
        """See to it that a call which should leave a row in the audit log does, also where its verb left none."""
        who = turn.who
        if procedure.audited and who is not None and (error is not None or not who.trail):
            await self._account(who, attempt_of(procedure.title, arguments, error))

    async def _identified(self, turn: _Turn[P], procedure: Procedure[P]) -> Visit[P]:
        if procedure.open:
            return Visit(self._platform, turn.facts)
        if procedure.credential is not None:
            call = await procedure.credential.admit(self._platform, turn.facts)
        else:
            call = Call(self._platform, turn.facts, who=await self._known(turn))
        turn.who = call.who
        return call

    async def _known(self, turn: _Turn[P]) -> Principal:
        try:
            return await self._authenticate(bearer_token(turn.facts.headers), turn.facts)
        except RefusedCaller as refused:
            turn.who = refused.who
            raise refused.fault from None

    async def _count(self, turn: _Turn[P], who: Principal) -> None:
        try:
            allowance = await self._meter(who)
        except Exception:  # noqa: BLE001 - a broken limiter must not close the door to everybody
            _log.exception("the workspace limit could not be counted (request %s)", turn.facts.request_id)
            return
        if allowance is None:
            return
        turn.headers = allowance.headers()
        if not allowance.admitted:
            raise allowance.refusal()

    async def _openapi_answer(self, facts: RequestFacts, scope: Scope) -> Answer:
        if not await self._docs.admits(scope):
            raise UnknownRoute()
        if facts.method not in ("GET", "HEAD"):
            raise WrongMethod(("GET",))
        if self._document is None:
            self._document = envelope.encode(self.openapi())
        return Answer(200, self._document)

    def _failed(self, turn: _Turn[P], fault: Fault) -> Answer:
        facts = turn.facts
        if fault.private is not None:
            level = logging.WARNING if fault.status >= 500 else logging.INFO
            _log.log(level, "%s: %s (request %s)", fault.code, fault.private, facts.request_id)
        accept = facts.headers.get(b"accept") or b""
        errors_as = turn.route.procedure.errors_as if turn.route else "negotiated"
        return envelope.failed(facts.request_id, fault, self._error_pages, accept=accept, types=errors_as)


async def _settled(work: Awaitable[Visit[P]]) -> "asyncio.Future[Visit[P]]":
    """What has come of `work`, to be awaited where its failure is dealt with."""
    outcome: asyncio.Future[Visit[P]] = asyncio.get_running_loop().create_future()
    try:
        outcome.set_result(await work)
    except Exception as error:  # noqa: BLE001 - raised again to whoever awaits it
        outcome.set_exception(error)
        outcome.exception()  # looked at: it may be that no place is had, and then nobody awaits it
    return outcome


def _must_have_credential(procedure: Procedure[Any], headers: Headers) -> None:
    if procedure.credential is not None:
        procedure.credential.find(headers)
    elif not procedure.open and headers.get(b"authorization") is None:
        raise MissingAuthorization()


def _arguments(route: _Route[Any], body: bytes, query: bytes) -> tuple[Any, ...]:
    if route.body is not None and (body or route.query is None):
        return (route.body.read(body),)
    return () if route.query is None else (route.query.read(query),)


def _rendered(visit: Visit[Any], procedure: Procedure[Any], result: Any) -> Answer:
    if isinstance(result, Answer):
        return result
    if isinstance(result, Rendered):
        body = result.body
    elif isinstance(result, Page):
        body = envelope.listed(visit.request_id, result.data, result.cursor)
    elif isinstance(result, Spread):
        body = envelope.spread(visit.request_id, result.members)
    elif procedure.answers is None:
        body = envelope.bare(visit.request_id)
    else:
        body = envelope.ok(visit.request_id, result)
    return Answer(procedure.status, body, JSON, tuple(visit.answer_headers))


def _defect(turn: _Turn[Any], error: Exception) -> Fault:
    facts = turn.facts
    where = turn.route.procedure.path if turn.route else "no procedure"
    _log.error("unexpected error in %s (request %s)", where, facts.request_id, exc_info=error)
    return Unexpected()


async def _send(answer: Answer, turn: _Turn[Any], send: Send) -> None:
    body = answer.body
    own_id = body.startswith(b'{"meta":')
    head = (
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id_of(body) if own_id else turn.facts.request_id.encode()),
    )
    headers = [*head, *SECURITY_HEADERS, *turn.headers, *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if turn.facts.method == "HEAD" else body})


async def _hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing but HTTP is spoken here."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
