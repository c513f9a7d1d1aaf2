"""The family `rootKeys` through the outermost door: nobody gives away more than they have, at once."""

import asyncio
from typing import Any

import pytest

from latchwork.domains import audit
from latchwork.domains.workspaces import operator
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import START_MS, Client, House

MINUTE = 60_000
UNKNOWN = "key_unknown1"
ADMIN = tuple(f"workspace.*.{verb}_root_key" for verb in ("create", "read", "update", "delete"))


async def workspace_id(house: House) -> str:
    return (await house.platform.workspaces.all())[0].id


async def limited(house: House, *permissions: str) -> Client:
    return await house.root_key(await workspace_id(house), *permissions)


async def create(client: Client, *permissions: str, **more: Any) -> tuple[str, Client]:
    made = await client.data("rootKeys.createKey", {"permissions": permissions} | more)
    return made["keyId"], Client(client.http, made["key"])


async def listed(client: Client, key_id: str) -> dict[str, Any]:
    found = await client.data("rootKeys.listKeys", {})
    return next(dict(key) for key in found if key["keyId"] == key_id)


class TestCreating:
    async def test_a_root_key_is_told_once_and_listed_without_its_text(self, acme: Client) -> None:
        made = await acme.data(
            "rootKeys.createKey",
            {"permissions": ["api.*.read_api", "a.b"], "name": "gateway", "expires": START_MS + 9},
        )
        answer = await acme.post("rootKeys.listKeys", {})
        assert made["key"] not in answer.text
        assert await listed(acme, made["keyId"]) == {
            "keyId": made["keyId"],
            "name": "gateway",
            "start": made["key"][:12],
            "end": made["key"][-4:],
            "enabled": True,
            "createdAt": START_MS,
            "lastUsedAt": 0,
            "expires": START_MS + 9,
            "permissions": ["a.b", "api.*.read_api"],
        }

    async def test_what_may_be_null_is_null_and_never_absent(self, acme: Client) -> None:
        key_id, _ = await create(acme, expires=None)
        key = await listed(acme, key_id)
        assert (key["name"], key["expires"], key["permissions"]) == (None, None, [])

    async def test_a_part_of_what_one_has_may_be_handed_on(self, house: House, acme: Client) -> None:
        some = await limited(house, *ADMIN, "api.*.read_api")
        await create(some, "api.api_12345678.read_api")
        await some.error("rootKeys.createKey", {"permissions": ["api.*.create_api"]}, 403)

    async def test_the_case_of_a_permission_is_kept_whatever_others_hold(
        self, house: House, acme: Client
    ) -> None:
        other = await house.tenant("other")
        await create(other, "API.*.READ_API")
        _, reader = await create(acme, "api.*.read_api")
        assert await reader.data("apis.listApis", {}) == []

    async def test_a_malformed_urn_is_a_400(self, acme: Client) -> None:
        error = await acme.error("rootKeys.createKey", {"permissions": ["unkey:v1:nowhere"]}, 400)
        assert "unkey:v1:nowhere" in error["detail"]

    @pytest.mark.parametrize("expires", [START_MS, START_MS - 1, 0])
    async def test_an_expiry_is_in_the_future(self, acme: Client, expires: int) -> None:
        error = await acme.error("rootKeys.createKey", {"permissions": [], "expires": expires}, 400)
        assert "`expires`" in error["detail"]


