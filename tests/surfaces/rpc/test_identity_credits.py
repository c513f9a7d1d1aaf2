"""Credits of identities through the outermost door: one allowance, shared by keys, spent with theirs or not at all."""

import asyncio
from typing import Any

import pytest

from latchwork.domains import audit
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE

HOT: dict[str, str] = {}
ORDINARY = {"x-test-time": str(START_MS)}


async def _identity(acme: Client, remaining: int | None = None, **wanted: Any) -> str:
    """The id of the identity `user_1`."""
    credits = {} if remaining is None else {"credits": {"remaining": remaining} | wanted}
    made: str = (await acme.data("identities.createIdentity", {"externalId": "user_1"} | credits))[
        "identityId"
    ]
    return made


async def _key(acme: Client, api_id: str, remaining: int | None = None) -> dict[str, str]:
    """A key of `user_1`."""
    credits = {} if remaining is None else {"credits": {"remaining": remaining}}
    made: dict[str, str] = await acme.data(
        "keys.createKey", {"apiId": api_id, "externalId": "user_1"} | credits
    )
    return made


async def _update(acme: Client, operation: str, **value: Any) -> Any:
    body = {"identity": "user_1", "operation": operation} | value
    return await acme.data("identities.updateCredits", body)


async def _left(acme: Client, identity: str = "user_1") -> int | None:
    found = await acme.data("identities.getIdentity", {"identity": identity})
    left: int | None = found.get("credits", {}).get("remaining")
    return left


@pytest.mark.parametrize("door", [HOT, ORDINARY], ids=["hot", "ordinary"])
async def test_keys_of_an_identity_share_its_allowance(
    acme: Client, api_id: str, door: dict[str, str]
) -> None:
    await _identity(acme, 3)
    one, two = await _key(acme, api_id), await _key(acme, api_id)
    told = [await acme.data("keys.verifyKey", {"key": key["key"]}, **door) for key in (one, two, one, two)]
    assert [verdict["code"] for verdict in told] == ["VALID"] * 3 + ["USAGE_EXCEEDED"]
    assert [verdict["identityCredits"] for verdict in told] == [2, 1, 0, 0]
    assert "credits" not in told[0], "the keys have none of their own"
    assert told[3]["reason"] == "0 credits of the key's identity remain, this costs 1."


@pytest.mark.parametrize("door", [HOT, ORDINARY], ids=["hot", "ordinary"])
async def test_a_verification_spends_from_both_or_from_neither(
    acme: Client, api_id: str, door: dict[str, str]
) -> None:
    await _identity(acme, 10)
    rich, poor = await _key(acme, api_id, 100), await _key(acme, api_id, 1)

    async def verify(key: dict[str, str], cost: int) -> Any:
        return await acme.data("keys.verifyKey", {"key": key["key"], "credits": {"cost": cost}}, **door)

    paid = await verify(rich, 4)
    assert (paid["code"], paid["credits"], paid["identityCredits"]) == ("VALID", 96, 6)
    too_dear = await verify(rich, 7)
    assert (too_dear["code"], too_dear["credits"], too_dear["identityCredits"]) == ("USAGE_EXCEEDED", 96, 6)
    assert too_dear["reason"] == "6 credits of the key's identity remain, this costs 7."
    short = await verify(poor, 2)
    assert (short["code"], short["credits"], short["identityCredits"]) == ("USAGE_EXCEEDED", 1, 6)
    assert short["reason"] == "1 credits remain, this costs 2."
    peeked = await verify(poor, 0)
    assert (peeked["code"], peeked["credits"], peeked["identityCredits"]) == ("VALID", 1, 6)


async def test_a_refusal_for_another_reason_tells_what_is_left_and_spends_nothing(
    acme: Client, api_id: str
) -> None:
    await _identity(acme, 5)
    key = await _key(acme, api_id, 7)
    refused = await acme.data("keys.verifyKey", {"key": key["key"], "permissions": "absent"})
    assert (refused["code"], refused["credits"], refused["identityCredits"]) == (
        "INSUFFICIENT_PERMISSIONS",
        7,
        5,
    )
    assert await _left(acme) == 5


