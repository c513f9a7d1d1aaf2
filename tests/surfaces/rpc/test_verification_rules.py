"""What comes before what in a verification, and what each refusal costs, through the outermost door."""

from typing import Any

import pytest

from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_verification import code, create

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)  # nothing here is the database's

MINUTE = {"duration": 60_000}
USUAL = {"algorithm": "sliding_window", "mode": "enforce"}
ONCE = {"name": "once", "limit": 1, "autoApply": True} | MINUTE


async def test_the_first_failure_in_the_order_of_the_contract_is_told(
    house: House, acme: Client, api_id: str
) -> None:
    made = await create(
        acme,
        api_id,
        enabled=False,
        expires=START_MS - 1,
        ipWhitelist=["192.0.2.1"],
        ratelimits=[ONCE],
        credits={"remaining": 0},
    )
    asked = {"permissions": "documents.read"}
    assert await code(acme, made["key"], keyspaces=["ks_other"], **asked) == "NOT_FOUND"
    await acme.error("keys.verifyKey", {"key": made["key"], "permissions": "("}, 400)
    unknown = [{"name": "unknown"}]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("DISABLED", {"enabled": True}),
        ("EXPIRED", {"expires": None}),
        ("FORBIDDEN", {"ipWhitelist": []}),
        ("INSUFFICIENT_PERMISSIONS", {"permissions": ["documents.read"]}),
    ]
    for expected, change in changes:
        assert await code(acme, made["key"], **asked) == expected
        await acme.data("keys.updateKey", {"keyId": made["keyId"]} | change)
    await acme.error("keys.verifyKey", {"key": made["key"], "ratelimits": unknown} | asked, 412)
    assert await code(acme, made["key"], **asked) == "USAGE_EXCEEDED"
    assert await code(acme, made["key"], **asked) == "RATE_LIMITED"
    house.clock.advance(120_000)
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "credits": None})
    assert await code(acme, made["key"], **asked) == "VALID"
    await acme.data("keys.deleteKey", {"keyId": made["keyId"]})
    assert await code(acme, made["key"], **asked) == "NOT_FOUND"


async def test_every_not_found_tells_nothing_else(house: House, acme: Client, api_id: str) -> None:
    other = await house.tenant("other")
    made = await create(acme, api_id)
    deleted = await create(acme, api_id)
    await acme.data("keys.deleteKey", {"keyId": deleted["keyId"]})
    workspace = (await house.platform.workspaces.all())[0]
    nobody = await house.root_key(workspace.id, "api.*.read_key")
    for client, key, more in (
        (acme, "unknown", {}),
        (acme, deleted["key"], {}),
        (other, made["key"], {}),
        (nobody, made["key"], {}),
        (acme, made["key"], {"keyspaces": ["ks_other"]}),
        (acme, "a_b_c", {"migrationId": "unknown"}),
    ):
        for _ in "12":
            verdict = await client.data("keys.verifyKey", {"key": key} | more)
            assert verdict == {"valid": False, "code": "NOT_FOUND"}


@pytest.mark.parametrize(
    ("state", "expected"), [({"enabled": False}, "DISABLED"), ({"expires": START_MS - 1}, "EXPIRED")]
)
async def test_what_is_off_or_over_takes_nothing(
    acme: Client, api_id: str, state: dict[str, Any], expected: str
) -> None:
    made = await create(acme, api_id, ratelimits=[ONCE], credits={"remaining": 1}, **state)
    for _ in range(3):
        assert await code(acme, made["key"]) == expected
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": True, "expires": None})
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert (verdict["code"], verdict["credits"]) == ("VALID", 0)


async def test_a_use_that_is_refused_for_credits_has_counted(acme: Client, api_id: str) -> None:
    limit = ONCE | {"limit": 3}
    made = await create(acme, api_id, ratelimits=[limit], credits={"remaining": 0})
    for left in (2, 1):
        verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
        assert verdict["code"] == "USAGE_EXCEEDED"
        assert [item["remaining"] for item in verdict["ratelimits"]] == [left]


