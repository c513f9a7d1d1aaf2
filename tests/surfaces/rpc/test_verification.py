"""Verification through the outermost door: every outcome, its order, its price, its explanation."""

import asyncio
import re
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE


async def create(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    return made


async def code(acme: Client, key: str, **asked: Any) -> str:
    verdict = await acme.data("keys.verifyKey", {"key": key} | asked)
    assert verdict["valid"] == (verdict["code"] == "VALID")
    return str(verdict["code"])


async def test_a_new_key_is_valid_at_once(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, name="n", meta={"a": [1, None]}, permissions=["b", "a"])
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert verdict["code"] == "VALID"
    assert verdict["keyId"] == made["keyId"]
    assert verdict["meta"] == {"a": [1, None]}
    assert verdict["permissions"] == ["a", "b"]
    assert verdict["enabled"] is True
    assert "credits" not in verdict and "ratelimits" not in verdict


async def test_an_unknown_key_is_not_found_and_tells_nothing_else(acme: Client) -> None:
    assert await acme.data("keys.verifyKey", {"key": "unknown"}) == {"valid": False, "code": "NOT_FOUND"}


async def test_a_key_of_another_workspace_is_not_found(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    other = await house.tenant("other")
    assert await acme.data("keys.verifyKey", {"key": made["key"]})
    foreign = await other.data("keys.verifyKey", {"key": made["key"]})
    assert foreign == {"valid": False, "code": "NOT_FOUND"}


async def test_a_key_that_was_unknown_is_valid_once_it_exists(
    house: House, acme: Client, api_id: str
) -> None:
    from latchwork.domains.verification.cache import MISSING

    made = await create(acme, api_id)
    cache = house.platform.services.verifier.keys
    digest = next(iter(cache.found), b"") or __import__("hashlib").sha256(made["key"].encode()).digest()
    cache.missing[digest] = MISSING
    cache._forget([("key", digest)])
    assert await code(acme, made["key"]) == "VALID"


async def test_a_root_key_without_the_right_sees_not_found(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    workspace = (await house.platform.workspaces.all())[0]
    limited = await house.root_key(workspace.id, "api.*.read_key")
    assert await code(limited, made["key"]) == "NOT_FOUND"
    right = await house.root_key(workspace.id, f"api.{api_id}.verify_key")
    assert await code(right, made["key"]) == "VALID"


async def test_a_disabled_key_is_refused_by_the_very_next_verification(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, expires=START_MS - 1)
    assert await code(acme, made["key"]) == "EXPIRED"
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": False})
    assert await code(acme, made["key"]) == "DISABLED"
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": True, "expires": None})
    assert await code(acme, made["key"]) == "VALID"
    await acme.data("keys.deleteKey", {"keyId": made["keyId"]})
    assert await code(acme, made["key"]) == "NOT_FOUND"


async def test_a_key_expires_after_its_moment(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, expires=START_MS + 1000)
    house.clock.advance(1000)
    assert await code(acme, made["key"]) == "VALID"
    house.clock.advance(1)
    assert await code(acme, made["key"]) == "EXPIRED"


async def test_keys_of_a_deleted_api_are_not_found(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    assert await code(acme, made["key"]) == "VALID"
    await acme.data("apis.deleteApi", {"apiId": api_id})
    assert await code(acme, made["key"]) == "NOT_FOUND"


async def test_an_address_outside_the_list_is_forbidden(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, ipWhitelist=["10.0.0.0/8"])
    assert await code(acme, made["key"]) == "FORBIDDEN"
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "ipWhitelist": ["127.0.0.1"]})
    assert await code(acme, made["key"]) == "VALID"
    await acme.data("apis.updateApi", {"apiId": api_id, "ipWhitelist": ["192.0.2.0/24"]})
    assert await code(acme, made["key"]) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a", "VALID"),
        ("a and b", "VALID"),
        ("c OR (a AND b)", "VALID"),
        ("a AND c", "INSUFFICIENT_PERMISSIONS"),
        ("documents.*", "INSUFFICIENT_PERMISSIONS"),
    ],
)
async def test_permission_queries_decide(acme: Client, api_id: str, query: str, expected: str) -> None:
    made = await create(acme, api_id, permissions=["a", "b"])
    assert await code(acme, made["key"], permissions=query) == expected


