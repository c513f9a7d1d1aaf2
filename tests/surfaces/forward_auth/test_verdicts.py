"""Every status that a proxy may be answered, through the outermost door."""

import asyncio
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.surfaces.forward_auth.conftest import Make, Proxy
from tests.surfaces.rpc.conftest import START_MS, Client, House


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of a refusal, which is also in its header."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    read: dict[str, Any] = answer.json()
    assert read["status"] == status and read["detail"] and read["title"]
    assert read["meta"]["requestId"] == answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("x-latchwork-key")]
    line = httpx.Response(200, text=answer.headers["x-latchwork-problem"]).json()
    assert line == {name: value for name, value in read.items() if name != "meta"}
    return read


async def test_a_valid_key_passes_and_says_who_it_is(proxy: Proxy, make: Make) -> None:
    made = await make(name="laptop", externalId="user_7", permissions=["b.read", "a"], roles=[])
    answer = await proxy.ask(made["key"])
    assert answer.status_code == 200
    assert answer.headers["x-latchwork-key-id"] == made["keyId"]
    assert answer.headers["x-latchwork-key-name"] == "laptop"
    assert answer.headers["x-latchwork-external-id"] == "user_7"
    assert answer.headers["x-latchwork-identity-id"].startswith("id_")
    assert answer.headers["x-latchwork-permissions"] == "a,b.read"
    assert answer.json()["data"] == {"valid": True, "code": "VALID"}
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"]


async def test_what_a_key_does_not_have_is_said_to_be_empty(proxy: Proxy, make: Make) -> None:
    """Never left out: a proxy that copies our headers over the client's copies nothing where there is none."""
    made = await make()
    answer = await proxy.ask(made["key"])
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-latchwork")}
    assert told == {
        "x-latchwork-key-id": made["keyId"],
        "x-latchwork-key-name": "",
        "x-latchwork-identity-id": "",
        "x-latchwork-external-id": "",
        "x-latchwork-permissions": "",
        "x-latchwork-roles": "",
        "x-latchwork-remaining": "",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_any_method_may_ask(proxy: Proxy, make: Make, method: str) -> None:
    made = await make()
    answer = await proxy.ask(made["key"], method=method)
    assert answer.status_code == 200
    assert answer.headers["x-latchwork-key-id"] == made["keyId"]
    assert bool(answer.content) == (method != "HEAD")


async def test_a_key_may_come_in_a_header_of_its_own(proxy: Proxy, make: Make) -> None:
    key = (await make())["key"]
    assert (await proxy.ask(headers={"X-API-Key": f" {key} "})).status_code == 200
    assert (await proxy.ask(headers={"X-API-Key": key, "Authorization": "Basic abc"})).status_code == 200
    assert (await proxy.ask(headers={"Authorization": f"bearer  {key}"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"X-API-Key": " "},
        {"Authorization": "", "X-API-Key": ""},
    ],
)
async def test_a_request_without_a_key_is_refused(proxy: Proxy, headers: dict[str, str]) -> None:
    answer = await proxy.ask(headers=headers)
    read = problem(answer, 401)
    assert read["type"].endswith("/user/authentication/key_missing")
    assert read["detail"] == "Send your API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_a_key_that_comes_twice_is_refused(proxy: Proxy, make: Make, name: str) -> None:
    value = (await make())["key"] if name == "X-API-Key" else f"Bearer {(await make())['key']}"
    answer = await proxy.ask(headers=[(name, value), (name, value)])
    assert "more than once" in problem(answer, 401)["detail"]


async def test_unknown_keys_and_unknown_apis_are_answered_alike(
    house: House, proxy: Proxy, make: Make
) -> None:
    """No key, API or workspace can be found out: all but the request id is the same."""
    key = (await make())["key"]
    other = await house.tenant("other")
    foreign_api = (await other.data("apis.createApi", {"name": "theirs"}))["apiId"]
    foreign_key = (await other.data("keys.createKey", {"apiId": foreign_api}))["key"]
    answers = [
        await proxy.ask("unknown"),
        await proxy.ask("k" * 600),
        await proxy.ask(key, api="api_unknown"),
        await proxy.ask(key, api=foreign_api),
        await proxy.ask(foreign_key),
        await proxy.ask("unknown", api="api_unknown"),
        await proxy.ask(key, api=foreign_api, permissions="x", limit="nothing", cost=3),
    ]
    faces = []
    for answer in answers:
        read = problem(answer, 401)
        assert read.pop("meta")
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        faces.append((read, headers))
    assert faces == [faces[0]] * len(faces)
    assert faces[0][1]["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await proxy.ask(foreign_key, api=foreign_api)).status_code == 200


async def test_a_key_of_another_api_of_the_same_workspace_is_unknown(
    acme: Client, proxy: Proxy, make: Make
) -> None:
    second = (await acme.data("apis.createApi", {"name": "second"}))["apiId"]
    key = (await make())["key"]
    problem(await proxy.ask(key, api=second), 401)
    assert (await proxy.ask(key)).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"enabled": False}, 401, "DISABLED"),
        ({"expires": START_MS + 1}, 401, "EXPIRED"),
        ({"ipWhitelist": ["10.9.9.9"]}, 403, "FORBIDDEN"),
    ],
)
async def test_a_key_that_is_found_is_refused_with_its_reason(
    house: House, proxy: Proxy, make: Make, wanted: dict[str, Any], status: int, code: str
) -> None:
    key = (await make(**wanted))["key"]
    house.clock.advance(60_000)
    answer = await proxy.ask(key)
    assert problem(answer, status)["code"] == code
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_a_lacking_permission_is_named(proxy: Proxy, make: Make) -> None:
    key = (await make(permissions=["a"]))["key"]
    assert (await proxy.ask(key, permissions="a OR b")).status_code == 200
    read = problem(await proxy.ask(key, permissions="a AND b"), 403)
    assert read["code"] == "INSUFFICIENT_PERMISSIONS"
    assert read["detail"] == "The key lacks permissions: b"


