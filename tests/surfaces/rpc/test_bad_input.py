"""Whatever is wrong with a request is answered by 400 and named, and nothing is done."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from latchwork.compose.surfaces import FAMILIES as SERVED
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.kernel.sql.schema import metadata
from tests.surfaces.rpc.bad_input import Bad, Wrongs
from tests.surfaces.rpc.conftest import House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, World, world_of
from tests.surfaces.rpc.test_callers import SESSIONS, token_of

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

FAMILIES = sorted({name.removeprefix("GET ").partition(".")[0] for name in OPERATIONS})
JUNK = (
    b"{",
    b"nonsense",
    b"\xff\xfe",
    b'{"a":NaN}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"\\ud800"',
    b"1e999",
    b"null",
    b"[null]",
    b'{"\\u0000":1}',
)
"""Bodies that are no object, or not even JSON."""
OTHER_TYPES = {
    "application/x-www-form-urlencoded": b"keyId=key_1234567890&limit=1",
    "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    "multipart/form-data": b"--\r\n\r\n",
    "text/plain": b"keyId: key_1234567890",
    "application/xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "application/json; charset=utf-16": '{"limit":1}'.encode("utf-16"),
    "application/msgpack": b"\x81\xa5limit\x01",
    "application/x-python-pickle": b"\x80\x04}\x94.",
}
"""Bodies that are right under their type, which is not JSON."""
NULS_ALLOWED = {p.path.removeprefix("/v2/") for family in SERVED for p in family.procedures if p.allows_nul}
ADDRESSED: dict[str, Callable[[World], Any]] = {"DELETE keys.deleteKey": lambda w: {"keyId": w["key"]}}
"""What may be asked in the address besides what is asked with GET."""
UPKEEP = frozenset({"outbox", "credit_journal", "credit_balances", "key_uses"})
"""What the platform delivers, folds and saves in its own time, whether or not it is asked anything."""


@dataclass(frozen=True)
class Asked:
    """One operation, with all that is right to send to it."""

    http: httpx.AsyncClient
    method: str
    name: str
    right: Any
    told: dict[str, Any]
    token: str | None

    @property
    def schema(self) -> dict[str, Any] | None:
        """Of its body, if it has one."""
        if "requestBody" not in self.told:
            return None
        schema: dict[str, Any] = self.told["requestBody"]["content"]["application/json"]["schema"]
        return schema

    async def send(
        self, *, query: str = "", media_type: str = "application/json", **what: Any
    ) -> httpx.Response:
        """Ask with something else."""
        headers = {"content-type": media_type}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        return await self.http.request(self.method, f"/v2/{self.name}?{query}", headers=headers, **what)


@dataclass
class Trial:
    """What was tried of a family, and what was not refused as it should be."""

    asked: list[Asked]
    wrongs: Wrongs
    tried: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def bodies(self) -> list[tuple[Asked, Any]]:
        """What has a body, with its schema."""
        return [(asked, asked.schema) for asked in self.asked if asked.schema is not None]

    async def wrong(self, asked: Asked, bad: Bad, *, named: bool = True, **sent: Any) -> None:
        """Send something wrong, which the answer has to name."""
        self.tried += 1
        answer = await asked.send(**sent)
        if not (_is_named(answer, bad) if named else _is_refused(answer)):
            place = "/".join(map(str, bad.place))
            self.failures.append(f"{asked.name} {place} {bad.why}: {answer.status_code} {answer.text[:300]}")

    async def junk(self, asked: Asked, content: bytes, **sent: Any) -> None:
        """Send what is no body at all."""
        await self.wrong(asked, Bad((), repr(content[:20]), content), named=False, content=content, **sent)


@asynccontextmanager
async def trial_of(house: House, family: str) -> AsyncIterator[Trial]:
    """A trial of the operations of a family, at whose end nothing may have been done."""
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    token = await token_of(house, acme, world)
    await house.platform.runner.settled()
    document = (await house.http.get("/v2/openapi.json")).json()
    before = await house.platform.db.read(_everything, ALL_WORKSPACES)
    had = await acme.data("keys.getKey", {"keyId": world["key"]})
    asked = [
        Asked(house.http, method, name, right, document["paths"][f"/v2/{name}"][method.lower()], key)
        for method, name, right, key in _operations(world, acme.key, token)
        if name.partition(".")[0] == family
    ]
    trial = Trial(asked, Wrongs(document))
    yield trial
    assert not trial.failures, "\n".join(trial.failures)
    assert await house.platform.db.read(_everything, ALL_WORKSPACES) == before
    assert (await acme.data("keys.getKey", {"keyId": world["key"]}))["credits"] == had["credits"]


def _operations(world: World, key: str, token: str) -> Iterable[tuple[str, str, Any, str | None]]:
    for name, operation in OPERATIONS.items():
        yield operation.method, name.removeprefix("GET "), operation.body(world), key
    for name, body in ADDRESSED.items():
        method, _, name = name.partition(" ")
        yield method, name, body(world), key
    for name, body in SESSIONS.items():
        yield "POST", name, body(world), token
    yield "POST", "portal.exchangeCode", {"code": "pst_3kTnYe2aFxQv7p1M5jZ8cR4k"}, None


def _everything(connection: Connection) -> dict[str, list[Any]]:
    return {
        table.name: sorted(map(repr, connection.execute(select(table))))
        for table in metadata.sorted_tables
        if table.name not in UPKEEP
    }


def _is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and bool(answer.json()["error"].get("errors"))


def _is_named(answer: httpx.Response, bad: Bad) -> bool:
    return _is_refused(answer) and any(
        bad.named in error["location"].split("/") or f"'{bad.named}'" in error["message"]
        for error in answer.json()["error"]["errors"]
    )


@pytest.mark.parametrize("family", FAMILIES)
async def test_whatever_is_wrong_is_named_and_nothing_is_done(house: House, family: str) -> None:
    async with trial_of(house, family) as trial:
        for asked, schema in trial.bodies:
            for bad in trial.wrongs.of(schema, asked.right):
                await trial.wrong(asked, bad, json=bad.body)
            for junk in JUNK:
                await trial.junk(asked, junk)
    assert trial.tried > len(JUNK), "each operation has members of its own"


@pytest.mark.parametrize("family", FAMILIES)
async def test_no_member_holds_what_is_no_value_or_no_text(house: House, family: str) -> None:
    async with trial_of(house, family) as trial:
        for asked, schema in trial.bodies:
            for bad in trial.wrongs.no_values(schema, asked.right):
                await trial.wrong(asked, bad, named=False, content=bad.body)
            nul = asked.name in NULS_ALLOWED
            for bad in trial.wrongs.no_texts(schema, asked.right, allows_nul=nul):
                await trial.wrong(asked, bad, json=bad.body)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_body_of_another_type_is_no_body(house: House, family: str) -> None:
    async with trial_of(house, family) as trial:
        for asked, _ in trial.bodies:
            for media_type, content in OTHER_TYPES.items():
                await trial.junk(asked, content, media_type=media_type)


@pytest.mark.parametrize("family", ["analytics", "keys"])
async def test_whatever_is_wrong_with_a_query_is_named(house: House, family: str) -> None:
    async with trial_of(house, family) as trial:
        for asked in trial.asked:
            if "parameters" not in asked.told:
                continue
            for bad in trial.wrongs.of_query(asked.told["parameters"], asked.right):
                await trial.wrong(asked, bad, query=bad.body)
    assert trial.tried > 50


def test_every_query_of_the_document_is_tried(house: House) -> None:
    asked = {p.path for family in SERVED for p in family.procedures if {"GET", "DELETE"} & set(p.methods)}
    assert asked == {
        "/v2/liveness",
        "/v2/keys.getVerifications",
        "/v2/analytics.getVerifications",
        "/v2/keys.deleteKey",
    }


def test_an_answer_that_names_something_else_is_found_out(house: House) -> None:
    bad = Bad(("ratelimits", 0, "limit"), "too small", {})
    named = {"location": "/properties/ratelimits/items/properties/limit/minimum", "message": "got -1"}
    another = {"location": "/properties/ratelimits/maxItems", "message": "too many"}
    for status, errors, right in (
        (400, [named], True),
        (400, [another], False),
        (400, [], False),
        (200, [named], False),
        (500, [named], False),
    ):
        assert _is_named(httpx.Response(status, json={"error": {"errors": errors}}), bad) is right
