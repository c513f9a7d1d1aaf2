"""Refills through the outermost door: in force for the very verification that begins when they are due."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE

DAY_MS = 86_400_000
MIDNIGHT_MS = START_MS // DAY_MS * DAY_MS + DAY_MS
HOT: dict[str, str] = {}
ORDINARY = {"x-test-time": str(START_MS)}
DAILY = {"interval": "daily", "amount": 5}


async def _key(acme: Client, api_id: str, remaining: int, refill: dict[str, Any], **wanted: Any) -> Any:
    credits = {"remaining": remaining, "refill": refill}
    return await acme.data("keys.createKey", {"apiId": api_id, "credits": credits} | wanted)


async def _verify(acme: Client, key: dict[str, str], cost: int = 1, door: dict[str, str] = HOT) -> Any:
    return await acme.data("keys.verifyKey", {"key": key["key"], "credits": {"cost": cost}}, **door)


@pytest.mark.parametrize("door", [HOT, ORDINARY], ids=["hot", "ordinary"])
async def test_the_very_next_verification_meets_the_refill_and_once(
    house: House, acme: Client, api_id: str, door: dict[str, str]
) -> None:
    key = await _key(acme, api_id, 1, DAILY)
    assert (await _verify(acme, key, door=door))["credits"] == 0
    house.clock.set(MIDNIGHT_MS - 1)
    refused = await _verify(acme, key, door=door)
    assert (refused["code"], refused["retryAt"]) == ("USAGE_EXCEEDED", MIDNIGHT_MS)
    house.clock.set(MIDNIGHT_MS)
    assert [(await _verify(acme, key, door=door))["credits"] for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = await _verify(acme, key, door=door)
    assert (refused["code"], refused["retryAt"]) == ("USAGE_EXCEEDED", MIDNIGHT_MS + DAY_MS)
    shown = await acme.data("keys.getKey", {"keyId": key["keyId"]})
    assert shown["credits"] == {"remaining": 0, "refill": DAILY | {"lastRefillAt": MIDNIGHT_MS}}


async def test_a_verification_after_the_sweep_meets_the_same_refill(
    house: House, acme: Client, api_id: str
) -> None:
    key = await _key(acme, api_id, 1, DAILY)
    await _verify(acme, key)
    house.clock.set(MIDNIGHT_MS)
    await house.platform.refills.sweep()
    assert (await acme.data("keys.getKey", {"keyId": key["keyId"]}))["credits"]["remaining"] == 5
    assert (await _verify(acme, key))["credits"] == 4
    assert (await _verify(acme, key))["credits"] == 3


async def test_a_short_month_is_refilled_on_its_last_day(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, 0, {"interval": "monthly", "amount": 9, "refillDay": 31})
    at = {day: int(datetime(2027, 1, day, tzinfo=UTC).timestamp() * 1000) for day in (30, 31)}
    house.clock.set(at[30])
    assert (await _verify(acme, key))["retryAt"] == at[31]
    house.clock.set(at[31])
    assert (await _verify(acme, key, 9))["credits"] == 0
    february = int(datetime(2027, 2, 28, tzinfo=UTC).timestamp() * 1000)
    assert (await _verify(acme, key))["retryAt"] == february
    house.clock.set(february)
    assert (await _verify(acme, key))["credits"] == 8


async def test_waiting_helps_only_where_the_refill_is_enough(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, 1, DAILY)
    assert "retryAt" in await _verify(acme, key, 5)
    assert "retryAt" not in await _verify(acme, key, 6)
    plain = await acme.data("keys.createKey", {"apiId": api_id, "credits": {"remaining": 0}})
    assert "retryAt" not in await _verify(acme, plain)


async def test_a_key_and_its_identity_are_refilled_each_at_its_moment(
    house: House, acme: Client, api_id: str
) -> None:
    first = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp() * 1000)
    monthly = {"interval": "monthly", "amount": 100, "refillDay": 1}
    allowance = {"remaining": 2, "refill": monthly}
    await acme.data("identities.createIdentity", {"externalId": "user_1", "credits": allowance})
    key = await _key(acme, api_id, 2, DAILY, externalId="user_1")
    assert (await _verify(acme, key, 2))["code"] == "VALID"
    assert (await _verify(acme, key))["retryAt"] == first, "both are needed, and the later one comes then"
    house.clock.set(MIDNIGHT_MS)
    refused = await _verify(acme, key)
    assert (refused["credits"], refused["identityCredits"], refused["retryAt"]) == (5, 0, first)
    house.clock.set(first)
    paid = await _verify(acme, key)
    assert (paid["code"], paid["credits"], paid["identityCredits"]) == ("VALID", 4, 99)


async def test_the_explanation_tells_when_a_refill_helps_and_looks_ahead(
    house: House, acme: Client, api_id: str
) -> None:
    key = await _key(acme, api_id, 1, DAILY)

    async def explained(cost: int, **more: int) -> tuple[str, list[str]]:
        told = await acme.data("keys.explainKey", {"key": key["key"], "credits": {"cost": cost}} | more)
        return told["code"], told["remedies"]

    moment = datetime.fromtimestamp(MIDNIGHT_MS / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    code, remedies = await explained(5)
    assert code == "USAGE_EXCEEDED"
    assert remedies == [
        f"Wait for the refill at {moment}, or add at least 4 credits: keys.updateCredits with operation increment."
    ]
    assert (await explained(6))[1][0].startswith("Add at least 5 credits")
    assert (await explained(5, at=MIDNIGHT_MS))[0] == "VALID"
    assert (await explained(6, at=MIDNIGHT_MS))[1][0].startswith("Add at least 1 credits")
    shown = await acme.data("keys.getKey", {"keyId": key["keyId"]})
    assert shown["credits"]["remaining"] == 1, "looking ahead refills nothing"


async def test_a_change_of_the_refill_holds_from_then_on(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, 0, DAILY)
    assert (await _verify(acme, key))["retryAt"] == MIDNIGHT_MS
    body = {"keyId": key["keyId"]}
    await acme.data("keys.updateKey", body | {"credits": {"refill": DAILY | {"amount": 7}}})
    house.clock.set(MIDNIGHT_MS)
    assert (await _verify(acme, key))["credits"] == 6
    await acme.data("keys.updateKey", body | {"credits": {"refill": None}})
    await acme.data("keys.updateCredits", body | {"operation": "set", "value": 0})
    house.clock.set(MIDNIGHT_MS + DAY_MS)
    refused = await _verify(acme, key)
    assert (refused["code"], "retryAt" in refused) == ("USAGE_EXCEEDED", False)


async def test_a_rerolled_key_takes_its_refill_along(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, 0, DAILY)
    fresh = await acme.data("keys.rerollKey", {"keyId": key["keyId"], "expiration": 0})
    house.clock.set(MIDNIGHT_MS)
    assert (await _verify(acme, fresh))["credits"] == 4


async def test_what_is_deleted_is_refilled_no_more(house: House, acme: Client, api_id: str) -> None:
    gone = (await acme.data("apis.createApi", {"name": "gone"}))["apiId"]
    kept, deleted = await _key(acme, api_id, 0, DAILY), await _key(acme, api_id, 0, DAILY)
    await _key(acme, gone, 0, DAILY)
    await acme.data("keys.deleteKey", {"keyId": deleted["keyId"]})
    await acme.data("apis.deleteApi", {"apiId": gone})
    house.clock.set(MIDNIGHT_MS)
    assert await house.platform.refills.sweep() == 5
    assert (await _verify(acme, kept))["credits"] == 4


async def test_a_refill_without_an_interval_is_refused_and_the_interval_named(
    acme: Client, api_id: str
) -> None:
    wanted = {"apiId": api_id, "credits": {"remaining": 1, "refill": {"amount": 5}}}
    error = await acme.error("keys.createKey", wanted, 400)
    assert "interval" in str(error)
    assert await acme.data("apis.listKeys", {"apiId": api_id}) == []
