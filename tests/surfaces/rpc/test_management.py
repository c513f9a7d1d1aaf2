"""APIs, keys, identities and root keys through the outermost door: every answerable status."""

from typing import Any

import pytest

from latchwork.domains import audit
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE

NOBODY = "key_unknown1"


async def create(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    return made


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


class TestCallers:
    async def test_no_header_is_a_400(self, house: House) -> None:
        answer = await house.http.post("/v2/apis.listApis", json={})
        assert answer.status_code == 400
        assert answer.json()["error"]["detail"] == "Authorization header for 'bearer' scheme"

    async def test_no_bearer_is_a_400(self, house: House) -> None:
        answer = await house.http.post("/v2/apis.listApis", json={}, headers={"authorization": "Basic x"})
        assert answer.status_code == 400
        assert answer.json()["error"]["type"].endswith("authentication/malformed")

    async def test_an_unknown_root_key_is_a_401(self, house: House) -> None:
        error = await Client(house.http, "unknown").error("apis.listApis", {}, 401)
        assert error["type"].endswith("authentication/key_not_found")

    async def test_an_ordinary_key_is_as_unknown_as_any_other(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id, enabled=False)
        await Client(acme.http, made["key"]).error("apis.listApis", {}, 401)

    async def test_an_expired_root_key_is_a_403(self, house: House, acme: Client) -> None:
        minted = await acme.data("rootKeys.createKey", {"permissions": ["*"], "expires": START_MS + 5})
        brief = Client(house.http, minted["key"])
        await brief.data("apis.listApis", {})
        house.clock.advance(6)
        error = await brief.error("apis.listApis", {}, 403)
        assert error["type"].endswith("authorization/forbidden")

    async def test_a_bad_body_comes_before_a_bad_key(self, house: House) -> None:
        error = await Client(house.http, "unknown").error("apis.createApi", {"name": "p", "x": 1}, 400)
        assert {e["location"] for e in error["errors"]} >= {"/properties/name/minLength"}

    async def test_a_workspace_is_held_to_its_quota(self, house: House) -> None:
        client = await house.tenant("small", quota=2)
        first = await client.post("apis.listApis", {})
        assert first.headers["ratelimit-remaining"] == "1"
        await client.data("apis.listApis", {})
        refused = await client.post("apis.listApis", {})
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1

    async def test_a_quota_of_zero_refuses_all(self, house: House) -> None:
        client = await house.tenant("none", quota=0)
        await client.error("apis.listApis", {}, 429)

    async def test_an_unknown_procedure_is_a_404_in_the_envelope(self, acme: Client) -> None:
        await acme.error("apis.nothing", {}, 404)


class TestApis:
    async def test_an_api_is_created_read_changed_and_deleted(self, acme: Client, api_id: str) -> None:
        api = await acme.data("apis.getApi", {"apiId": api_id})
        assert (api["id"], api["name"]) == (api_id, "payments")
        changed = await acme.data(
            "apis.updateApi", {"apiId": api_id, "name": "billing", "defaultPrefix": "b"}
        )
        assert changed["name"] == "billing"
        assert (await create(acme, api_id))["key"].startswith("b_")
        (listed,) = await acme.data("apis.listApis", {})
        assert listed["keyCount"] == 1
        assert await acme.data("apis.deleteApi", {"apiId": api_id}) == {}
        await acme.error("apis.deleteApi", {"apiId": api_id}, 404)
        await acme.error("apis.getApi", {"apiId": api_id}, 404)

    async def test_a_protected_api_cannot_be_deleted(self, acme: Client, api_id: str) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "deleteProtection": True})
        error = await acme.error("apis.deleteApi", {"apiId": api_id}, 412)
        assert error["title"] == "Resource is protected"

    async def test_a_wrong_address_is_named(self, acme: Client, api_id: str) -> None:
        error = await acme.error("apis.updateApi", {"apiId": api_id, "ipWhitelist": ["10.0.0.256"]}, 400)
        assert "ipWhitelist" in error["detail"] and "10.0.0.256" in error["detail"]

    async def test_another_workspace_sees_nothing(self, house: House, acme: Client, api_id: str) -> None:
        other = await house.tenant("other")
        foreign = await other.error("apis.getApi", {"apiId": api_id}, 404)
        assert foreign == await other.error("apis.getApi", {"apiId": "api_unknown1"}, 404)
        assert await other.data("apis.listApis", {}) == []
        await other.error("apis.deleteApi", {"apiId": api_id}, 404)

    async def test_permission_comes_before_existence(self, house: House, acme: Client, api_id: str) -> None:
        nobody = await limited(house, "api.*.read_key")
        for procedure in ("getApi", "deleteApi", "updateApi"):
            error = await nobody.error(f"apis.{procedure}", {"apiId": "api_unknown1"}, 403)
            assert error["detail"].startswith("Missing one of these permissions:")
        error = await nobody.error("apis.createApi", {"name": "abc"}, 403)
        assert error["detail"] == "Missing permission: 'api.*.create_api'"

    async def test_pages_are_walked_by_cursor(self, acme: Client, api_id: str) -> None:
        made = [(await create(acme, api_id))["keyId"] for _ in range(5)]
        seen: list[str] = []
        cursor = None
        while True:
            body = {"apiId": api_id, "limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await acme.post("apis.listKeys", body)).json()
            seen += [key["keyId"] for key in page["data"]]
            cursor = page["pagination"].get("cursor")
            assert page["pagination"]["hasMore"] == (cursor is not None)
            if cursor is None:
                break
        assert seen == made
        await acme.error("apis.listKeys", {"apiId": api_id, "limit": 0}, 400)
        assert await acme.data("apis.listKeys", {"apiId": api_id, "externalId": "nobody"}) == []


class TestKeys:
    async def test_what_is_asked_is_what_is_kept(self, acme: Client, api_id: str) -> None:
        made = await create(
            acme,
            api_id,
            prefix="prod",
            name="n",
            byteLength=32,
            externalId="user_1",
            meta={"a": {"b": [1.5, "x"]}},
            expires=START_MS + 10_000,
            credits={"remaining": 7, "refill": {"interval": "monthly", "amount": 9, "refillDay": 31}},
            permissions=["read", "write"],
        )
        key = await acme.data("keys.getKey", {"keyId": made["keyId"]})
        assert made["key"].startswith("prod_")
        assert key["start"] == made["key"][:9]
        assert key["credits"] == {
            "remaining": 7,
            "refill": {"interval": "monthly", "amount": 9, "refillDay": 31},
        }
        assert key["identity"]["externalId"] == "user_1"
        assert key["meta"] == {"a": {"b": [1.5, "x"]}}
        assert key["permissions"] == ["read", "write"]
        assert key["lineageId"] == made["keyId"]
        same = await acme.data("keys.whoami", {"key": made["key"]})
        assert same == key

    @pytest.mark.parametrize(
        ("wanted", "named"),
        [
            (
                {"credits": {"remaining": None, "refill": {"interval": "daily", "amount": 1}}},
                "credits.remaining",
            ),
            ({"credits": {"remaining": 1, "refill": {"interval": "monthly", "amount": 1}}}, "refillDay"),
            ({"ipWhitelist": ["nonsense"]}, "ipWhitelist"),
        ],
    )
    async def test_what_makes_no_sense_is_named(
        self, acme: Client, api_id: str, wanted: dict[str, Any], named: str
    ) -> None:
        error = await acme.error("keys.createKey", {"apiId": api_id} | wanted, 400)
        assert named in error["detail"]
        assert await acme.data("apis.listKeys", {"apiId": api_id}) == []

    async def test_an_unknown_role_leaves_nothing_behind(self, acme: Client, api_id: str) -> None:
        body = {"apiId": api_id, "roles": ["nobody"], "externalId": "user_9"}
        error = await acme.error("keys.createKey", body, 404)
        assert error["type"].endswith("role_not_found")
        await acme.error("identities.getIdentity", {"identity": "user_9"}, 404)

    async def test_without_permission_the_api_is_not_there(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        nobody = await limited(house, "api.*.read_api")
        masked = await nobody.error("keys.createKey", {"apiId": api_id}, 404)
        assert masked == await acme.error("keys.createKey", {"apiId": "api_unknown1"}, 404)
        await nobody.error("apis.listKeys", {"apiId": api_id}, 404)

    async def test_a_recoverable_key_needs_to_be_set_up(self, acme: Client, api_id: str) -> None:
        await acme.error("keys.createKey", {"apiId": api_id, "recoverable": True}, 412)
        await acme.error("apis.listKeys", {"apiId": api_id, "decrypt": True}, 412)

    async def test_lookup_comes_before_permission(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        nobody = await limited(house, "api.*.read_api")
        for procedure, more in (
            ("getKey", {}),
            ("updateKey", {}),
            ("deleteKey", {}),
            ("updateCredits", {"operation": "set", "value": 1}),
        ):
            await nobody.error(f"keys.{procedure}", {"keyId": NOBODY} | more, 404)
            await nobody.error(f"keys.{procedure}", {"keyId": made["keyId"]} | more, 403)
        await nobody.error("keys.whoami", {"key": made["key"]}, 404)

    async def test_foreign_keys_read_as_unknown_ones(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        other = await house.tenant("other")
        for procedure in ("getKey", "updateKey", "deleteKey"):
            foreign = await other.error(f"keys.{procedure}", {"keyId": made["keyId"]}, 404)
            assert foreign == await other.error(f"keys.{procedure}", {"keyId": NOBODY}, 404)
        assert (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["enabled"] is True

    async def test_null_clears_absent_keeps_and_lists_replace(self, acme: Client, api_id: str) -> None:
        limit = {"name": "requests", "limit": 5, "duration": 60_000}
        made = await create(
            acme, api_id, name="n", meta={"a": 1}, externalId="u", permissions=["a", "b"], ratelimits=[limit]
        )
        before = await acme.data("keys.getKey", {"keyId": made["keyId"]})
        change = {
            "name": None,
            "externalId": None,
            "permissions": ["c"],
            "ratelimits": [limit | {"limit": 9}, limit | {"name": "other"}],
        }
        after = await acme.data("keys.updateKey", {"keyId": made["keyId"]} | change)
        assert "name" not in after and "identity" not in after
        assert after["meta"] == {"a": 1}
        assert after["permissions"] == ["c"]
        ids = {rule["name"]: rule["id"] for rule in after["ratelimits"]}
        assert ids["requests"] == before["ratelimits"][0]["id"]
        cleared = await acme.data(
            "keys.updateKey", {"keyId": made["keyId"], "ratelimits": None, "permissions": []}
        )
        assert "ratelimits" not in cleared and "permissions" not in cleared

    async def test_credits_are_set_raised_lowered_and_lifted(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)

        async def change(operation: str, **value: Any) -> dict[str, Any]:
            body = {"keyId": made["keyId"], "operation": operation} | value
            changed: dict[str, Any] = await acme.data("keys.updateCredits", body)
            return changed

        base = {"keyId": made["keyId"]}
        await acme.error("keys.updateCredits", base | {"operation": "increment", "value": 1}, 400)
        assert await change("set", value=5) == {"remaining": 5}
        assert await change("increment", value=5) == {"remaining": 10}
        assert await change("decrement", value=100) == {"remaining": 0}
        await acme.error("keys.updateCredits", base | {"operation": "decrement"}, 400)
        await acme.error("keys.updateCredits", base | {"operation": "set", "value": -1}, 400)
        refill = {"refill": {"interval": "daily", "amount": 3}}
        updated = await acme.data("keys.updateKey", base | {"credits": refill})
        assert updated["credits"] == {"remaining": 0} | refill
        assert await change("set", value=None) == {"remaining": None}
        assert "credits" not in await acme.data("keys.getKey", base)
        daily = {"refill": {"interval": "daily", "amount": 3, "refillDay": 4}, "remaining": 1}
        await acme.error("keys.updateKey", base | {"credits": daily}, 400)

    async def test_a_deleted_key_is_gone(self, acme: Client, api_id: str) -> None:
        made, kept = await create(acme, api_id), await create(acme, api_id)
        assert await acme.data("keys.deleteKey", {"keyId": made["keyId"]}) == {}
        await acme.error("keys.deleteKey", {"keyId": made["keyId"], "permanent": True}, 404)
        credited = await create(acme, api_id, credits={"remaining": 1}, permissions=["a"])
        await acme.data("keys.deleteKey", {"keyId": credited["keyId"], "permanent": True})
        listed = await acme.data("apis.listKeys", {"apiId": api_id})
        assert [key["keyId"] for key in listed] == [kept["keyId"]]


class TestIdentities:
    async def test_an_identity_is_found_by_both_its_names(self, acme: Client) -> None:
        made = await acme.data("identities.createIdentity", {"externalId": "user_1", "meta": {"a": 1}})
        by_name = await acme.data("identities.getIdentity", {"identity": "user_1"})
        assert by_name == await acme.data("identities.getIdentity", {"identity": made["identityId"]})
        assert by_name["meta"] == {"a": 1}
        error = await acme.error("identities.createIdentity", {"externalId": "user_1"}, 409)
        assert error["type"].endswith("identity_already_exists")

    async def test_lookup_comes_before_permission(self, house: House, acme: Client) -> None:
        await acme.data("identities.createIdentity", {"externalId": "user_1"})
        nobody = await limited(house, "api.*.read_api")
        await nobody.error("identities.getIdentity", {"identity": "user_2"}, 404)
        await nobody.error("identities.getIdentity", {"identity": "user_1"}, 403)
        await nobody.error("identities.createIdentity", {"externalId": "user_3"}, 403)
        other = await house.tenant("other")
        await other.error("identities.getIdentity", {"identity": "user_1"}, 404)

    async def test_metadata_has_a_size(self, acme: Client) -> None:
        body = {"externalId": "user_1", "meta": {"a": "x" * (1 << 20)}}
        error = await acme.error("identities.createIdentity", body, 400)
        assert error["detail"].startswith("Metadata is too large")


class TestRootKeys:
    async def test_a_root_key_grants_no_more_than_it_has(self, house: House, acme: Client) -> None:
        poor = await limited(house, "workspace.*.create_root_key", "api.*.read_api")
        made = await poor.data("rootKeys.createKey", {"permissions": ["api.*.read_api"]})
        await Client(house.http, made["key"]).data("apis.listApis", {})
        for beyond in (["*"], ["api.*.create_key"], ["api.*.read_api", "api.*.delete_api"]):
            await poor.error("rootKeys.createKey", {"permissions": beyond}, 403)
        nobody = await limited(house, "api.*.read_api")
        await nobody.error("rootKeys.createKey", {"permissions": ["api.*.read_api"]}, 403)
        await acme.error("rootKeys.createKey", {"permissions": [], "expires": START_MS - 1}, 400)

    async def test_a_brief_root_key_cannot_outlive_itself(self, house: House, acme: Client) -> None:
        minted = await acme.data("rootKeys.createKey", {"permissions": ["*"], "expires": START_MS + 1000})
        brief = Client(house.http, minted["key"])
        await brief.error("rootKeys.createKey", {"permissions": ["*"]}, 400)
        await brief.data("rootKeys.createKey", {"permissions": ["*"], "expires": START_MS + 1000})


async def test_every_change_stands_in_an_unbroken_audit_log(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, permissions=["a"])
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "name": "n"})
    await acme.data("keys.deleteKey", {"keyId": made["keyId"]})
    workspace = (await house.platform.workspaces.all())[0]
    assert await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None


async def test_no_secret_is_kept_in_any_table(house: House, acme: Client, api_id: str) -> None:
    secrets = [(await create(acme, api_id))["key"] for _ in range(5)] + [acme.key]
    found = await house.platform.db.read(_everything, ALL_WORKSPACES)
    assert not [secret for secret in secrets if secret in found]


def _everything(connection: Any) -> str:
    from latchwork.kernel.sql import metadata

    return "\n".join(
        repr(row) for table in metadata.sorted_tables for row in connection.execute(table.select())
    )


async def test_a_document_describes_everything(house: House) -> None:
    document = (await house.http.get("/v2/openapi.json")).json()
    assert {"/v2/keys.verifyKey", "/v2/ratelimit.limit", "/v2/analytics.getVerifications"} <= set(
        document["paths"]
    )
    page = await house.http.get("/docs")
    assert page.status_code == 200 and "keys.verifyKey" in page.text