async def test_a_bad_query_is_a_400_only_for_a_key_that_is_known(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, enabled=False)
    assert await code(acme, "unknown", permissions="(a") == "NOT_FOUND"
    error = await acme.error("keys.verifyKey", {"key": made["key"], "permissions": "(a"}, 400)
    assert error["type"].endswith("permissions_query_syntax_error")


async def test_credits_are_spent_and_then_exceeded(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, credits={"remaining": 3})
    first = await acme.data("keys.verifyKey", {"key": made["key"], "credits": {"cost": 2}})
    assert first["credits"] == 1
    second = await acme.data("keys.verifyKey", {"key": made["key"], "credits": {"cost": 2}})
    assert (second["code"], second["credits"]) == ("USAGE_EXCEEDED", 1)
    assert second["reason"] == "1 credits remain, this costs 2."
    assert await code(acme, made["key"]) == "VALID"
    free = await acme.data("keys.verifyKey", {"key": made["key"], "credits": {"cost": 0}})
    assert (free["code"], free["credits"]) == ("VALID", 0)


async def test_a_hundred_credits_are_spent_exactly_a_hundred_times(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, credits={"remaining": 100})
    codes = await asyncio.gather(*(code(acme, made["key"]) for _ in range(164)))
    assert codes.count("VALID") == 100
    assert codes.count("USAGE_EXCEEDED") == 64
    shown = await acme.data("keys.getKey", {"keyId": made["keyId"]})
    assert shown["credits"] == {"remaining": 0}


async def test_an_update_of_credits_is_exact_while_they_are_being_spent(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, credits={"remaining": 50})
    top_up = {"keyId": made["keyId"], "operation": "increment", "value": 30}
    answers = await asyncio.gather(
        *(code(acme, made["key"]) for _ in range(60)),
        acme.data("keys.updateCredits", top_up),
        *(code(acme, made["key"]) for _ in range(60)),
    )
    spent = answers.count("VALID")
    shown = await acme.data("keys.getKey", {"keyId": made["keyId"]})
    assert spent + shown["credits"]["remaining"] == 80


async def test_limits_refuse_and_say_when_to_come_back(house: House, acme: Client, api_id: str) -> None:
    limit = {"name": "requests", "limit": 2, "duration": 60_000, "autoApply": True}
    made = await create(acme, api_id, ratelimits=[limit], credits={"remaining": 10})
    assert [await code(acme, made["key"]) for _ in range(3)] == ["VALID", "VALID", "RATE_LIMITED"]
    refused = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert refused["credits"] == 8, "a limited call spends nothing"
    (item,) = refused["ratelimits"]
    assert item["exceeded"] is True and item["remaining"] == 0
    house.clock.set(refused["retryAt"])
    assert await code(acme, made["key"]) == "VALID"


async def test_several_limits_are_taken_together_or_not_at_all(acme: Client, api_id: str) -> None:
    limits = [
        {"name": "month", "limit": 200, "duration": 2_592_000_000, "autoApply": True},
        {"name": "minute", "limit": 12, "duration": 60_000, "autoApply": True},
    ]
    made = await create(acme, api_id, ratelimits=limits)
    for _ in range(12):
        assert await code(acme, made["key"]) == "VALID"
    refused = await acme.data("keys.verifyKey", {"key": made["key"]})
    by_name = {item["name"]: item for item in refused["ratelimits"]}
    assert by_name["minute"]["exceeded"] is True
    assert (by_name["month"]["exceeded"], by_name["month"]["remaining"]) == (False, 188)


async def test_keys_of_an_identity_share_its_limits(acme: Client, api_id: str) -> None:
    limit = {"name": "shared", "limit": 2, "duration": 60_000, "autoApply": True}
    await acme.data("identities.createIdentity", {"externalId": "user_1", "ratelimits": [limit]})
    one = await create(acme, api_id, externalId="user_1")
    two = await create(acme, api_id, externalId="user_1")
    assert [await code(acme, k["key"]) for k in (one, two, one)] == ["VALID", "VALID", "RATE_LIMITED"]


