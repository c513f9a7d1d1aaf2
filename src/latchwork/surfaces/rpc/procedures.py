"""Procedures: declared once, in families, as a body type, an answer type and what can go wrong."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from latchwork.kernel.faults import Fault
from latchwork.kernel.principal import Principal
from latchwork.surfaces.http.hot import HotHandler
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.rpc.bodies import BodyReader
from latchwork.surfaces.rpc.envelope import ErrorTypes
from latchwork.surfaces.rpc.queries import QueryReader
from latchwork.surfaces.rpc.schemas import Schema, unbounded_integers

P = TypeVar("P")
D = TypeVar("D")

Method = Literal["GET", "POST", "PUT", "DELETE"]
Urgency = Literal["queued", "prompt", "free"]
"""Whether requests wait for a place among those of administration, are served promptly or refused when too many are,
or need nothing that could run short."""

_READING = ("get", "list", "whoami", "explain", "verify", "limit", "multiLimit", "liveness")
"""How procedures begin that change nothing, or nothing but counts."""

BODY_BYTES = 1_048_576
BULK_BYTES = 10 * BODY_BYTES


@dataclass(slots=True)
class Visit(Generic[P]):
    """One request to a procedure that anybody may call."""

    platform: P
    facts: RequestFacts
    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """More headers for a successful answer, lower-case names."""

    @property
    def request_id(self) -> str:
        return self.facts.request_id

    @property
    def now_ms(self) -> int:
        """When the request began."""
        return self.facts.now_ms

    @property
    def remote_ip(self) -> str:
        return self.facts.remote_ip

    def header(self, name: str) -> str | None:
        """A request header by its lower-case name."""
        raw = self.facts.headers.get(name.encode())
        return None if raw is None else raw.decode("latin-1")


@dataclass(slots=True)
class Call(Visit[P]):
    """One request of an authenticated caller."""

    who: Principal = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Credential(Generic[P]):
    """Another way in than a root key.

    `schemes` are OpenAPI's security schemes by name, of which any one will do. `find` takes it from the
    headers, or raises what a request without it is told, before its body is looked at. `admit` makes the
    call of whoever comes with it, or raises one of `faults`, which are documented.
    """

    schemes: Mapping[str, Schema]
    find: Callable[[Headers], object]
    admit: Callable[[P, RequestFacts], Awaitable[Call[P]]]
    faults: tuple[type[Fault], ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[D]):
    """One page of a list, and where the next begins if there is one."""

    data: Sequence[D]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Spread(Generic[D]):
    """An answer whose members stand beside `meta`, where others have `data`."""

    members: D


@dataclass(frozen=True, slots=True)
class Rendered:
    """A complete 200 body, `meta` and all, from a domain that renders its own answers."""

    body: bytes


Handler = Callable[..., Awaitable[Any]]
"""`handler(call)` or `handler(call, body)`, answering `Data`, a list, `Page`, `Spread`, `Rendered`,
`Answer` or, where only `meta` is answered, `None`."""

Heat = Callable[[P], HotHandler]
"""Makes a hot handler of the platform's parts; see `surfaces.http.hot`."""


@dataclass(frozen=True, slots=True)
class Procedure(Generic[P]):
    """One row of the table: everything that serving and documenting a procedure needs."""

    family: str
    name: str
    path: str
    methods: tuple[Method, ...]
    handler: Handler
    body: Any
    """The type of its body or query; `None` when it takes neither."""
    answers: Any
    """A `Data` type, `list[…]`, `Page[…]`, `Spread[…]`, or `None` when only `meta` is answered."""
    summary: str
    description: str
    open: bool
    credential: Credential[P] | None
    """What callers come with; `None` for a root key, or for nothing where `open`."""
    permission: str
    faults: tuple[type[Fault], ...]
    example: Any
    status: int
    body_bytes: int
    allows_nul: bool
    errors_as: ErrorTypes
    heat: Heat[P] | None
    urgency: Urgency
    metered: bool
    """Whether its requests count against the workspace's limit."""
    audited: bool
    """Whether every call of it leaves a row in the audit log, refused ones too."""

    @property
    def title(self) -> str:
        """Its full name."""
        return f"{self.family}.{self.name}"

    def __post_init__(self) -> None:
        unbounded = [] if self.body is None else unbounded_integers(self.body)
        if unbounded:
            raise TypeError(f"{self.path}: integers of a request need bounds within 2^53: {unbounded}")

    def body_reader(self, method: Method) -> BodyReader[Any] | None:
        """What reads the body of a request; `None` where bodies are not looked at."""
        if self.body is None or method == "GET":
            return None
        detail = f"{method} request body for '{self.path}' failed to validate schema"
        return BodyReader(self.body, detail, allows_nul=self.allows_nul)

    def query_reader(self, method: Method) -> QueryReader[Any] | None:
        """What reads the query string instead, where there may be no body: of GET and DELETE."""
        if self.body is None or method not in ("GET", "DELETE"):
            return None
        return QueryReader(self.body, f"{method} query for '{self.path}' failed to validate schema")


@dataclass(slots=True)
class Family(Generic[P]):
    """Procedures that share a noun. `description` introduces them in the reference."""

    name: str
    description: str
    procedures: list[Procedure[P]] = field(default_factory=list)

    def procedure(
        self,
        name: str,
        *,
        answers: Any,
        summary: str,
        permission: str = "",
        faults: Sequence[type[Fault]] = (),
        methods: tuple[Method, ...] = ("POST",),
        example: Mapping[str, Any] | Sequence[Any] | None = None,
        status: int = 200,
        body_bytes: int = BODY_BYTES,
        allows_nul: bool = False,
        errors_as: ErrorTypes = "negotiated",
        heat: Heat[P] | None = None,
        urgency: Urgency = "queued",
        metered: bool = True,
        audited: bool | None = None,
        path: str | None = None,
        open: bool = False,
        credential: Credential[P] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare `handler(call, body)` as `/v2/<family>.<name>`.

        The body's type is the annotation of the second parameter; a handler without one takes no
        body. The docstring becomes the description. `permission` says in words or tuples what the
        caller must hold. `faults` are those the handler raises beyond what every procedure may
        answer. `open` procedures need no authentication and get a `Visit` instead of a `Call`;
        those with a `credential` get the call that it makes. What decides about others' requests is
        `prompt`. Only `metered` ones count against the
        workspace's limit of requests. Calls of `audited` ones always leave a row in the audit log; by
        default those are whose names do not begin as reading does.
        """

        def declare(handler: Handler) -> Handler:
            self.procedures.append(
                Procedure(
                    family=self.name,
                    name=name,
                    path=path or f"/v2/{self.name}.{name}",
                    methods=methods,
                    handler=handler,
                    body=_body_of(handler),
                    answers=answers,
                    summary=summary,
                    description=inspect.getdoc(handler) or "",
                    open=open,
                    credential=credential,
                    permission=permission,
                    faults=tuple(faults),
                    example=example,
                    status=status,
                    body_bytes=body_bytes,
                    allows_nul=allows_nul,
                    errors_as=errors_as,
                    heat=heat,
                    urgency=urgency,
                    metered=metered,
                    audited=not name.startswith(_READING) if audited is None else audited,
                )
            )
            return handler

        return declare


def _body_of(handler: Handler) -> Any:
    parameters = list(inspect.signature(handler).parameters.values())
    if len(parameters) < 2:
        return None
    if isinstance(parameters[1].annotation, str):
        raise TypeError(f"{handler.__qualname__}: the body's type is needed here; write it without quotes")
    return parameters[1].annotation
