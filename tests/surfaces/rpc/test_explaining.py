"""Explanations through the outermost door: what each check found, and what would make it pass."""

from typing import Any

from tests.surfaces.rpc.conftest import START_MS, Client, House

LIMIT = {"name": "requests", "limit": 2, "duration": 60_000, "autoApply": True}


async def _key(acme: Client, api_id: str, **wanted: Any) -> str:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    return made["key"]


async def _checks(acme: Client, key: str, **asked: Any) -> tuple[dict[str, dict[str, str]], list[str]]:
    told = await acme.data("keys.explainKey", {"key": key} | asked)
    return {check["check"]: check for check in told["checks"]}, told["remedies"]


async def test_a_limit_that_is_used_up_tells_when_it_has_room_again(
    house: House, acme: Client, api_id: str
) -> None:
    key = await _key(acme, api_id, ratelimits=[LIMIT | {"algorithm": "moving_window"}])
    found, _ = await _checks(acme, key)
    assert found["ratelimits"]["detail"] == "The limit 'requests' of 2 in 1 minute would have 1 left."
    assert found["ratelimits"]["rule"] == "requests"
    for _ in range(2):
        await acme.data("keys.verifyKey", {"key": key})
    found, remedies = await _checks(acme, key)
    assert found["ratelimits"]["outcome"] == "failed"
    assert (
        found["ratelimits"]["detail"] == "The limit 'requests' of 2 in 1 minute has no room for a cost of 1."
    )
    assert remedies == ["Wait until 2027-01-15T08:01:00.000Z, lower the cost, or raise the limit 'requests'."]
    found, remedies = await _checks(acme, key, at=START_MS + 60_000)
    assert (found["ratelimits"]["outcome"], remedies) == ("passed", [])


async def test_waiting_does_not_help_against_a_cost_beyond_the_limit(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, ratelimits=[LIMIT])
    _, remedies = await _checks(acme, key, ratelimits=[{"name": "requests", "cost": 3}])
    assert remedies == ["Lower the cost, or raise the limit 'requests'."]


async def test_permissions_that_suffice_are_told_with_the_query(acme: Client, api_id: str) -> None:
    key = await _key(acme, api_id, permissions=["read"])
    found, remedies = await _checks(acme, key, permissions="read OR write")
    assert (found["permissions"]["outcome"], found["permissions"]["rule"]) == ("passed", "read OR write")
    found, remedies = await _checks(acme, key, permissions="write")
    assert found["permissions"]["outcome"] == "failed"
    assert remedies == ["Give the key write, directly or through a role."]
