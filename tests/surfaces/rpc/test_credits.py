"""Holding credits through the outermost door: reserved, committed or released, once, and never lost."""

import asyncio
from typing import Any

import pytest

from latchwork.domains.credits import Holds
from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE

TTL_MS = 60_000
NOBODY = "res_unknown1"


async def _key(acme: Client, api_id: str, remaining: int | None = 100, **wanted: Any) -> dict[str, str]:
    credits = {} if remaining is None else {"credits": {"remaining": remaining}}
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | credits | wanted)
    return made


async def _reserve(acme: Client, key: dict[str, str], amount: int, ttl_ms: int = TTL_MS) -> Any:
    return await acme.data("credits.reserve", {"keyId": key["keyId"], "amount": amount, "ttlMs": ttl_ms})


async def _commit(acme: Client, reserved: Any, amount: int) -> Any:
    body = {"reservationId": reserved["reservationId"], "amount": amount}
    return await acme.data("credits.commit", body)


async def _release(acme: Client, reserved: Any) -> Any:
    return await acme.data("credits.release", {"reservationId": reserved["reservationId"]})


async def _left(acme: Client, key: dict[str, str]) -> int:
    left: int = (await acme.data("keys.getKey", {"keyId": key["keyId"]}))["credits"]["remaining"]
    return left


async def test_what_is_held_cannot_be_spent_and_what_it_cost_is(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 60)
    assert reserved["reservationId"].startswith("res_")
    assert (reserved["amount"], reserved["remaining"]) == (60, 40)
    assert reserved["expiresAt"] == START_MS + TTL_MS
    too_dear = await acme.data("keys.verifyKey", {"key": key["key"], "credits": {"cost": 41}})
    assert (too_dear["code"], too_dear["credits"]) == ("USAGE_EXCEEDED", 40)
    assert await _commit(acme, reserved, 25) == {"spent": 25, "released": 35, "remaining": 75}
    assert await _left(acme, key) == 75
    other = await acme.data("credits.reserve", {"key": key["key"], "amount": 75, "ttlMs": 1})
    assert other["remaining"] == 0
    assert await _release(acme, other) == {"released": 75, "remaining": 75}


async def test_a_hold_settles_once_however_many_try(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 60)
    body = {"reservationId": reserved["reservationId"]}
    tries = [acme.post("credits.commit", body | {"amount": 60}) for _ in range(4)]
    tries += [acme.post("credits.release", body) for _ in range(4)]
    statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert sorted(statuses) == [200] + [404] * 7
    assert await _left(acme, key) in (100, 40)
    error = await acme.error("credits.release", body, 404)
    assert error["type"].endswith("unkey/data/reservation_not_found")