class TestListing:
    async def test_pages_are_walked_by_cursor_oldest_first(self, house: House, acme: Client) -> None:
        made = [(await create(acme))[0] for _ in range(4)]
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await acme.post("rootKeys.listKeys", {"limit": 2, "cursor": cursor})).json()
            seen += [key["keyId"] for key in page["data"]]
            if not page["pagination"]["hasMore"]:
                break
            cursor = page["pagination"]["cursor"]
        assert seen[1:] == made
        other = await house.tenant("other")
        assert len(await other.data("rootKeys.listKeys", {})) == 1

    async def test_it_needs_permission(self, house: House, acme: Client) -> None:
        error = await (await limited(house, "api.*.read_key")).error("rootKeys.listKeys", {}, 403)
        assert error["detail"] == "Missing permission: 'workspace.*.read_root_key'"

    async def test_who_may_read_some_is_told_of_those(self, house: House, acme: Client) -> None:
        one, two = (await create(acme))[0], (await create(acme))[0]
        ws = await workspace_id(house)
        urn = f"unkey:v1:{ws}:rootKeys/{two}#read"
        some = await house.root_key(
            ws, urn, f"workspace.{one}.read_root_key", "workspace.key_no.read_root_key"
        )
        assert [key["keyId"] for key in await some.data("rootKeys.listKeys", {})] == [one, two]
        page = (await some.post("rootKeys.listKeys", {"limit": 1})).json()
        assert page["pagination"] == {"hasMore": True, "cursor": two}

    async def test_the_last_use_is_told_and_survives(self, house: House, acme: Client) -> None:
        key_id, client = await create(acme, "api.*.read_api", "ratelimit.*.limit")
        house.clock.advance(5)
        await client.data("apis.listApis", {})
        assert (await listed(acme, key_id))["lastUsedAt"] == START_MS + 5
        await house.platform.services.root_keys.last_use.save()
        assert (await listed(acme, key_id))["lastUsedAt"] == START_MS + 5
        asked = {"namespace": "n", "identifier": "i", "limit": 1, "duration": 1000}
        await acme.data("ratelimit.limit", asked)
        house.clock.advance(5)
        await client.data("ratelimit.limit", asked)  # through the hot door
        assert (await listed(acme, key_id))["lastUsedAt"] == START_MS + 10


class TestUpdating:
    async def test_a_change_holds_for_the_very_next_request(self, acme: Client) -> None:
        key_id, client = await create(acme, "api.*.read_api")
        await client.data("apis.listApis", {})
        change = {"keyId": key_id, "permissions": ["api.*.create_api"], "name": "maker"}
        assert await acme.data("rootKeys.updateKey", change) == {}
        await client.error("apis.listApis", {}, 403)
        await client.data("apis.createApi", {"name": "abc"})
        await acme.data("rootKeys.updateKey", {"keyId": key_id, "enabled": False, "name": None})
        error = await client.error("apis.createApi", {"name": "abc"}, 403)
        assert (error["title"], error["type"].rsplit("/", 1)[1]) == ("Key is disabled", "key_disabled")
        key = await listed(acme, key_id)
        assert (key["enabled"], key["name"], key["permissions"]) == (False, None, ["api.*.create_api"])
        await acme.data("rootKeys.updateKey", {"keyId": key_id, "enabled": True})
        await client.data("apis.createApi", {"name": "abc"})

    async def test_what_is_added_must_be_the_callers_own(self, house: House, acme: Client) -> None:
        admin = await limited(house, *ADMIN, "api.*.read_api")
        key_id, _ = await create(acme, "api.*.delete_api", "api.*.create_api")
        for beyond in (["*"], ["api.*.read_key"]):
            error = await admin.error("rootKeys.updateKey", {"keyId": key_id, "permissions": beyond}, 403)
            assert "only grant what it holds itself" in error["detail"]
        await admin.data("rootKeys.updateKey", {"keyId": key_id, "permissions": ["api.*.read_api"]})
        assert (await listed(acme, key_id))["permissions"] == ["api.*.read_api"]

    async def test_nobody_raises_oneself(self, house: House, acme: Client) -> None:
        key_id, admin = await create(acme, *ADMIN)
        await admin.error("rootKeys.updateKey", {"keyId": key_id, "permissions": [*ADMIN, "*"]}, 403)

    async def test_enabling_gives_all_that_the_key_may_do(self, house: House, acme: Client) -> None:
        admin = await limited(house, *ADMIN)
        key_id, _ = await create(acme, "api.*.read_api")
        await admin.data("rootKeys.updateKey", {"keyId": key_id, "enabled": False})
        await admin.error("rootKeys.updateKey", {"keyId": key_id, "enabled": True}, 403)
        await admin.data("rootKeys.updateKey", {"keyId": key_id, "name": "still off"})
        assert (await listed(acme, key_id))["enabled"] is False

    async def test_who_expires_changes_nobody_who_lives_longer(self, house: House, acme: Client) -> None:
        _, brief = await create(acme, "*", expires=START_MS + 1000)
        lasting, _ = await create(acme, "api.*.read_api")
        as_brief, _ = await create(acme, "api.*.read_api", expires=START_MS + 1000)
        more = {"permissions": ["api.*.read_api", "api.*.create_api"]}
        for change in (more, {"name": "renamed"}, {"enabled": False}):
            error = await brief.error("rootKeys.updateKey", {"keyId": lasting} | change, 403)
            assert "live no longer than itself" in error["detail"]
            await brief.data("rootKeys.updateKey", {"keyId": as_brief} | change)

    @pytest.mark.parametrize(
        ("wrong", "location"),
        [
            ({"name": ""}, "/properties/name/minLength"),
            ({"enabled": "yes"}, "/properties/enabled/type"),
            ({"permissions": [""]}, "/properties/permissions/items/minLength"),
            ({"permissions": ["x" * 513]}, "/properties/permissions/items/maxLength"),
            ({"keyId": "a/b"}, "/properties/keyId/pattern"),
            ({"expires": 5}, "/additionalProperties"),
        ],
    )
    async def test_bad_input_is_named(self, acme: Client, wrong: dict[str, Any], location: str) -> None:
        error = await acme.error("rootKeys.updateKey", {"keyId": UNKNOWN} | wrong, 400)
        assert [found["location"] for found in error["errors"]] == [location]