async def test_an_allowance_is_never_overspent_by_many_keys_at_once(acme: Client, api_id: str) -> None:
    await _identity(acme, 20)
    keys = [await _key(acme, api_id, 9 if number % 2 else None) for number in range(5)]
    told = await asyncio.gather(
        *(acme.data("keys.verifyKey", {"key": keys[n % 5]["key"]}) for n in range(60))
    )
    assert [verdict["code"] for verdict in told].count("VALID") == 20
    assert await _left(acme) == 0
    views = [await acme.data("keys.getKey", {"keyId": key["keyId"]}) for key in keys[1::2]]
    spent_by_metered = sum(9 - view["credits"]["remaining"] for view in views)
    valid_of_metered = [v for v in told if v["keyId"] in {k["keyId"] for k in keys[1::2]} and v["valid"]]
    assert spent_by_metered == len(valid_of_metered)


async def test_an_allowance_is_set_raised_lowered_and_lifted(acme: Client, api_id: str) -> None:
    identity_id = await _identity(acme)
    key = await _key(acme, api_id)
    base = {"identity": identity_id}
    assert "identityCredits" not in await acme.data("keys.verifyKey", {"key": key["key"]})
    await acme.error("identities.updateCredits", base | {"operation": "increment", "value": 1}, 400)
    assert await _update(acme, "set", value=5) == {"remaining": 5}
    assert (await acme.data("keys.verifyKey", {"key": key["key"]}))["identityCredits"] == 4
    assert await _update(acme, "increment", value=3) == {"remaining": 7}
    assert (await acme.data("keys.verifyKey", {"key": key["key"]}))["identityCredits"] == 6
    assert await _update(acme, "decrement", value=100) == {"remaining": 0}
    assert (await acme.data("keys.verifyKey", {"key": key["key"]}))["code"] == "USAGE_EXCEEDED"
    assert await _update(acme, "set", value=None) == {"remaining": None}
    assert (await acme.data("keys.verifyKey", {"key": key["key"]}))["code"] == "VALID"
    assert await _left(acme) is None
    for wrong in ({"operation": "decrement"}, {"operation": "set", "value": -1}, {"operation": "double"}):
        await acme.error("identities.updateCredits", base | wrong, 400)


async def test_an_allowance_has_a_refill(acme: Client, api_id: str) -> None:
    refill = {"interval": "monthly", "amount": 9, "refillDay": 31}
    identity_id = await _identity(acme, 7, refill=refill)
    found = await acme.data("identities.getIdentity", {"identity": identity_id})
    assert found["credits"] == {"remaining": 7, "refill": refill}
    key = await _key(acme, api_id)
    await acme.data("keys.verifyKey", {"key": key["key"], "credits": {"cost": 2}})
    seen = await acme.data("keys.getKey", {"keyId": key["keyId"]})
    assert seen["identity"]["credits"] == {"remaining": 5, "refill": refill}
    assert await _update(acme, "set", value=1) == {"remaining": 1, "refill": refill}


async def test_what_makes_no_sense_makes_no_identity(acme: Client) -> None:
    daily = {"refill": {"interval": "daily", "amount": 1}}
    for wrong in ({"remaining": -1}, {"remaining": None} | daily, {"remaining": 2**53}):
        await acme.error("identities.createIdentity", {"externalId": "user_1", "credits": wrong}, 400)
    await acme.error("identities.getIdentity", {"identity": "user_1"}, 404)
    unlimited = {"externalId": "user_1", "credits": {"remaining": None}}
    await acme.data("identities.createIdentity", unlimited)
    assert await _left(acme) is None


