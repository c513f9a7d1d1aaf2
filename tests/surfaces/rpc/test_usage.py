"""How often keys were verified: `analytics.getVerifications` and `keys.getVerifications` by GET, `keys.getKey`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchwork.asgi import Application
from latchwork.compose.platform import opened
from latchwork.compose.surfaces import surfaces_of
from latchwork.kernel.clock import ManualClock
from latchwork.settings import AnalyticsSettings, Settings
from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_management import NOBODY, create, limited

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = START_MS - START_MS % DAY_MS
OUTCOMES = (
    "valid",
    "notFound",
    "forbidden",
    "usageExceeded",
    "rateLimited",
    "unauthorized",
    "disabled",
    "insufficientPermissions",
    "expired",
)
pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)  # events are in no database of ours


async def get(client: Client, procedure: str, **params: Any) -> Any:
    headers = {"authorization": f"Bearer {client.key}"}
    answer = await client.http.get(f"/v2/{procedure}", params=params, headers=headers)
    found = answer.json()
    assert answer.status_code == found.get("error", {"status": 200})["status"]
    return found


async def use(client: Client, made: dict[str, str], times: int = 1, **claim: Any) -> None:
    for _ in range(times):
        await client.data("keys.verifyKey", {"key": made["key"]} | claim)


class TestByKey:
    async def test_days_are_counted_by_how_they_ended(self, house: House, acme: Client, api_id: str) -> None:
        limit = {"name": "requests", "limit": 3, "duration": 60_000, "autoApply": True}
        made = await create(acme, api_id, credits={"remaining": 2}, ratelimits=[limit])
        house.clock.set(MIDNIGHT_MS + 5 * HOUR_MS)
        await use(acme, made, 5)
        house.clock.advance(DAY_MS)
        await acme.data("keys.updateCredits", {"keyId": made["keyId"], "operation": "set", "value": 9})
        await use(acme, made)
        found = await get(acme, "keys.getVerifications", keyId=made["keyId"])
        assert found["data"] == {
            "verifications": [
                {"time": MIDNIGHT_MS, "success": 2, "rateLimited": 2, "usageExceeded": 1},
                {"time": MIDNIGHT_MS + DAY_MS, "success": 1, "rateLimited": 0, "usageExceeded": 0},
            ]
        }
        assert found["pagination"] == {"hasMore": False}

    async def test_days_between_are_filled_and_nothing_at_all_is_an_empty_list(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made, unused = await create(acme, api_id), await create(acme, api_id)
        house.clock.set(MIDNIGHT_MS)
        await use(acme, made)
        when = {"start": MIDNIGHT_MS - 2 * DAY_MS, "end": MIDNIGHT_MS + DAY_MS - 1, "granularity": "day"}
        found = await get(acme, "keys.getVerifications", keyId=made["keyId"], **when)
        assert [day["success"] for day in found["data"]["verifications"]] == [0, 0, 1]
        found = await get(acme, "keys.getVerifications", keyId=unused["keyId"], **when)
        assert found["data"] == {"verifications": []}

    async def test_many_days_come_page_by_page(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        house.clock.set(MIDNIGHT_MS)
        await use(acme, made)
        when = {"start": MIDNIGHT_MS - 1_499 * DAY_MS, "end": MIDNIGHT_MS}
        first = await get(acme, "keys.getVerifications", keyId=made["keyId"], **when)
        assert len(first["data"]["verifications"]) == 1_000
        cursor = first["pagination"]["cursor"]
        rest = await get(acme, "keys.getVerifications", keyId=made["keyId"], cursor=cursor, **when)
        assert rest["pagination"] == {"hasMore": False}
        assert [day["success"] for day in rest["data"]["verifications"]] == [0] * 499 + [1]


class TestByOwner:
    @pytest.mark.parametrize("name", ["ownerId", "externalId"])
    async def test_all_keys_of_an_owner_are_summed_over_apis(
        self, house: House, acme: Client, api_id: str, name: str
    ) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        mine = [await create(acme, api, externalId="user_1") for api in (api_id, api_id, other)]
        await use(acme, await create(acme, api_id, externalId="user_2"))
        for made in mine:
            await use(acme, made)
        found = await get(acme, "keys.getVerifications", **{name: "user_1"})
        assert [day["success"] for day in found["data"]["verifications"]][-1] == 3

    async def test_every_api_must_be_permitted(self, house: House, acme: Client, api_id: str) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        for api in (api_id, other):
            await create(acme, api, externalId="user_1")
        one = await limited(house, f"api.{api_id}.read_key")
        error = (await get(one, "keys.getVerifications", externalId="user_1"))["error"]
        assert error["status"] == 403 and other in error["detail"]
        both = await limited(house, f"api.{api_id}.read_key", f"api.{other}.read_analytics")
        assert (await get(both, "keys.getVerifications", externalId="user_1"))["data"]

    async def test_an_owner_without_keys_is_a_404(self, house: House, acme: Client, api_id: str) -> None:
        await acme.data("identities.createIdentity", {"externalId": "user_1"})
        other = await house.tenant("other")
        await create(acme, api_id, externalId="user_2")
        for client, owner in ((acme, "user_1"), (acme, "nobody"), (other, "user_2")):
            error = (await get(client, "keys.getVerifications", ownerId=owner))["error"]
            assert error["status"] == 404
            assert error["type"].endswith("key_not_found")


class TestRefusalsByKey:
    @pytest.mark.parametrize(
        ("params", "named"),
        [
            ({}, "keyId"),
            ({"keyId": "key_1", "ownerId": "user_1"}, "keyId"),
            ({"externalId": "user_1", "ownerId": "user_1"}, "ownerId"),
            ({"keyId": "k!"}, "keyId"),
            ({"keyId": "key_1", "start": "soon"}, "start"),
            ({"keyId": "key_1", "granularity": "hour"}, "granularity"),
            ({"keyId": "key_1", "cursor": "x"}, "cursor"),
            ({"keyId": "key_1", "size": "1"}, "size"),
        ],
    )
    async def test_what_makes_no_sense_is_named(
        self, acme: Client, params: dict[str, Any], named: str
    ) -> None:
        error = (await get(acme, "keys.getVerifications", **params))["error"]
        assert error["status"] == 400
        assert named in error["detail"] + str(error["errors"])

    async def test_a_time_must_have_a_length(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        for start, end in ((5, 5), (6, 5)):
            found = await get(acme, "keys.getVerifications", keyId=made["keyId"], start=start, end=end)
            assert "`start`" in found["error"]["detail"]

    async def test_lookup_comes_before_permission(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        nobody, other = await limited(house, "api.*.update_key"), await house.tenant("other")
        assert (await get(nobody, "keys.getVerifications", keyId=made["keyId"]))["error"]["status"] == 403
        unknown = (await get(nobody, "keys.getVerifications", keyId=NOBODY))["error"]
        assert unknown["status"] == 404
        assert unknown == (await get(other, "keys.getVerifications", keyId=made["keyId"]))["error"]
        for action in ("read_key", "read_api", "read_analytics"):
            for whose in ("*", api_id):
                allowed = await limited(house, f"api.{whose}.{action}")
                assert "data" in await get(allowed, "keys.getVerifications", keyId=made["keyId"])


class TestByApi:
    async def test_hours_begin_in_time_and_gaps_are_filled(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = await create(acme, api_id)
        house.clock.set(MIDNIGHT_MS + HOUR_MS // 2)
        await use(acme, made)
        house.clock.advance(2 * HOUR_MS)
        await use(acme, made, 2)
        for start, expected in ((MIDNIGHT_MS, [1, 0, 2]), (MIDNIGHT_MS + 1, [0, 0, 2])):
            found = await get(acme, "analytics.getVerifications", apiId=api_id, start=start, groupBy="hour")
            assert [row["valid"] for row in found["data"]] == expected
            assert found["data"][0]["time"] == MIDNIGHT_MS

    async def test_the_answer_is_a_row_with_every_outcome(self, acme: Client, api_id: str) -> None:
        await use(acme, await create(acme, api_id))
        await use(acme, await create(acme, api_id, enabled=False))
        (row,) = (await get(acme, "analytics.getVerifications", apiId=api_id, start=START_MS))["data"]
        assert row == dict.fromkeys(OUTCOMES, 0) | {"valid": 1, "disabled": 1, "total": 2}

    async def test_tags_must_all_be_there(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        for tags in (["a"], ["a", "b"], ["b", "c", "a"]):
            await use(acme, made, tags=tags)
        for tags, total in ((["a"], 3), (["a", "b"], 2), (["b", "a", "c"], 1), (["a", "d"], 0)):
            params = {"apiId": api_id, "start": START_MS, "tag": tags}
            (row,) = (await get(acme, "analytics.getVerifications", **params))["data"]
            assert row["total"] == total

    async def test_keys_and_identities_narrow_and_group(self, acme: Client, api_id: str) -> None:
        one, two = await create(acme, api_id, externalId="user_1"), await create(acme, api_id)
        await use(acme, one, 2)
        await use(acme, two)

        async def rows(**params: Any) -> Any:
            return (await get(acme, "analytics.getVerifications", apiId=api_id, start=START_MS, **params))[
                "data"
            ]

        assert [row["total"] for row in await rows(keyId=[one["keyId"], two["keyId"]])] == [3]
        assert [row["total"] for row in await rows(keyId=two["keyId"])] == [1]
        assert [row["total"] for row in await rows(externalId="user_1")] == [2]
        by_key = await rows(groupBy="key", orderBy="total", order="desc")
        assert [(row["keyId"], row["total"]) for row in by_key] == [(one["keyId"], 2), (two["keyId"], 1)]
        (owner,) = await rows(groupBy="identity")
        assert (owner["identity"]["externalId"], owner["total"]) == ("user_1", 2)

    async def test_groups_come_page_by_page(self, acme: Client, api_id: str) -> None:
        for _ in range(5):
            await use(acme, await create(acme, api_id))
        params = {"apiId": api_id, "start": START_MS, "groupBy": "key", "limit": 2}
        seen, cursor = [], None
        for left in (3, 1, 0):
            more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
            page = await get(acme, "analytics.getVerifications", **params, **more)
            seen += [row["keyId"] for row in page["data"]]
            cursor = page["pagination"].get("cursor")
            assert page["pagination"]["hasMore"] == (cursor is not None) == (left > 0)
        assert len(set(seen)) == 5

    @pytest.mark.parametrize(
        ("params", "named"),
        [
            ({"start": START_MS, "end": START_MS}, "start"),
            ({"start": START_MS, "groupBy": ["tag", "tags"]}, "tag"),
            ({"start": START_MS, "groupBy": "minute"}, "groupBy"),
            ({"start": 0, "groupBy": "hour"}, "hour"),
            ({"start": START_MS, "orderBy": "name"}, "orderBy"),
            ({"start": START_MS, "order": "up"}, "order"),
            ({"start": START_MS, "limit": 0}, "limit"),
            ({"start": START_MS, "cursor": "-1"}, "cursor"),
            ({}, "start"),
        ],
    )
    async def test_what_makes_no_sense_is_named(
        self, acme: Client, api_id: str, params: dict[str, Any], named: str
    ) -> None:
        error = (await get(acme, "analytics.getVerifications", apiId=api_id, **params))["error"]
        assert error["status"] == 400
        assert named in error["detail"] + str(error["errors"])

    async def test_permission_comes_before_existence(self, house: House, acme: Client, api_id: str) -> None:
        nobody, other = await limited(house, "api.*.read_key"), await house.tenant("other")
        for named in (api_id, "api_unknown1"):
            found = await get(nobody, "analytics.getVerifications", apiId=named, start=1)
            assert found["error"]["status"] == 403
        unknown = (await get(acme, "analytics.getVerifications", apiId="api_unknown1", start=1))["error"]
        assert unknown["type"].endswith("api_not_found")
        assert unknown == (await get(other, "analytics.getVerifications", apiId=api_id, start=1))["error"]
        for action in ("read_api", "read_analytics"):
            allowed = await limited(house, f"api.{api_id}.{action}")
            assert "data" in await get(allowed, "analytics.getVerifications", apiId=api_id, start=1)
        nameless = await get(acme, "analytics.getVerifications", apiId=api_id, start=1, externalId="nobody")
        assert nameless["error"]["type"].endswith("identity_not_found")


class TestGetKey:
    async def test_usage_counts_thirty_days_of_this_key_alone(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made, other = await create(acme, api_id), await create(acme, api_id)
        await use(acme, made)  # more than 30 days before it is asked for
        house.clock.advance(30 * DAY_MS + 1)
        await use(acme, made, 2)
        await use(acme, other)
        await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": False})
        await use(acme, made)
        key = await acme.data("keys.getKey", {"keyId": made["keyId"], "usage": True})
        assert key["usage"] == dict.fromkeys(OUTCOMES, 0) | {"valid": 2, "disabled": 1, "total": 3}
        assert "usage" not in await acme.data("keys.getKey", {"keyId": made["keyId"]})

    async def test_it_takes_no_more_than_to_read_the_key(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = await create(acme, api_id)
        reader, nobody = await limited(house, "api.*.read_key"), await limited(house, "api.*.read_api")
        body = {"keyId": made["keyId"], "usage": True}
        assert (await reader.data("keys.getKey", body))["usage"]["total"] == 0
        await nobody.error("keys.getKey", body, 403)
        await acme.error("keys.getKey", body | {"keyId": NOBODY}, 404)


class TestWithoutAnalytics:
    @pytest.fixture
    async def blind(self, tmp_path: Path, house: House) -> AsyncIterator[Client]:
        """A root key of a server that keeps no events."""
        directory = tmp_path / "blind"
        settings = Settings(data_dir=directory, analytics=AnalyticsSettings(enabled=False))
        clock = ManualClock(START_MS)
        async with opened(settings, clock) as platform:
            surfaces = surfaces_of(platform)
            transport = httpx.ASGITransport(Application(surfaces.mounts, fallback=surfaces.fallback))
            async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
                yield await House(platform, http, clock).tenant("acme")

    async def test_every_question_is_a_412_and_last_uses_are_known(self, blind: Client) -> None:
        api_id = (await blind.data("apis.createApi", {"name": "payments"}))["apiId"]
        made = await create(blind, api_id)
        await use(blind, made)
        answers = [
            await get(blind, "keys.getVerifications", keyId=made["keyId"]),
            await get(blind, "analytics.getVerifications", apiId=api_id, start=1),
            (await blind.post("keys.getKey", {"keyId": made["keyId"], "usage": True})).json(),
            (await blind.post("keys.listKeys", {"tag": "eu"})).json(),
        ]
        for answer in answers:
            assert answer["error"]["status"] == 412
            assert answer["error"]["type"].endswith("analytics_not_configured")
        assert (await blind.data("keys.getKey", {"keyId": made["keyId"]}))["lastUsedAt"] == START_MS