class TestRerolling:
    async def test_the_new_key_is_as_the_old_and_the_old_ends_at_once(self, acme: Client) -> None:
        key_id, old = await create(acme, "api.*.read_api", name="gateway", expires=START_MS + 9 * MINUTE)
        await old.data("apis.listApis", {})
        made = await acme.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0})
        await old.error("apis.listApis", {}, 403)
        await Client(acme.http, made["key"]).data("apis.listApis", {})
        before, after = await listed(acme, key_id), await listed(acme, made["keyId"])
        assert before["expires"] == START_MS
        kept = ("name", "permissions", "enabled")
        assert [after[name] for name in kept] == [before[name] for name in kept]
        assert (after["expires"], after["end"]) == (START_MS + 9 * MINUTE, made["key"][-4:])

    async def test_the_old_key_may_go_on_for_a_while(self, house: House, acme: Client) -> None:
        key_id, old = await create(acme, "api.*.read_api")
        house.clock.advance(1)
        await acme.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": 30_000})
        ends = (START_MS // MINUTE + 1) * MINUTE
        assert (await listed(acme, key_id))["expires"] == ends
        house.clock.advance(ends - START_MS - 2)
        await old.data("apis.listApis", {})
        house.clock.advance(1)
        await old.error("apis.listApis", {}, 403)

    async def test_null_leaves_the_old_key_as_it_is(self, acme: Client) -> None:
        key_id, old = await create(acme, "api.*.read_api")
        await acme.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": None})
        await old.data("apis.listApis", {})
        assert (await listed(acme, key_id))["expires"] is None

    async def test_nobody_gets_the_text_of_a_key_that_may_do_more(self, house: House, acme: Client) -> None:
        admin = await limited(house, *ADMIN, "api.*.read_api")
        key_id, _ = await create(acme, "api.*.read_api", "api.*.read_key")
        error = await admin.error("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0}, 403)
        assert error["detail"].endswith("Missing permission: 'api.*.read_key'")

    async def test_to_end_the_old_key_needs_the_right_to_delete(self, house: House, acme: Client) -> None:
        key_id, _ = await create(acme, "api.*.read_api")
        maker = await limited(house, "workspace.*.create_root_key", "api.*.read_api")
        await maker.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": None})
        error = await maker.error("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0}, 403)
        assert "delete_root_key" in error["detail"]

    async def test_nobody_lives_on_through_another_key(self, house: House, acme: Client) -> None:
        _, brief = await create(acme, "*", expires=START_MS + 1000)
        lasting, _ = await create(acme, "api.*.read_api")
        await brief.error("rootKeys.rerollKey", {"keyId": lasting, "expiration": None}, 403)

    async def test_a_key_may_replace_itself(self, house: House, acme: Client) -> None:
        key_id, admin = await create(acme, *ADMIN)
        made = await admin.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0})
        await admin.error("rootKeys.listKeys", {}, 403)
        await Client(acme.http, made["key"]).data("rootKeys.listKeys", {})

    async def test_the_last_way_in_may_be_replaced(self, house: House, acme: Client) -> None:
        (key,) = await acme.data("rootKeys.listKeys", {})
        made = await acme.data("rootKeys.rerollKey", {"keyId": key["keyId"], "expiration": 0})
        await Client(acme.http, made["key"]).data("apis.createApi", {"name": "abc"})

    @pytest.mark.parametrize("expiration", [-1, 4_102_444_800_001, "1", 1.5])
    async def test_bad_input_is_named(self, acme: Client, expiration: Any) -> None:
        body = {"keyId": UNKNOWN, "expiration": expiration}
        error = await acme.error("rootKeys.rerollKey", body, 400)
        assert "/expiration/" in error["errors"][0]["location"]
        await acme.error("rootKeys.rerollKey", {"keyId": UNKNOWN}, 400)


class TestDeleting:
    async def test_a_deleted_key_is_unknown_at_once_and_for_good(self, acme: Client) -> None:
        key_id, client = await create(acme, "api.*.read_api")
        await client.data("apis.listApis", {})
        assert await acme.data("rootKeys.deleteKey", {"keyId": key_id}) == {}
        await client.error("apis.listApis", {}, 401)
        assert len(await acme.data("rootKeys.listKeys", {})) == 1
        for procedure, more in (("deleteKey", {}), ("updateKey", {}), ("rerollKey", {"expiration": 0})):
            error = await acme.error(f"rootKeys.{procedure}", {"keyId": key_id} | more, 404)
            assert error["type"].endswith("data/key_not_found")

    async def test_whoever_may_delete_may_take_any_key_out_of_service(
        self, house: House, acme: Client
    ) -> None:
        key_id, leaked = await create(acme, "*")
        guard = await limited(house, "workspace.*.delete_root_key")
        await guard.data("rootKeys.deleteKey", {"keyId": key_id})
        await leaked.error("apis.listApis", {}, 401)

    async def test_of_two_who_delete_one_key_one_succeeds(self, acme: Client) -> None:
        key_id, _ = await create(acme)
        answers = await asyncio.gather(
            *(acme.post("rootKeys.deleteKey", {"keyId": key_id}) for _ in range(3))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 404, 404]


class TestTheLastWayIn:
    async def only_way(self, acme: Client) -> str:
        return str((await acme.data("rootKeys.listKeys", {}))[0]["keyId"])

    async def test_it_can_neither_be_deleted_nor_disabled_nor_stripped(self, acme: Client) -> None:
        key_id = await self.only_way(acme)
        await create(acme, *ADMIN, "api.*.read_api")  # may manage keys, but not do everything
        changes: list[dict[str, Any]] = [
            {"enabled": False},
            {"permissions": ["api.*.read_api"]},
            {"permissions": []},
        ]
        for change in changes:
            error = await acme.error("rootKeys.updateKey", {"keyId": key_id} | change, 412)
            assert error["type"].endswith("application/protected_resource")
            assert error["title"] == "Resource is protected"
        await acme.error("rootKeys.deleteKey", {"keyId": key_id}, 412)
        await acme.data("rootKeys.updateKey", {"keyId": key_id, "name": "renamed", "enabled": True})
        await acme.data("apis.listApis", {})

    @pytest.mark.parametrize("way", ["*", "unkey:v1:{}:**#*"])
    async def test_another_that_may_do_everything_is_enough(
        self, house: House, acme: Client, way: str
    ) -> None:
        key_id = await self.only_way(acme)
        _, other = await create(acme, way.format(await workspace_id(house)))
        await acme.data("rootKeys.deleteKey", {"keyId": key_id})
        await other.error("rootKeys.deleteKey", {"keyId": await self.only_way(other)}, 412)

    async def test_another_that_is_off_or_ends_sooner_is_not(self, house: House, acme: Client) -> None:
        key_id = await self.only_way(acme)
        off, _ = await create(acme, "*")
        await acme.data("rootKeys.updateKey", {"keyId": off, "enabled": False})
        await create(acme, "*", expires=START_MS + 1000)
        await acme.error("rootKeys.deleteKey", {"keyId": key_id}, 412)

    async def test_one_that_ends_may_go_while_another_lasts_as_long(self, house: House, acme: Client) -> None:
        key_id, _ = await create(acme, "*", expires=START_MS + 1000)
        await acme.data("rootKeys.deleteKey", {"keyId": key_id})

    async def test_of_two_that_delete_each_other_one_is_left(self, house: House, acme: Client) -> None:
        first = await self.only_way(acme)
        second, other = await create(acme, "*")
        answers = await asyncio.gather(
            acme.post("rootKeys.deleteKey", {"keyId": second}),
            other.post("rootKeys.deleteKey", {"keyId": first}),
        )
        assert sorted(answer.status_code for answer in answers)[0] == 200
        assert [answer.status_code for answer in answers].count(200) == 1


@pytest.mark.parametrize(
    ("procedure", "more", "action"),
    [
        ("updateKey", {}, "update_root_key"),
        ("rerollKey", {"expiration": 0}, "create_root_key"),
        ("deleteKey", {}, "delete_root_key"),
    ],
)
async def test_permission_comes_before_existence_and_others_keys_do_not_exist(
    house: House, acme: Client, procedure: str, more: dict[str, Any], action: str
) -> None:
    nobody = await limited(house, "api.*.read_api")
    error = await nobody.error(f"rootKeys.{procedure}", {"keyId": UNKNOWN} | more, 403)
    wanted = f"workspace.*.{action} or workspace.{UNKNOWN}.{action}"
    assert error["detail"] == f"Missing one of these permissions: {wanted}"
    other = await house.tenant("other")
    foreign = (await other.data("rootKeys.listKeys", {}))[0]["keyId"]
    unknown = await acme.error(f"rootKeys.{procedure}", {"keyId": UNKNOWN} | more, 404)
    assert await acme.error(f"rootKeys.{procedure}", {"keyId": foreign} | more, 404) == unknown
    await other.data("apis.listApis", {})


async def test_what_is_done_to_root_keys_is_in_the_audit_log(house: House, acme: Client) -> None:
    key_id, _ = await create(acme, "api.*.read_api", name="gateway")
    await acme.data("rootKeys.updateKey", {"keyId": key_id, "permissions": ["api.*.read_key"]})
    made = await acme.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0})
    await acme.data("rootKeys.deleteKey", {"keyId": key_id})
    from latchwork.domains.audit.tables import audit_log

    rows = await house.platform.db.read(
        lambda c: c.execute(audit_log.select().order_by(audit_log.c.id.desc()).limit(4)).mappings().all(),
        ALL_WORKSPACES,
    )
    deleted, rerolled, updated, created = rows
    events = [row["event"] for row in (created, updated, rerolled, deleted)]
    assert events == ["rootKey.create", "rootKey.update", "rootKey.reroll", "rootKey.delete"]
    meta = updated["resources"][0]["meta"]
    assert (meta["before"]["permissions"], meta["after"]["permissions"]) == (
        ["api.*.read_api"],
        ["api.*.read_key"],
    )
    assert rerolled["resources"][0] == {
        "type": "rootKey",
        "id": made["keyId"],
        "name": "gateway",
        "meta": {"replaces": key_id, "oldExpires": START_MS},
    }
    ws = await workspace_id(house)
    assert await house.platform.db.read(lambda c: audit.first_break(c, ws), ALL_WORKSPACES) is None