async def test_two_holds_at_once_never_take_more_than_there_is(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    body = {"keyId": key["keyId"], "amount": 30, "ttlMs": TTL_MS}
    answers = await asyncio.gather(*(acme.post("credits.reserve", body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [412] * 3
    assert await _left(acme, key) == 10
    refused = next(answer.json()["error"] for answer in answers if answer.status_code == 412)
    assert refused["type"].endswith("precondition_failed")


async def test_an_abandoned_hold_returns_at_its_time(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 60)
    house.clock.advance(TTL_MS - 1)
    await house.platform.holds.sweep()
    assert await _left(acme, key) == 40
    house.clock.advance(1)
    late = {"reservationId": reserved["reservationId"], "amount": 1}
    await acme.error("credits.commit", late, 404)
    await house.platform.holds.sweep()
    verdict = await acme.data("keys.verifyKey", {"key": key["key"], "credits": {"cost": 100}})
    assert (verdict["code"], verdict["credits"]) == ("VALID", 0)


async def test_a_hold_that_expired_while_nobody_ran_returns_at_the_start(
    house: House, acme: Client, api_id: str
) -> None:
    key = await _key(acme, api_id)
    await _reserve(acme, key, 60)
    house.clock.advance(TTL_MS)
    platform = house.platform
    await platform.holds.close()
    again = Holds(platform.db, platform.ledger, house.clock)
    await again.open()
    assert await _left(acme, key) == 100
    await again.close()


async def test_a_hold_is_of_the_key_and_its_identity_together(acme: Client, api_id: str) -> None:
    await acme.data("identities.createIdentity", {"externalId": "user_1", "credits": {"remaining": 50}})
    rich, free = (
        await _key(acme, api_id, externalId="user_1"),
        await _key(acme, api_id, None, externalId="user_1"),
    )
    body = {"keyId": rich["keyId"], "amount": 51, "ttlMs": TTL_MS}
    await acme.error("credits.reserve", body, 412)
    one = await _reserve(acme, rich, 20)
    assert one["remaining"] == 30, "the identity has less than the key"
    two = await _reserve(acme, free, 25)
    assert two["remaining"] == 5
    verdict = await acme.data("keys.verifyKey", {"key": rich["key"], "credits": {"cost": 0}})
    assert (verdict["credits"], verdict["identityCredits"]) == (80, 5)
    assert (await _commit(acme, one, 15)) == {"spent": 15, "released": 5, "remaining": 10}
    assert (await _release(acme, two)) == {"released": 25, "remaining": 35}
    verdict = await acme.data("keys.verifyKey", {"key": rich["key"], "credits": {"cost": 0}})
    assert (verdict["credits"], verdict["identityCredits"]) == (85, 35)


async def test_an_identity_that_is_gone_does_not_pay(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, 10, externalId="user_1")
    assert (await _reserve(acme, key, 4))["remaining"] == 6


async def test_a_hold_outlives_the_deletion_of_its_key_for_the_work_was_done(
    acme: Client, api_id: str
) -> None:
    await acme.data("identities.createIdentity", {"externalId": "user_1", "credits": {"remaining": 50}})
    soft, hard = [await _key(acme, api_id, externalId="user_1") for _ in range(2)]
    one, two = await _reserve(acme, soft, 20), await _reserve(acme, hard, 20)
    await acme.data("keys.deleteKey", {"keyId": soft["keyId"]})
    await acme.data("keys.deleteKey", {"keyId": hard["keyId"], "permanent": True})
    assert (await _commit(acme, one, 5))["remaining"] == 25
    await acme.error("credits.commit", {"reservationId": two["reservationId"], "amount": 5}, 404)
    body = {"keyId": soft["keyId"], "amount": 1, "ttlMs": TTL_MS}
    await acme.error("credits.reserve", body, 404)


async def test_the_hold_of_a_key_that_was_removed_returns_to_its_identity(
    house: House, acme: Client, api_id: str
) -> None:
    await acme.data("identities.createIdentity", {"externalId": "user_1", "credits": {"remaining": 50}})
    key = await _key(acme, api_id, externalId="user_1")
    await _reserve(acme, key, 20)
    await acme.data("keys.deleteKey", {"keyId": key["keyId"], "permanent": True})
    house.clock.advance(TTL_MS)
    await house.platform.holds.sweep()
    found = await acme.data("identities.getIdentity", {"identity": "user_1"})
    assert found["credits"]["remaining"] == 50


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"amount": 0}, "/properties/amount/minimum"),
        ({"amount": 2**53}, "/properties/amount/maximum"),
        ({"amount": 1.5}, "/properties/amount/type"),
        ({"ttlMs": 0}, "/properties/ttlMs/minimum"),
        ({"ttlMs": 86_400_001}, "/properties/ttlMs/maximum"),
        ({"more": 1}, "/additionalProperties"),
    ],
)
async def test_what_is_out_of_bounds_is_named(
    acme: Client, api_id: str, body: dict[str, Any], named: str
) -> None:
    key = await _key(acme, api_id)
    asked = {"keyId": key["keyId"], "amount": 1, "ttlMs": TTL_MS} | body
    error = await acme.error("credits.reserve", asked, 400)
    assert [each["location"] for each in error["errors"]] == [named]


async def test_one_key_must_be_named_and_must_have_credits(acme: Client, api_id: str) -> None:
    key, free = await _key(acme, api_id), await _key(acme, api_id, None)
    asked = {"amount": 1, "ttlMs": TTL_MS}
    for which in ({}, key):
        error = await acme.error("credits.reserve", asked | which, 400)
        assert "`key` or `keyId`" in error["detail"]
    error = await acme.error("credits.reserve", asked | {"keyId": free["keyId"]}, 400)
    assert "unlimited" in error["detail"]


async def test_no_more_than_the_hold_can_be_committed(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 10)
    body = {"reservationId": reserved["reservationId"]}
    error = await acme.error("credits.commit", body | {"amount": 11}, 400)
    assert "10" in error["detail"]
    await acme.error("credits.commit", body | {"amount": -1}, 400)
    await acme.error("credits.commit", body, 400)
    assert (await _commit(acme, reserved, 0)) == {"spent": 0, "released": 10, "remaining": 100}


async def test_a_hold_of_what_became_unlimited_ends_without_a_balance(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 10)
    await acme.data("keys.updateKey", {"keyId": key["keyId"], "credits": None})
    assert await _commit(acme, reserved, 4) == {"spent": 4, "released": 6}


async def test_holds_are_for_whoever_may_verify_the_key(house: House, acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id)
    reserved = await _reserve(acme, key, 10)
    workspace = (await house.platform.workspaces.all())[0]
    nobody = await house.root_key(workspace.id, "api.*.read_key")
    somebody = await house.root_key(workspace.id, f"api.{api_id}.verify_key")
    stranger = await house.tenant("other")
    hold = {"reservationId": reserved["reservationId"]}
    unknown = {"reservationId": NOBODY}
    for procedure, mine, absent in (
        ("credits.reserve", {"keyId": key["keyId"]}, {"keyId": "key_unknown1"}),
        ("credits.reserve", {"key": key["key"]}, {"key": "unknown"}),
        ("credits.commit", hold, unknown),
        ("credits.release", hold, unknown),
    ):
        more = {"credits.reserve": {"amount": 1, "ttlMs": TTL_MS}, "credits.commit": {"amount": 1}}
        extra = more.get(procedure, {})
        await nobody.error(procedure, absent | extra, 404)
        error = await nobody.error(procedure, mine | extra, 403)
        assert f"api.{api_id}.verify_key" in error["detail"]
        foreign = await stranger.error(procedure, mine | extra, 404)
        assert foreign == await stranger.error(procedure, absent | extra, 404)
        if procedure != "credits.commit":
            await somebody.data(procedure, mine | extra)
    assert await _left(acme, key) == 98