async def test_a_limit_of_the_key_hides_that_of_its_identity(acme: Client, api_id: str) -> None:
    limits = [ONCE | {"limit": 9}, ONCE | {"name": "tokens", "limit": 7}]
    await acme.data("identities.createIdentity", {"externalId": "user_1", "ratelimits": limits})
    made = await create(acme, api_id, externalId="user_1", ratelimits=[ONCE])
    first = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert {item["name"]: item["limit"] for item in first["ratelimits"]} == {"once": 1, "tokens": 7}
    assert [item["name"] for item in first["identity"]["ratelimits"]] == ["tokens"]
    assert await code(acme, made["key"]) == "RATE_LIMITED"
    another = await create(acme, api_id, externalId="user_1")
    verdict = await acme.data("keys.verifyKey", {"key": another["key"]})
    assert {item["name"]: item["remaining"] for item in verdict["ratelimits"]} == {"once": 8, "tokens": 5}


async def test_a_limit_with_its_own_numbers_counts_for_the_key_alone(acme: Client, api_id: str) -> None:
    shared = ONCE | {"autoApply": False}
    await acme.data("identities.createIdentity", {"externalId": "user_1", "ratelimits": [shared]})
    one, two = [await create(acme, api_id, externalId="user_1") for _ in "12"]
    own = [{"name": "once", "limit": 1} | MINUTE]
    for made in (one, two):
        verdict = await acme.data("keys.verifyKey", {"key": made["key"], "ratelimits": own})
        (item,) = verdict["ratelimits"]
        assert (verdict["code"], item["autoApply"], item["id"]) == ("VALID", False, "")
    assert await code(acme, one["key"], ratelimits=own) == "RATE_LIMITED"
    named = [{"name": "once"}]
    assert await code(acme, one["key"], ratelimits=named) == "VALID"
    assert await code(acme, two["key"], ratelimits=named) == "RATE_LIMITED"


async def test_an_unknown_limit_takes_nothing(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, ratelimits=[ONCE], credits={"remaining": 1})
    body = {"key": made["key"], "ratelimits": [{"name": "once"}, {"name": "unknown"}]}
    for _ in range(3):
        error = await acme.error("keys.verifyKey", body, 412)
        assert error["type"].endswith("unkey/application/precondition_failed")
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert (verdict["code"], verdict["credits"]) == ("VALID", 0)


async def test_another_duration_is_another_counter_and_another_limit_is_not(
    acme: Client, api_id: str
) -> None:
    made = await create(acme, api_id, ratelimits=[ONCE | {"limit": 5}])

    async def left(**change: int) -> int:
        body = {"keyId": made["keyId"], "ratelimits": [ONCE | change]}
        await acme.data("keys.updateKey", body)
        (item,) = (await acme.data("keys.verifyKey", {"key": made["key"]}))["ratelimits"]
        return int(item["remaining"])

    assert await left(limit=5) == 4
    assert await left(limit=9) == 7
    assert await left(limit=9, duration=120_000) == 8
    assert await left(limit=9) == 6


async def test_a_cost_is_nothing_to_a_key_without_a_balance(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    verdict = await acme.data("keys.verifyKey", {"key": made["key"], "credits": {"cost": 10**12}})
    assert verdict["code"] == "VALID" and "credits" not in verdict


async def test_the_answer_tells_the_key_as_it_is(acme: Client, api_id: str) -> None:
    await acme.data("permissions.createRole", {"name": "r", "permissions": ["b", "c"]})
    shared = ONCE | {"name": "shared", "limit": 9}
    identity = {"externalId": "user_1", "meta": {"plan": "pro"}, "ratelimits": [shared]}
    id_ = (await acme.data("identities.createIdentity", identity))["identityId"]
    made = await create(
        acme,
        api_id,
        name="n",
        meta={"a": 1},
        expires=START_MS + 5,
        externalId="user_1",
        permissions=["b", "a"],
        roles=["r"],
        ratelimits=[ONCE],
        credits={"remaining": 3},
    )
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    limits = {item["name"]: item for item in verdict.pop("ratelimits")}
    (told,) = verdict["identity"].pop("ratelimits")
    assert told == {"id": told["id"]} | shared | USUAL
    assert limits["once"] | {"id": ""} == ONCE | {
        "id": "",
        "exceeded": False,
        "remaining": 0,
        "reset": START_MS + 60_000,
    }
    assert verdict == {
        "valid": True,
        "code": "VALID",
        "keyId": made["keyId"],
        "keyspaceId": verdict["keyspaceId"],
        "name": "n",
        "meta": {"a": 1},
        "expires": START_MS + 5,
        "credits": 2,
        "enabled": True,
        "permissions": ["a", "b", "c"],
        "roles": ["r"],
        "identity": {"id": id_, "externalId": "user_1", "meta": {"plan": "pro"}},
    }
