"""`keys.listKeys` through the outermost door."""

import base64
import hashlib
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_management import create, limited


async def ids(client: Client, **query: Any) -> list[str]:
    """The ids on the only page of a list."""
    answer = (await client.post("keys.listKeys", query)).json()
    assert answer["pagination"] == {"hasMore": False}, answer
    return [key["keyId"] for key in answer["data"]]


class TestWhatIsListed:
    async def test_keys_of_all_live_apis_with_everything_that_belongs_to_them(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        gone = (await acme.data("apis.createApi", {"name": "gone"}))["apiId"]
        limit = {"name": "requests", "limit": 5, "duration": 60_000}
        full = await create(
            acme,
            api_id,
            name="n",
            externalId="user_1",
            permissions=["a"],
            ratelimits=[limit],
            credits={"remaining": 3},
            enabled=False,
        )
        plain, hidden = await create(acme, other), await create(acme, gone)
        deleted = await create(acme, api_id)
        await acme.data("keys.deleteKey", {"keyId": deleted["keyId"]})
        await acme.data("apis.deleteApi", {"apiId": gone})
        listed = await acme.data("keys.listKeys", {})
        got = [await acme.data("keys.getKey", {"keyId": made["keyId"]}) for made in (full, plain)]
        assert listed == got
        assert [key["apiId"] for key in listed] == [api_id, other]
        assert hidden["keyId"] not in {key["keyId"] for key in listed}

    async def test_another_workspace_sees_nothing(self, house: House, acme: Client, api_id: str) -> None:
        await create(acme, api_id, externalId="user_1", name="secret")
        other = await house.tenant("other")
        assert await ids(other) == []
        assert await ids(other, search="secret") == []
        assert await ids(other, externalId="user_1") == []
        await other.error("keys.listKeys", {"apiId": api_id}, 404)


class TestFilters:
    async def test_a_search_is_trimmed_folded_and_literal(self, acme: Client, api_id: str) -> None:
        names = {
            name: (await create(acme, api_id, name=name))["keyId"] for name in ("50% ÜBER_all", "x", "50x")
        }
        found = names["50% ÜBER_all"]
        for search in ("50%", "  über_  ", "R_A", "% ü"):
            assert await ids(acme, search=search) == [found], search
        assert await ids(acme, search="r-a") == []
        assert len(await ids(acme, search="  ")) == 3

    async def test_a_search_looks_at_id_name_start_and_external_id(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id, prefix="Prod", name="Billing", externalId="user_77")
        await create(acme, api_id)
        for search in (made["keyId"][4:].lower(), "LLING", "prod_", "SER_77", made["key"][:9]):
            assert await ids(acme, search=search) == [made["keyId"]], search
        assert await ids(acme, search=made["key"]) == [], "what is secret is not searched"

    async def test_a_search_follows_every_change(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id, name="before", externalId="user_1")
        change = {"keyId": made["keyId"], "name": "after", "externalId": "user_2"}
        await acme.data("keys.updateKey", change)
        assert await ids(acme, search="before") == await ids(acme, search="user_1") == []
        assert await ids(acme, search="after") == await ids(acme, search="user_2") == [made["keyId"]]

    async def test_a_search_for_an_identity_that_is_deleted_finds_nothing(
        self, acme: Client, api_id: str
    ) -> None:
        made = await create(acme, api_id, name="left", externalId="user_1")
        deleted = await acme.post("identities.deleteIdentity", {"identity": "user_1"})
        assert deleted.status_code == 200
        assert await ids(acme, search="user_1") == []
        assert await ids(acme, search="left") == [made["keyId"]]

    async def test_the_digest_of_a_whole_key_finds_it(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        digest = hashlib.sha256(made["key"].encode())
        for search in (
            digest.hexdigest(),
            digest.hexdigest().upper(),
            base64.b64encode(digest.digest()).decode(),
        ):
            assert await ids(acme, search=f" {search} ") == [made["keyId"]]
        assert await ids(acme, search="0" * 64) == []
        named = await create(acme, api_id, name="0" * 64)
        assert await ids(acme, search="0" * 64) == [named["keyId"]]

    async def test_filters_must_all_hold(self, acme: Client, api_id: str) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        one = await create(acme, api_id, externalId="user_1", expires=START_MS + 10)
        two = await create(acme, other, externalId="user_1", enabled=False)
        three = await create(acme, other, expires=START_MS + 20)
        a, b, c = (made["keyId"] for made in (one, two, three))
        assert await ids(acme, externalId="user_1") == [a, b]
        assert await ids(acme, externalId="nobody") == []
        assert await ids(acme, apiId=other) == [b, c]
        assert await ids(acme, enabled=True) == [a, c]
        assert await ids(acme, enabled=False) == [b]
        assert await ids(acme, expiresBefore=START_MS + 20) == [a]
        assert await ids(acme, expiresBefore=START_MS + 21) == [a, c]
        assert await ids(acme, externalId="user_1", apiId=other, enabled=False) == [b]
        assert await ids(acme, externalId="user_1", apiId=other, enabled=True) == []

    async def test_unused_keys_are_those_not_used_then_or_later(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        used, never = await create(acme, api_id), await create(acme, api_id)
        await acme.data("keys.verifyKey", {"key": used["key"]})
        await house.platform.analytics.flush()
        assert await ids(acme, unusedSince=START_MS) == [never["keyId"]]
        assert await ids(acme, unusedSince=START_MS + 1) == [used["keyId"], never["keyId"]]
        assert await ids(acme, sort="-lastUsedAt") == [used["keyId"], never["keyId"]]

    async def test_a_tag_is_one_that_the_key_was_verified_with(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        one, two, three = await create(acme, api_id), await create(acme, other), await create(acme, api_id)
        foreign = await house.tenant("foreign")
        their_api = (await foreign.data("apis.createApi", {"name": "theirs"}))["apiId"]
        theirs = await create(foreign, their_api)
        for client, made, tags in (
            (acme, one, ["eu", "web"]),
            (acme, two, ["eu"]),
            (acme, three, ["us"]),
            (foreign, theirs, ["us"]),
        ):
            await client.data("keys.verifyKey", {"key": made["key"], "tags": tags})
        assert await ids(acme, tag="eu") == [one["keyId"], two["keyId"]]
        assert await ids(acme, tag="us") == [three["keyId"]]
        assert await ids(acme, tag="eu", apiId=other) == [two["keyId"]]
        assert await ids(acme, tag="e") == []
        digest = hashlib.sha256(two["key"].encode()).hexdigest()
        assert await ids(acme, tag="eu", search=digest) == [two["keyId"]]
        assert await ids(acme, tag="us", search=digest) == []


class TestPages:
    @pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "name", "-name", "expires", "-expires"])
    async def test_they_follow_each_other_exactly(self, acme: Client, api_id: str, sort: str) -> None:
        names = ["b", "B", "a", None, "ü" * 255, "\x01" * 255, "😀" * 255, "b"]
        for number, name in enumerate(names):
            more = {"expires": START_MS + number // 2} if number % 3 else {}
            await create(acme, api_id, **more, **({} if name is None else {"name": name}))
        whole = await ids(acme, sort=sort)
        seen, cursor, pages = [], None, 0
        while True:
            body = {"limit": 1, "sort": sort} | ({"cursor": cursor} if cursor else {})
            page = (await acme.post("keys.listKeys", body)).json()
            seen += [key["keyId"] for key in page["data"]]
            pages += 1
            cursor = page["pagination"].get("cursor")
            assert page["pagination"]["hasMore"] == (cursor is not None)
            if cursor is None:
                break
        assert (seen, pages) == (whole, len(names))
        assert await ids(acme, sort=sort.removeprefix("-") if sort[0] == "-" else f"-{sort}") == whole[::-1]

    async def test_without_a_name_comes_first_and_without_an_expiry_last(
        self, acme: Client, api_id: str
    ) -> None:
        named, plain = await create(acme, api_id, name="a", expires=START_MS), await create(acme, api_id)
        assert await ids(acme, sort="name") == [plain["keyId"], named["keyId"]]
        assert await ids(acme, sort="expires") == [named["keyId"], plain["keyId"]]

    async def test_a_cursor_of_another_order_is_named(self, acme: Client, api_id: str) -> None:
        for _ in range(2):
            await create(acme, api_id)
        page = (await acme.post("keys.listKeys", {"limit": 1, "sort": "name"})).json()
        body = {"sort": "expires", "cursor": page["pagination"]["cursor"]}
        assert "`cursor`" in (await acme.error("keys.listKeys", body, 400))["detail"]
        assert len(await ids(acme, cursor="any text")) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"limit": 0}, "limit"),
            ({"limit": 101}, "limit"),
            ({"search": "x" * 257}, "search"),
            ({"sort": "size"}, "sort"),
            ({"enabled": None}, "enabled"),
            ({"expiresBefore": -1}, "expiresBefore"),
            ({"unusedSince": "now"}, "unusedSince"),
            ({"tag": ""}, "tag"),
            ({"apiId": "x!y"}, "apiId"),
            ({"owner": "x"}, "owner"),
        ],
    )
    async def test_what_makes_no_sense_is_named(self, acme: Client, body: dict[str, Any], named: str) -> None:
        error = await acme.error("keys.listKeys", body, 400)
        assert any(named in entry["location"] + entry["message"] for entry in error["errors"])

    async def test_all_apis_take_more_than_one(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        one = await limited(house, f"api.{api_id}.read_key")
        assert await ids(one, apiId=api_id) == [made["keyId"]]
        error = await one.error("keys.listKeys", {}, 403)
        assert error["detail"] == "Missing permission: 'api.*.read_key'"
        await one.error("keys.listKeys", {"apiId": "api_unknown1"}, 403)
        error = await acme.error("keys.listKeys", {"apiId": "api_unknown1"}, 404)
        assert error["type"].endswith("api_not_found")
        assert await ids(await limited(house, "api.*.read_key")) == [made["keyId"]]
        await Client(acme.http, "nobody").error("keys.listKeys", {}, 401)