async def test_permission_comes_first_and_foreign_identities_are_unknown(house: House, acme: Client) -> None:
    identity_id = await _identity(acme, 5)
    workspace = (await house.platform.workspaces.all())[0]
    body = {"operation": "set", "value": 1}
    nobody = await house.root_key(workspace.id, "identity.*.read_identity", "identity.*.create_identity")
    for name in (identity_id, "unknown"):
        error = await nobody.error("identities.updateCredits", {"identity": name} | body, 403)
        assert error["detail"] == "Missing permission: 'identity.*.update_identity'"
    somebody = await house.root_key(workspace.id, "identity.*.update_identity")
    assert await somebody.data("identities.updateCredits", {"identity": identity_id} | body) == {
        "remaining": 1
    }
    other = await house.tenant("other")
    foreign = await other.error("identities.updateCredits", {"identity": identity_id} | body, 404)
    assert foreign == await other.error("identities.updateCredits", {"identity": "unknown"} | body, 404)
    assert foreign["type"].endswith("identity_not_found")
    assert await _left(acme) == 1
    assert await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None


async def test_a_key_pays_from_the_identity_it_has_now(acme: Client, api_id: str) -> None:
    await _identity(acme, 5)
    await acme.data("identities.createIdentity", {"externalId": "user_2", "credits": {"remaining": 50}})
    key = await _key(acme, api_id)
    asked = {"key": key["key"]}
    assert (await acme.data("keys.verifyKey", asked))["identityCredits"] == 4
    await acme.data("keys.updateKey", {"keyId": key["keyId"], "externalId": "user_2"})
    assert (await acme.data("keys.verifyKey", asked))["identityCredits"] == 49
    await acme.data("keys.updateKey", {"keyId": key["keyId"], "externalId": None})
    assert "identityCredits" not in await acme.data("keys.verifyKey", asked)
    assert (await _left(acme), await _left(acme, "user_2")) == (4, 49)


async def test_the_explanation_tells_of_both(acme: Client, api_id: str) -> None:
    await _identity(acme, 5)
    key = await _key(acme, api_id, 2)

    async def explained(cost: int) -> tuple[dict[str, str], list[str]]:
        told = await acme.data("keys.explainKey", {"key": key["key"], "credits": {"cost": cost}})
        return {check["check"]: check["outcome"] for check in told["checks"]}, told["remedies"]

    outcomes, remedies = await explained(2)
    assert (outcomes["credits"], outcomes["identityCredits"], remedies) == ("passed", "passed", [])
    outcomes, remedies = await explained(3)
    assert (outcomes["credits"], outcomes["identityCredits"]) == ("failed", "passed")
    outcomes, remedies = await explained(9)
    assert (outcomes["credits"], outcomes["identityCredits"]) == ("failed", "failed")
    assert remedies == [
        "Add at least 7 credits: keys.updateCredits with operation increment.",
        "Add at least 4 credits: identities.updateCredits with operation increment.",
    ]
    await _update(acme, "set", value=None)
    outcomes, remedies = await explained(2)
    assert (outcomes["credits"], outcomes["identityCredits"]) == ("passed", "skipped")
    await acme.data("keys.updateKey", {"keyId": key["keyId"], "credits": None})
    await _update(acme, "set", value=1)
    outcomes, remedies = await explained(1)
    assert (outcomes["credits"], outcomes["identityCredits"]) == ("skipped", "passed")


async def test_many_verifications_at_once_spend_together(acme: Client, api_id: str) -> None:
    await _identity(acme, 3)
    key = await _key(acme, api_id, 5)
    verdicts = await acme.data("keys.verifyKeys", {"requests": [{"key": key["key"]}] * 4})
    assert [(v["code"], v["credits"], v["identityCredits"]) for v in verdicts] == [
        ("VALID", 4, 2),
        ("VALID", 3, 1),
        ("VALID", 2, 0),
        ("USAGE_EXCEEDED", 2, 0),
    ]