class TestEnsuring:
    """A root key that the operator names in the settings is one after every start."""

    async def test_it_is_restored_whatever_became_of_it(self, house: House, acme: Client) -> None:
        who = operator(await workspace_id(house))
        text = "lw_root_" + "x" * 40
        root_keys = house.platform.services.root_keys
        assert await root_keys.ensure(who, text) is True
        client = Client(house.http, text)
        key_id = next(
            key["keyId"] for key in await client.data("rootKeys.listKeys", {}) if key["name"] == "bootstrap"
        )
        assert await root_keys.ensure(who, text) is False
        for harm in ({"enabled": False}, {"permissions": ["api.*.read_api"]}):
            await acme.data("rootKeys.updateKey", {"keyId": key_id} | harm)
            assert await root_keys.ensure(who, text) is False
            await client.data("apis.createApi", {"name": "abc"})
        await acme.data("rootKeys.deleteKey", {"keyId": key_id})
        await client.error("apis.listApis", {}, 401)
        assert await root_keys.ensure(who, text) is False
        await client.data("apis.createApi", {"name": "abc"})

    async def test_the_text_of_another_key_makes_none(self, house: House, acme: Client, api_id: str) -> None:
        made = await acme.data("keys.createKey", {"apiId": api_id})
        who = operator(await workspace_id(house))
        assert await house.platform.services.root_keys.ensure(who, made["key"]) is False
        await Client(house.http, made["key"]).error("apis.listApis", {}, 401)


