"""A family that exists for the tests: one procedure for each way of asking and answering."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import httpx
from msgspec import UNSET, Meta, UnsetType

from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import BadRequest, Conflict, NotFound, Unauthorized, Unavailable
from latchwork.kernel.principal import Principal
from latchwork.surfaces.http.hot import Answer, HotHandler
from latchwork.surfaces.http.requests import Headers, RequestFacts
from latchwork.surfaces.rpc.admission import Allowance
from latchwork.surfaces.rpc.application import RpcApplication
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Empty, JsonObject, Positive, TolerantBody
from latchwork.surfaces.rpc.liveness import liveness
from latchwork.surfaces.rpc.procedures import (
    BULK_BYTES,
    Call,
    Credential,
    Family,
    Page,
    Rendered,
    Spread,
    Visit,
)

TOKEN = "root_secret"
NOW_MS = 1_700_000_000_000


class ThingNotFound(NotFound):
    """There is no such thing."""

    code = "unkey/data/thing_not_found"
    default_detail = "This thing does not exist."


class ThingExists(Conflict):
    """There is such a thing already."""

    code = "unkey/data/thing_already_exists"


@dataclass
class Shelf:
    """What the procedures work on, and what they remember."""

    made: list[Any] = field(default_factory=list)
    never: asyncio.Event = field(default_factory=asyncio.Event)


things: Family[Shelf] = Family("things", "Things to **try** the surface with.")
Name = Annotated[
    str,
    Meta(min_length=3, max_length=16, pattern="^[^/]*$", description="What to call it.", examples=["lamp"]),
]


class Size(Body):
    """How large a thing is."""

    width: Positive
    unit: Literal["mm", "cm"] = "mm"


class Make(Body):
    """A new thing."""

    name: Name
    count: Annotated[Count, Meta(description="How many.")] = 1
    size: Size | UnsetType | None = UNSET
    note: Annotated[str, Meta(max_length=8)] | UnsetType | None = UNSET
    tags: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=3)] = []
    meta: JsonObject | UnsetType = UNSET
    ratio: float = 0.5


class Made(Data):
    """The new thing."""

    id: str
    made_at: int
    note: str | UnsetType = UNSET
    tags: list[str] = []


@things.procedure(
    "make",
    answers=Made,
    summary="Make a thing",
    permission="thing.*.make",
    faults=[ThingExists],
    example={"name": "lamp", "count": 2},
)
async def make(call: Call[Shelf], body: Make) -> Made:
    """Makes a thing and answers its id.

    - the name may repeat
    - see [the list](#things.list)
    """
    call.platform.made.append(body)
    call.who.must("thing", "*", "make")
    return Made(id="thing_1", made_at=call.now_ms)


@things.procedure("makeMany", answers=list[Made], summary="Make many things", body_bytes=BULK_BYTES)
async def make_many(
    call: Call[Shelf], body: Annotated[list[Make], Meta(min_length=1, max_length=100)]
) -> list[Made]:
    call.platform.made.extend(body)
    return [Made(id=f"thing_{n}", made_at=call.now_ms) for n in range(len(body))]


class Find(Body):
    """Which things."""

    thing_id: Annotated[str, Meta(min_length=3)]
    tag: Annotated[list[str], Meta(max_length=3)] = []
    year: list[Annotated[int, Meta(ge=1900, le=2100)]] = []
    limit: Annotated[int, Meta(ge=1, le=100, description="At most so many.")] = 100
    exact: bool = False


class Found(Data):
    """What was asked."""

    asked: dict[str, Any]


@things.procedure(
    "find", methods=("GET",), answers=Found, summary="Find things", example={"thingId": "thing_1"}
)
async def find(call: Call[Shelf], query: Find) -> Found:
    return Found(
        asked={
            "id": query.thing_id,
            "tag": query.tag,
            "year": query.year,
            "limit": query.limit,
            "exact": query.exact,
        }
    )


class List(Body):
    """Which page."""

    cursor: str = ""


@things.procedure("list", answers=Page[Made], summary="List things")
async def list_things(call: Call[Shelf], body: List) -> Page[Made]:
    page = [Made(id="thing_1", made_at=1, tags=["a"])]
    return Page(page, cursor=None) if body.cursor else Page(page, cursor="thing_2")


class Which(Body):
    """Which thing."""

    thing_id: str
    permanent: bool = False


@things.procedure(
    "forget", answers=None, summary="Forget a thing", faults=[ThingNotFound], errors_as="problem"
)
async def forget(call: Call[Shelf], body: Which) -> None:
    if body.thing_id == "none":
        raise ThingNotFound()
    if body.thing_id == "broken":
        raise RuntimeError("the shelf fell down")


@things.procedure("rename", answers=Empty, summary="Rename a thing", errors_as="json", faults=[ThingNotFound])
async def rename(call: Call[Shelf], body: Which) -> Empty:
    if body.thing_id == "none":
        raise ThingNotFound(private="the shelf has 3 boards")
    return Empty()


@things.procedure(
    "remove",
    methods=("POST", "DELETE", "PUT"),
    answers=Found,
    summary="Remove a thing",
    faults=[ThingNotFound],
)
async def remove(call: Call[Shelf], body: Which) -> Found:
    return Found(asked={"id": body.thing_id, "permanent": body.permanent})


@things.procedure("status", answers=Empty, summary="Ask for nothing", status=202)
async def status(call: Call[Shelf]) -> Empty:
    call.answer_headers.append((b"pragma", b"no-cache"))
    return Empty()


class Told(TolerantBody):
    """Something with more members than we know."""

    name: str = "nobody"


@things.procedure("tell", answers=Found, summary="Tell something", allows_nul=True)
async def tell(call: Call[Shelf], body: Told) -> Found:
    asked = {"name": body.name, "ip": call.remote_ip, "agent": call.facts.user_agent}
    return Found(asked=asked | {"test": call.header("x-test-time"), "who": call.who.subject_id})


class Trouble(Body):
    """What shall happen."""

    kind: str


@things.procedure("fail", answers=Empty, summary="Fail", faults=[Unavailable])
async def fail(call: Call[Shelf], body: Trouble) -> Empty:
    match body.kind:
        case "hang":
            await call.platform.never.wait()
        case "slow part":
            raise TimeoutError("a part took too long")
        case "refuse":
            raise BadRequest("`kind` is odd.")
        case "unavailable":
            raise Unavailable(private="replica 3 is down")
        case "unencodable":
            return object()  # type: ignore[return-value]
    raise RuntimeError("secret path /etc/latchwork")


@things.procedure("raw", answers=Made, summary="Render by itself", heat=lambda shelf: _hot(shelf))
async def raw(call: Call[Shelf], body: Which) -> Rendered | Answer:
    whole = b'{"meta":{"requestId":"%b"},"data":{"id":"t","madeAt":1}}' % call.request_id.encode()
    return Rendered(whole) if body.permanent else Answer(207, whole)


@things.procedure("open", answers=Empty, summary="Look from outside", open=True)
async def look(visit: Visit[Shelf], body: Told) -> Empty:
    visit.platform.made.append(body)
    return Empty()


class NoBadge(BadRequest):
    """No badge is worn."""

    code = "unkey/authentication/badge_missing"


@dataclass(slots=True)
class BadgeCall(Call[Shelf]):
    """A call of somebody with a badge."""

    badge: str = field(kw_only=True)


def _badge(headers: Headers) -> bytes:
    badge = headers.get(b"x-badge")
    if badge is None:
        raise NoBadge
    return badge


async def _admit(shelf: Shelf, facts: RequestFacts) -> BadgeCall:
    badge = _badge(facts.headers).decode()
    if not badge.isdigit():
        raise Unauthorized("Nobody has that badge.")
    who = Principal(
        "ws_1", badge, None, frozenset(), facts.remote_ip, facts.user_agent, facts.request_id, "badge"
    )
    return BadgeCall(shelf, facts, who=who, badge=badge)


BADGE: Credential[Shelf] = Credential(
    schemes={"badge": {"type": "apiKey", "in": "header", "name": "X-Badge"}},
    find=_badge,
    admit=_admit,
    faults=(NoBadge, Unauthorized),
)


@things.procedure("show", credential=BADGE, answers=Spread[Found], summary="Show a badge")
async def show(call: BadgeCall, body: Told) -> Spread[Found]:
    return Spread(Found(asked={"badge": call.badge, "who": call.who.subject_type, "name": body.name}))


def _hot(shelf: Shelf) -> HotHandler:
    return lambda authorization, body, ip: None


class World:
    """The application with everything around it in our hands."""

    def __init__(self, **options: Any) -> None:
        self.shelf = Shelf()
        self.clock = ManualClock(NOW_MS)
        self.order: list[str] = []
        self.records: list[tuple[str, int]] = []
        self.allowance: Allowance | None = None
        self.meter_is_broken = False
        self.permissions = frozenset({"*"})
        options = {"timeout_s": 60.0} | options
        self.app = RpcApplication(
            [liveness, things],
            self.shelf,
            authenticate=self._authenticate,
            clock=self.clock,
            meter=self._meter,
            record=self._record,
            **options,
        )
        transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 5000))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://latchwork.test")

    async def post(self, procedure: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST to a procedure of the family, as the root key unless `headers` says otherwise."""
        headers: Mapping[str, str] = options.pop("headers", {"accept": "application/json"})
        headers = {"authorization": f"Bearer {TOKEN}"} | dict(headers)
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.client.post(f"/v2/things.{procedure}", headers=headers, **sent, **options)

    async def _authenticate(self, token: bytes, facts: RequestFacts) -> Principal:
        self.order.append("authenticate")
        if token != TOKEN.encode():
            raise Unauthorized()
        return Principal(
            "ws_1", "key_1", None, self.permissions, facts.remote_ip, facts.user_agent, facts.request_id
        )

    async def _meter(self, who: Principal) -> Allowance | None:
        self.order.append("meter")
        if self.meter_is_broken:
            raise ConnectionError("no counters")
        return self.allowance

    def _record(self, path: str, status: int, duration_ns: int) -> None:
        assert duration_ns > 0
        self.records.append((path, status))
