"""`PUT keys.updateRemaining` through the outermost door."""

from typing import Any

import pytest

from tests.surfaces.rpc.conftest import EVERYWHERE, Client, House
from tests.surfaces.rpc.test_management import NOBODY, create, limited

pytestmark = EVERYWHERE


async def put(client: Client, body: Any, method: str = "PUT") -> Any:
    headers = {"authorization": f"Bearer {client.key}"}
    answer = await client.http.request(method, "/v2/keys.updateRemaining", json=body, headers=headers)
    return answer.json()


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_credits_are_set_raised_lowered_and_lifted(acme: Client, api_id: str, method: str) -> None:
    refill = {"interval": "daily", "amount": 3}
    made = await create(acme, api_id, credits={"remaining": 5, "refill": refill})

    async def change(op: str, value: int | None) -> Any:
        return (await put(acme, {"keyId": made["keyId"], "op": op, "value": value}, method))["data"]

    assert await change("increment", 5) == {"remaining": 10}
    assert await change("decrement", 3) == {"remaining": 7}
    assert await change("decrement", 100) == {"remaining": 0}
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert verdict["code"] == "USAGE_EXCEEDED"
    assert await change("set", 2) == {"remaining": 2}
    assert (await acme.data("keys.verifyKey", {"key": made["key"]}))["credits"] == 1
    assert (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["credits"]["refill"] == refill
    assert await change("set", None) == {"remaining": None}
    assert "credits" not in await acme.data("keys.getKey", {"keyId": made["keyId"]})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"op": "set"}, "value"),
        ({"op": "set", "value": -1}, "value"),
        ({"op": "set", "value": 2**53}, "value"),
        ({"op": "multiply", "value": 1}, "op"),
        ({"op": "increment", "value": None}, "value"),
        ({"op": "decrement", "value": None}, "value"),
        ({"op": "increment", "value": 1}, "unlimited"),
        ({"op": "set", "value": 1, "x": 1}, "x"),
    ],
)
async def test_what_makes_no_sense_is_named(
    acme: Client, api_id: str, body: dict[str, Any], named: str
) -> None:
    made = await create(acme, api_id)
    error = (await put(acme, {"keyId": made["keyId"]} | body))["error"]
    assert error["status"] == 400
    assert named in error["detail"] + str(error["errors"])


async def test_lookup_comes_before_permission_and_foreign_keys_are_unknown(
    house: House, acme: Client, api_id: str
) -> None:
    made = await create(acme, api_id, credits={"remaining": 5})
    nobody, other = await limited(house, "api.*.read_api"), await house.tenant("other")
    body = {"keyId": made["keyId"], "op": "set", "value": 1}
    assert (await put(nobody, body))["error"]["status"] == 403
    unknown = (await put(nobody, body | {"keyId": NOBODY}))["error"]
    assert unknown["status"] == 404
    assert unknown == (await put(other, body))["error"]
    assert (await put(Client(acme.http, "nobody"), body))["error"]["status"] == 401
    assert (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["credits"] == {"remaining": 5}