class TestUrns:
    """Permissions in the URN form, at every door."""

    async def test_a_urn_opens_what_it_says_and_no_other_workspace(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        ws = await workspace_id(house)
        api = await acme.data("apis.getApi", {"apiId": api_id})
        made = await acme.data("keys.createKey", {"apiId": api_id})
        other = await acme.data("apis.createApi", {"name": "other"})
        urn = f"unkey:v1:{ws}:keyspaces/{api['keyspaceId']}/keys/*#"
        reader = await house.root_key(ws, f"{urn}read", f"{urn}verify_key")
        await reader.data("keys.getKey", {"keyId": made["keyId"]})
        await reader.error("keys.updateKey", {"keyId": made["keyId"], "name": "x"}, 403)
        elsewhere = await acme.data("keys.createKey", {"apiId": other["apiId"]})
        await reader.error("keys.getKey", {"keyId": elsewhere["keyId"]}, 403)
        for key, code in ((made, "VALID"), (elsewhere, "NOT_FOUND")):
            verdicts = [(await reader.data("keys.verifyKey", {"key": key["key"]}))["code"] for _ in "12"]
            assert verdicts == [code, code]  # the second one is answered from memory
        stranger = await house.tenant("stranger")
        error = await stranger.error("rootKeys.createKey", {"permissions": [f"{urn}read"]}, 403)
        assert "only grant what it holds itself" in error["detail"]

    async def test_a_urn_may_name_a_single_key(self, house: House, acme: Client, api_id: str) -> None:
        ws = await workspace_id(house)
        one, two = [(await acme.data("keys.createKey", {"apiId": api_id}))["keyId"] for _ in "12"]
        narrow = await house.root_key(ws, f"unkey:v1:{ws}:keyspaces/*/keys/{one}#write")
        await narrow.data("keys.updateKey", {"keyId": one, "name": "mine"})
        await narrow.error("keys.updateKey", {"keyId": two, "name": "mine"}, 403)
        await narrow.error("keys.createKey", {"apiId": api_id}, 404)
        both = await house.root_key(
            ws,
            f"unkey:v1:{ws}:keyspaces/*/keys/{one}#update_key",
            f"unkey:v1:{ws}:rbac/permissions/*#write",
        )
        await both.data("keys.addPermissions", {"keyId": one, "permissions": ["a"]})
        await both.error("keys.addPermissions", {"keyId": two, "permissions": ["a"]}, 403)

    async def test_a_urn_may_name_a_single_override(self, house: House, acme: Client) -> None:
        ws = await workspace_id(house)
        await acme.data(
            "ratelimit.limit", {"namespace": "n", "identifier": "i", "limit": 9, "duration": 1000}
        )
        one, two = [
            {"namespace": "n", "identifier": each, "limit": 1, "duration": 1000} for each in ("one", "two")
        ]
        made = (await acme.data("ratelimit.setOverride", one))["overrideId"]
        await acme.data("ratelimit.setOverride", two)
        narrow = await house.root_key(
            ws, f"unkey:v1:{ws}:ratelimits/namespaces/*/overrides/{made}#read_override"
        )
        await narrow.data("ratelimit.getOverride", {"namespace": "n", "identifier": "one"})
        await narrow.error("ratelimit.getOverride", {"namespace": "n", "identifier": "two"}, 404)

    async def test_a_urn_may_let_verify_a_single_key(self, house: House, acme: Client, api_id: str) -> None:
        ws = await workspace_id(house)
        one, two = [await acme.data("keys.createKey", {"apiId": api_id}) for _ in "12"]
        for space in ("*", (await acme.data("apis.getApi", {"apiId": api_id}))["keyspaceId"]):
            urn = f"unkey:v1:{ws}:keyspaces/{space}/keys/{one['keyId']}#verify_key"
            narrow = await house.root_key(ws, urn)
            for made, code in ((one, "VALID"), (two, "NOT_FOUND")):
                assert (await narrow.data("keys.verifyKey", {"key": made["key"]}))["code"] == code

    async def test_limits_are_opened_by_urn_at_both_doors(self, house: House, acme: Client) -> None:
        ws = await workspace_id(house)
        asked = {"namespace": "n", "identifier": "i", "limit": 9, "duration": 1000}
        await acme.data("ratelimit.limit", asked)
        user = await house.root_key(ws, f"unkey:v1:{ws}:ratelimits/namespaces/*#limit")
        assert [(await user.data("ratelimit.limit", asked))["remaining"] for _ in "12"] == [7, 6]
        await user.error("ratelimit.limit", asked | {"namespace": "new"}, 403)

    async def test_root_keys_are_managed_by_urn(self, house: House, acme: Client) -> None:
        ws = await workspace_id(house)
        reads, writes, deletes = (f"unkey:v1:{ws}:rootKeys/*#{each}" for each in ("read", "write", "delete"))
        admin = await house.root_key(ws, reads, writes, deletes, "api.*.read_api")
        key_id, _ = await create(admin, "api.*.read_api")
        await admin.data("rootKeys.updateKey", {"keyId": key_id, "name": "x"})
        await admin.data("rootKeys.rerollKey", {"keyId": key_id, "expiration": 0})
        await admin.data("rootKeys.deleteKey", {"keyId": key_id})
        await (await house.root_key(ws, reads)).error("rootKeys.createKey", {"permissions": []}, 403)
        writer = await house.root_key(ws, writes)
        await writer.error("rootKeys.listKeys", {}, 403)
        await writer.error("rootKeys.deleteKey", {"keyId": key_id}, 403)
