"""Parameters in the address, for GET and for the DELETE of those who send no body."""

from typing import Any

import httpx
import pytest

from tests.surfaces.rpc.plumbing.things import World

HEADERS = {"authorization": "Bearer root_secret"}


async def _find(world: World, query: str) -> httpx.Response:
    return await world.client.get(f"/v2/things.find?{query}", headers=HEADERS)


async def _asked(world: World, query: str) -> dict[str, Any]:
    answer = await _find(world, query)
    assert answer.status_code == 200, answer.text
    asked: dict[str, Any] = answer.json()["data"]["asked"]
    return asked


async def test_parameters_are_read_as_declared(world: World) -> None:
    query = "thingId=th%20ing&tag=a&tag=b&year=1999&year=2001&limit=7&exact=true"
    assert await _asked(world, query) == {
        "id": "th ing",
        "tag": ["a", "b"],
        "year": [1999, 2001],
        "limit": 7,
        "exact": True,
    }


async def test_absent_parameters_have_their_defaults(world: World) -> None:
    asked = await _asked(world, "thingId=123")
    assert asked == {"id": "123", "tag": [], "year": [], "limit": 100, "exact": False}


async def test_of_a_parameter_that_is_no_list_the_last_wins(world: World) -> None:
    assert (await _asked(world, "thingId=one&thingId=two&exact=false"))["id"] == "two"


@pytest.mark.parametrize(
    ("query", "location", "message"),
    [
        ("", "/required", "missing property 'thingId'"),
        ("thingId=ab", "/properties/thingId/minLength", "minLength: got 2, want 3"),
        ("thingId=", "/properties/thingId/minLength", "minLength: got 0, want 3"),
        ("thingId=abc&limit=0", "/properties/limit/minimum", "minimum: got 0, want 1"),
        ("thingId=abc&limit=-5", "/properties/limit/minimum", "minimum: got -5, want 1"),
        ("thingId=abc&limit=five", "/properties/limit/type", "got string, want integer"),
        ("thingId=abc&limit=%D9%A3", "/properties/limit/type", "got string, want integer"),
        (f"thingId=abc&limit={'9' * 30}", "/properties/limit/type", "got string, want integer"),
        ("thingId=abc&exact=yes", "/properties/exact/type", "got string, want boolean"),
        ("thingId=abc&year=1", "/properties/year/items/minimum", "minimum: got 1, want 1900"),
        ("thingId=abc&tag=1&tag=2&tag=3&tag=4", "/properties/tag/maxItems", "maxItems: got 4, want 3"),
        ("thingId=abc&other=1", "/additionalProperties", "additional properties 'other' not allowed"),
        ("thingId=a%00bc", "/properties/thingId", "NUL characters are not allowed"),
        ("thingId=abc&limit=1%00", "/properties/limit", "NUL characters are not allowed"),
        ("thingId=abc&tag=a&tag=%00", "/properties/tag/items", "NUL characters are not allowed"),
        ("thingId=abc&other=%00", "/properties/other", "NUL characters are not allowed"),
        ("thingId=%FF%FE%FD", "/properties/thingId", "not valid UTF-8"),
        ("thingId=abc%ED%A0%80", "/properties/thingId", "not valid UTF-8"),
        ("thingId=abc&year=2%C3", "/properties/year/items", "not valid UTF-8"),
        ("thingId=abc&a%00b=1", "/", "the name of a parameter is not valid text"),
        ("thingId=abc&%FF=1", "/", "the name of a parameter is not valid text"),
        ("&".join(["tag=a"] * 600), "/", "the query string cannot be read"),
    ],
)
async def test_a_wrong_query_is_a_violation(world: World, query: str, location: str, message: str) -> None:
    answer = await _find(world, query)
    error = answer.json()["error"]

    assert answer.status_code == 400
    assert error["detail"] == "GET query for '/v2/things.find' failed to validate schema"
    assert [(violation["location"], violation["message"]) for violation in error["errors"]] == [
        (location, message)
    ]


async def test_a_raw_byte_in_the_address_is_a_400(world: World) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    head = {"type": "http", "method": "GET", "path": "/v2/things.find"}
    raw = {"headers": [(b"authorization", b"Bearer root_secret")], "query_string": b"thingId=\xff"}
    await world.app(head | raw, receive, send)
    assert sent[0]["status"] == 400
    assert b"/properties/thingId" in sent[1]["body"]  # type: ignore[operator]


async def test_the_body_of_a_get_is_not_looked_at(world: World) -> None:
    answer = await world.client.request("GET", "/v2/things.find?thingId=abc", content=b"{", headers=HEADERS)
    assert answer.status_code == 200


async def test_a_delete_may_ask_in_its_body_or_in_its_address(world: World) -> None:
    address = "/v2/things.remove"
    in_body = await world.client.request("DELETE", address, json={"thingId": "t"}, headers=HEADERS)
    in_address = await world.client.delete(f"{address}?thingId=t&permanent=true", headers=HEADERS)

    assert in_body.json()["data"]["asked"] == {"id": "t", "permanent": False}
    assert in_address.json()["data"]["asked"] == {"id": "t", "permanent": True}