async def test_credits_are_spent_and_what_remains_is_told(proxy: Proxy, make: Make) -> None:
    key = (await make(credits={"remaining": 7}))["key"]
    assert (await proxy.ask(key)).headers["x-latchwork-remaining"] == "6"
    assert (await proxy.ask(key, cost=5)).headers["x-latchwork-remaining"] == "1"
    assert (await proxy.ask(key, cost=0)).headers["x-latchwork-remaining"] == "1"
    answer = await proxy.ask(key, cost=2)
    assert problem(answer, 429)["code"] == "USAGE_EXCEEDED"
    assert "retry-after" not in answer.headers
    assert (await proxy.ask(key, cost=1)).headers["x-latchwork-remaining"] == "0"


async def test_questions_at_the_same_time_spend_exactly_what_there_is(proxy: Proxy, make: Make) -> None:
    key = (await make(credits={"remaining": 5}))["key"]
    answers = await asyncio.gather(*(proxy.ask(key) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 7


async def test_a_used_up_limit_says_when_to_come_back(house: House, proxy: Proxy, make: Make) -> None:
    limits = [{"name": "requests", "limit": 2, "duration": 60_000, "autoApply": True}]
    key = (await make(ratelimits=limits))["key"]
    first = await proxy.ask(key)
    assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("2", "1")
    await proxy.ask(key)
    answer = await proxy.ask(key)
    read = problem(answer, 429)
    assert read["code"] == "RATE_LIMITED"
    assert read["detail"] == "The limit 'requests' of 2 in 1 minute is used up."
    retry_after_s = int(answer.headers["retry-after"])
    assert read["retryAt"] - START_MS <= retry_after_s * 1000 < read["retryAt"] - START_MS + 1000
    assert answer.headers["ratelimit-limit"] == "2"
    assert answer.headers["ratelimit-remaining"] == "0"
    assert 1 <= int(answer.headers["ratelimit-reset"]) <= 60
    house.clock.advance(retry_after_s * 1000)
    assert (await proxy.ask(key)).status_code == 200


async def test_named_limits_are_counted_with_their_cost(proxy: Proxy, make: Make) -> None:
    limits = [{"name": "writes", "limit": 5, "duration": 60_000}]
    key = (await make(ratelimits=limits))["key"]
    assert "ratelimit-limit" not in (await proxy.ask(key)).headers
    assert (await proxy.ask(key, limit="writes,cost=3")).headers["ratelimit-remaining"] == "2"
    problem(await proxy.ask(key, limit="writes,cost=3"), 429)
    assert (await proxy.ask(key, limit="writes")).headers["ratelimit-remaining"] == "1"


async def test_the_limit_nearest_to_refusing_is_told(proxy: Proxy, make: Make) -> None:
    limits = [
        {"name": "day", "limit": 100, "duration": 86_400_000, "autoApply": True},
        {"name": "shadow", "limit": 1, "duration": 60_000, "autoApply": True, "mode": "shadow"},
    ]
    key = (await make(ratelimits=limits))["key"]
    answer = await proxy.ask(key, limit="burst,limit=3,duration=1000")
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("3", "2")
    assert (await proxy.ask(key)).headers["ratelimit-limit"] == "100"


async def test_of_several_used_up_limits_the_one_that_refuses_longest_is_told(
    proxy: Proxy, make: Make
) -> None:
    limits = [
        {"name": "minute", "limit": 1, "duration": 60_000, "autoApply": True},
        {"name": "hour", "limit": 2, "duration": 3_600_000, "autoApply": True},
        {"name": "day", "limit": 9, "duration": 86_400_000, "autoApply": True},
    ]
    key = (await make(ratelimits=limits))["key"]
    told = [(await proxy.ask(key)).headers["ratelimit-limit"] for _ in range(2)]
    assert told == ["1", "1"]
    refused = await proxy.ask(key, limit="hour,cost=2")
    assert refused.status_code == 429
    assert refused.headers["ratelimit-limit"] == "2"


async def test_only_shadow_limits_are_not_told(proxy: Proxy, make: Make) -> None:
    limits = [{"name": "shadow", "limit": 1, "duration": 60_000, "autoApply": True, "mode": "shadow"}]
    key = (await make(ratelimits=limits))["key"]
    assert [(await proxy.ask(key)).status_code for _ in range(2)] == [200, 200]
    assert "ratelimit-limit" not in (await proxy.ask(key)).headers


async def test_a_limit_that_the_key_does_not_have_is_refused(proxy: Proxy, make: Make) -> None:
    read = problem(await proxy.ask((await make())["key"], limit="unheard-of"), 412)
    assert "'unheard-of'" in read["detail"]


async def test_a_change_holds_for_the_very_next_question(acme: Client, proxy: Proxy, make: Make) -> None:
    made = await make()
    assert (await proxy.ask(made["key"])).status_code == 200
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": False})
    problem(await proxy.ask(made["key"]), 401)
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": True, "name": "new"})
    assert (await proxy.ask(made["key"])).headers["x-latchwork-key-name"] == "new"


async def test_a_verification_is_in_the_analytics_with_its_tags(
    house: House, acme: Client, proxy: Proxy, make: Make
) -> None:
    key = (await make())["key"]
    await proxy.http.get(
        "/forward-auth",
        params=[("api", proxy.api_id), ("tag", "path=/a"), ("tag", "b")],
        headers={"authorization": f"Bearer {key}"},
    )
    events = house.platform.analytics.verifications
    assert [list(event[4]) for event in events] == [["path=/a", "b"]]


async def test_a_long_sentence_is_whole_in_the_document_and_cut_in_the_header(
    proxy: Proxy, make: Make
) -> None:
    answer = await proxy.ask((await make())["key"], permissions=f"{'a' * 400} AND {'b' * 400}")
    assert answer.status_code == 403
    assert "b" * 400 in answer.json()["detail"]
    line = httpx.Response(200, text=answer.headers["x-latchwork-problem"]).json()["detail"]
    assert len(line) == 300 and line.endswith("…")


async def test_texts_cannot_break_out_of_their_header(proxy: Proxy, make: Make) -> None:
    key = (await make(name="a b,c%0d\r\nX-Latchwork-Key-Id: evil \u00e9\u0000"[:-1]))["key"]
    answer = await proxy.ask(key)
    assert answer.headers["x-latchwork-key-name"] == (
        "a%20b%2Cc%250d%0D%0AX-Latchwork-Key-Id:%20evil%20%C3%A9"
    )
    assert len(answer.headers.get_list("x-latchwork-key-id")) == 1


async def test_a_header_that_would_be_too_long_is_left_empty(proxy: Proxy, make: Make) -> None:
    key = (await make(name="é" * 200, permissions=[f"{n}." + "p" * 100 for n in range(12)]))["key"]
    answer = await proxy.ask(key)
    assert answer.status_code == 200
    assert answer.headers["x-latchwork-key-id"]
    assert answer.headers["x-latchwork-key-name"] == answer.headers["x-latchwork-permissions"] == ""


async def test_what_remains_is_what_key_and_identity_can_still_pay(
    acme: Client, proxy: Proxy, make: Make
) -> None:
    await acme.data("identities.createIdentity", {"externalId": "team", "credits": {"remaining": 10}})
    shared = (await make(externalId="team"))["key"]
    own = (await make(externalId="team", credits={"remaining": 3}))["key"]
    assert (await proxy.ask(shared)).headers["x-latchwork-remaining"] == "9"
    assert (await proxy.ask(own)).headers["x-latchwork-remaining"] == "2"
    assert (await proxy.ask(shared, cost=7)).headers["x-latchwork-remaining"] == "1"
    assert (await proxy.ask(own)).headers["x-latchwork-remaining"] == "0"


async def test_what_a_workspace_may_verify_in_a_month_holds_here_too(
    acme: Client, proxy: Proxy, make: Make
) -> None:
    made = await make(credits={"remaining": 5})
    quota = "apiBillableOperationsCountMaxPerMonth"
    assert (await proxy.ask(made["key"])).status_code == 200
    await acme.data("workspace.updateLimits", {quota: 2})
    assert (await proxy.ask(made["key"])).status_code == 200
    assert (await proxy.ask("unknown")).status_code == 401
    refused = await proxy.ask(made["key"])
    assert (refused.status_code, refused.json()["title"]) == (429, "Too Many Requests")
    assert "2 times a month" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    await acme.error("keys.verifyKey", {"key": made["key"]}, 429)  # the same count
    await acme.data("workspace.updateLimits", {quota: None})
    assert (await proxy.ask(made["key"])).headers["x-latchwork-remaining"] == "2"


class TestFirstUse:
    """Of keys that were taken over by the hash of their last part."""

    KEY = "acme_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG"

    async def pending(self, acme: Client, api_id: str) -> str:
        algorithm = {"algorithm": "github.com/seamapi/prefixed-api-key"}
        into: str = (await acme.data("migrations.createMigration", algorithm))["migrationId"]
        taken = {
            "hash": sha256(self.KEY.rpartition("_")[2].encode()).hexdigest(),
            "credits": {"remaining": 5},
        }
        await acme.data("keys.migrateKeys", {"migrationId": into, "apiId": api_id, "keys": [taken]})
        return into

    async def test_a_key_that_waits_is_known_from_its_first_use_on(
        self, acme: Client, proxy: Proxy, api_id: str
    ) -> None:
        into = await self.pending(acme, api_id)
        assert (await proxy.ask(self.KEY)).status_code == 401
        first = await proxy.ask(self.KEY, migration=into)
        assert (first.status_code, first.headers["x-latchwork-remaining"]) == (200, "4")
        assert (await proxy.ask(self.KEY)).headers["x-latchwork-remaining"] == "3"
        assert (await proxy.ask(self.KEY, migration=into)).headers["x-latchwork-remaining"] == "2"
        (entry, *_) = await acme.data("auditLogs.list", {})
        assert (entry["event"], entry["actor"]["id"]) == ("key.update", "forward_auth")

    @pytest.mark.parametrize("key", [b"unknown", b"a_b_c", b"\xff_\xff_\xff"])
    async def test_other_keys_stay_unknown(self, acme: Client, proxy: Proxy, api_id: str, key: bytes) -> None:
        into = await self.pending(acme, api_id)
        asked = {"api": api_id, "migration": into}
        answer = await proxy.http.get("/forward-auth", params=asked, headers=[(b"x-api-key", key)])
        assert (answer.status_code, answer.json()["detail"]) == (401, "The key is not valid here.")

    async def test_only_keys_of_the_named_api_and_migration_are_recognised(
        self, house: House, acme: Client, proxy: Proxy, api_id: str
    ) -> None:
        into = await self.pending(acme, api_id)
        stranger = await house.tenant("other")
        theirs = (await stranger.data("apis.createApi", {"name": "theirs"}))["apiId"]
        ours = (await acme.data("apis.createApi", {"name": "ours"}))["apiId"]
        for api in (theirs, ours):
            assert (await proxy.ask(self.KEY, migration=into, api=api)).status_code == 401
        assert (await proxy.ask(self.KEY, migration="mig_unknown")).status_code == 401
        assert (await proxy.ask(self.KEY, migration=into)).status_code == 200
