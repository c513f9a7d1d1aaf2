"""Whatever is wrong with a body is answered by 400 and named, and nothing is done."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from latchwork.kernel.sql.schema import metadata
from tests.surfaces.rpc.bad_input import Bad, Wrongs
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, world_of

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


UPKEEP = frozenset({"outbox", "credit_journal", "credit_balances", "key_uses"})
"""What the platform delivers, folds and saves in its own time, whether or not it is asked anything."""


def _everything(connection: Connection) -> dict[str, list[Any]]:
    return {
        table.name: sorted(map(repr, connection.execute(select(table))))
        for table in metadata.sorted_tables
        if table.name not in UPKEEP
    }


@pytest.mark.parametrize("family", FAMILIES)
async def test_whatever_is_wrong_is_named_and_nothing_is_done(house: House, family: str) -> None:
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    await house.platform.runner.settled()
    document = (await house.http.get("/v2/openapi.json")).json()
    wrongs = Wrongs(document)
    before = await house.platform.db.read(_everything)
    had = await acme.data("keys.getKey", {"keyId": world["key"]})
    tried, failures = 0, []
    for name, operation in OPERATIONS.items():
        if operation.method == "GET" or name.partition(".")[0] != family:
            continue
        told = document["paths"][f"/v2/{name}"][operation.method.lower()]
        if "requestBody" not in told:
            continue
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        for bad in wrongs.of(schema, operation.body(world)):
            tried += 1
            answer = await _sent(acme, operation.method, name, json=bad.body)
            if not _is_named(answer, bad):
                failures.append(f"{name} {'/'.join(map(str, bad.place))} {bad.why}: {answer.text[:300]}")
        for junk in JUNK:
            tried += 1
            answer = await _sent(acme, operation.method, name, content=junk)
            if answer.status_code != 400 or not answer.json()["error"]["errors"]:
                failures.append(f"{name} {junk[:20]!r}: {answer.status_code} {answer.text[:300]}")
    assert not failures, "\n".join(failures)
    assert tried > len(JUNK), "each operation has members of its own"
    assert await house.platform.db.read(_everything) == before
    assert (await acme.data("keys.getKey", {"keyId": world["key"]}))["credits"] == had["credits"]


async def _sent(client: Client, method: str, name: str, **what: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {client.key}", "content-type": "application/json"}
    return await client.http.request(method, f"/v2/{name}", headers=headers, **what)


def _is_named(answer: httpx.Response, bad: Bad) -> bool:
    if answer.status_code != 400:
        return False
    errors = answer.json()["error"].get("errors", [])
    return any(
        bad.named in error["location"].split("/") or f"'{bad.named}'" in error["message"] for error in errors
    )


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