async def test_a_limit_that_nobody_has_is_a_412_that_names_it(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    body = {"key": made["key"], "ratelimits": [{"name": "absent"}]}
    error = await acme.error("keys.verifyKey", body, 412)
    assert "'absent'" in error["detail"]


async def test_a_limit_of_the_request_counts_for_the_key(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    own = [{"name": "own", "limit": 1, "duration": 60_000}]
    assert await code(acme, made["key"], ratelimits=own) == "VALID"
    assert await code(acme, made["key"], ratelimits=own) == "RATE_LIMITED"
    nothing = [{"name": "none", "limit": 0, "duration": 60_000}]
    assert await code(acme, made["key"], ratelimits=nothing) == "RATE_LIMITED"
    error = await acme.error(
        "keys.verifyKey",
        {"key": made["key"], "ratelimits": [{"name": "own", "limit": 1, "duration": 5}]},
        400,
    )
    assert "at least 1000" in error["detail"]


async def test_a_shadow_limit_reports_and_never_refuses(acme: Client, api_id: str) -> None:
    limit = {"name": "trial", "limit": 1, "duration": 60_000, "autoApply": True, "mode": "shadow"}
    made = await create(acme, api_id, ratelimits=[limit])
    await code(acme, made["key"])
    second = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert second["code"] == "VALID"
    assert second["ratelimits"][0]["wouldExceed"] is True


async def test_another_keyspace_is_not_found(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, enabled=False)
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert await code(acme, made["key"], keyspaces=[verdict["keyspaceId"]]) == "DISABLED"
    assert await code(acme, made["key"], keyspaces=["ks_other"]) == "NOT_FOUND"


async def test_many_are_verified_in_order(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, credits={"remaining": 2})
    requests = [{"key": made["key"]}, {"key": "unknown"}, {"key": made["key"]}, {"key": made["key"]}]
    verdicts = await acme.data("keys.verifyKeys", {"requests": requests})
    assert [v["code"] for v in verdicts] == ["VALID", "NOT_FOUND", "VALID", "USAGE_EXCEEDED"]
    await acme.error("keys.verifyKeys", {"requests": []}, 400)


async def test_an_explanation_names_every_failure_and_spends_nothing(acme: Client, api_id: str) -> None:
    limit = {"name": "requests", "limit": 1, "duration": 60_000, "autoApply": True}
    made = await create(acme, api_id, enabled=False, credits={"remaining": 0}, ratelimits=[limit])
    explained = await acme.data("keys.explainKey", {"key": made["key"], "permissions": "a"})
    failed = [check["check"] for check in explained["checks"] if check["outcome"] == "failed"]
    assert explained["code"] == "DISABLED"
    assert failed == ["enabled", "permissions", "credits"]
    assert len(explained["remedies"]) == 3
    by_id = await acme.data("keys.explainKey", {"keyId": made["keyId"]})
    assert by_id["code"] == "DISABLED"
    again = await acme.data("keys.explainKey", {"key": made["key"]})
    assert [c["outcome"] for c in again["checks"] if c["check"] == "ratelimits"] == ["passed"]


async def test_an_explanation_can_look_at_another_moment_and_address(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, expires=START_MS + 5, ipWhitelist=["192.0.2.7"])
    body = {"key": made["key"], "at": START_MS + 6, "ip": "192.0.2.7"}
    assert (await acme.data("keys.explainKey", body))["code"] == "EXPIRED"
    assert (await acme.data("keys.explainKey", {"key": made["key"]}))["code"] == "FORBIDDEN"


async def test_an_explanation_needs_to_read_the_key(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    workspace = (await house.platform.workspaces.all())[0]
    verifier = await house.root_key(workspace.id, "api.*.verify_key")
    assert (await verifier.data("keys.explainKey", {"key": made["key"]}))["code"] == "NOT_FOUND"
    await acme.error("keys.explainKey", {}, 400)
    assert (await acme.data("keys.explainKey", {"keyId": "key_unknown"}))["code"] == "NOT_FOUND"


@pytest.mark.parametrize("house", ["sqlite", "postgres"], indirect=True)
async def test_verifications_can_be_counted(acme: Client, api_id: str, house: House) -> None:
    made = await create(acme, api_id, credits={"remaining": 1}, externalId="user_1")
    await code(acme, made["key"], tags=["a", "ü\n\"'"])
    await code(acme, made["key"], tags=["a"])
    await code(acme, "unknown")
    query = {"apiId": api_id, "start": str(START_MS - 3_600_000), "groupBy": "tag"}
    answer = await house.http.get(
        "/v2/analytics.getVerifications", params=query, headers={"authorization": f"Bearer {acme.key}"}
    )
    assert answer.status_code == 200, answer.text
    rows = {row["tag"]: row for row in answer.json()["data"]}
    assert (rows["a"]["valid"], rows["a"]["usageExceeded"], rows["a"]["total"]) == (1, 1, 2)
    assert rows["ü\n\"'"]["total"] == 1


async def test_every_outcome_reads_alike_from_both_doors(house: House, acme: Client, api_id: str) -> None:
    """The hot handler and the ordinary procedure answer the same bytes but for the request id."""
    limit = {"name": "requests", "limit": 1, "duration": 60_000, "autoApply": True}
    for wanted in ({}, {"ratelimits": [limit]}, {"enabled": False}, {"credits": {"remaining": 0}}):
        made = await create(acme, api_id, **wanted)
        peek = {"key": made["key"], "credits": {"cost": 0}, "ratelimits": []}
        await acme.post("keys.explainKey", {"key": made["key"]})
        answers = []
        for headers in ({}, {"x-test-time": str(START_MS)}):
            await house.platform.tally.reset(next((b.check.key for b in _limits(house)), "none"))
            answers.append(await acme.post("keys.verifyKey", peek, **headers))
        hot, ordinary = answers
        assert hot.content[36:] == ordinary.content[36:]
        assert _plain(hot) == _plain(ordinary)


def _limits(house: House) -> list[Any]:
    return [b for s in house.platform.services.verifier.keys.found.values() for b in s.auto]


def _plain(answer: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers.items() if name != "x-request-id"]


LIMIT = {"name": "requests", "limit": 3, "duration": 60_000, "autoApply": True}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"ratelimits": [LIMIT]},
        {"ratelimits": [LIMIT | {"mode": "shadow"}]},
        {"ratelimits": [LIMIT, LIMIT | {"name": "others"}]},
        {"ratelimits": [LIMIT | {"autoApply": False}]},
        {"expires": START_MS + 1_000},
        {"enabled": False},
        {"name": 'a "name"', "meta": {"plan": "é"}, "permissions": ["a.b"], "externalId": "user_1"},
        {"ipWhitelist": ["10.0.0.1"]},
        {"credits": {"remaining": 2, "refill": {"interval": "daily", "amount": 4}}},
    ],
    ids=lambda wanted: "+".join(wanted) or "plain",
)
async def test_metered_keys_read_alike_from_both_doors_until_nothing_is_left(
    acme: Client, api_id: str, wanted: dict[str, Any]
) -> None:
    """The usual spend is decided in one piece, and says what the careful decision says of an equal key."""
    told, left = [], []
    for headers in ({}, {"x-test-time": str(START_MS)}):
        made = await create(acme, api_id, **({"credits": {"remaining": 2}} | wanted))
        await acme.data("keys.verifyKey", {"key": made["key"], "credits": {"cost": 0}})
        answers = [await acme.post("keys.verifyKey", {"key": made["key"]}, **headers) for _ in range(5)]
        told.append([_without_ids(answer.content[36:]) for answer in answers])
        left.append((await acme.data("keys.getKey", {"keyId": made["keyId"]}))["credits"])
    assert told[0] == told[1]
    assert left[0] == left[1]


def _without_ids(body: bytes) -> bytes:
    return re.sub(rb'"(?:id|keyId)":"[^"]*"', b"", body)
