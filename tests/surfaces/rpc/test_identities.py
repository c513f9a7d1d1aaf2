"""Identities through the outermost door: every answerable status, and what their keys notice."""

import asyncio
from functools import partial
from typing import Any

import pytest

from latchwork.domains.audit.tables import audit_log
from latchwork.domains.identities import store
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_permissions import key_with, verdict, walked

LIMIT = {"name": "requests", "limit": 2, "duration": 60_000, "autoApply": True}


async def identity(acme: Client, external_id: str, **more: Any) -> str:
    made = await acme.data("identities.createIdentity", {"externalId": external_id} | more)
    return str(made["identityId"])


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def events(house: House) -> list[str]:
    rows = await house.platform.db.read(
        lambda connection: connection.execute(audit_log.select().order_by(audit_log.c.seq)).all(),
        ALL_WORKSPACES,
    )
    return [row.event for row in rows if row.event.partition(".")[0] in ("identity", "ratelimit")]


class TestUpdating:
    async def test_what_is_given_changes_and_what_is_true_is_answered(self, acme: Client) -> None:
        made = await identity(acme, "user_1", meta={"a": 1}, ratelimits=[LIMIT])
        (rule,) = (await acme.data("identities.getIdentity", {"identity": made}))["ratelimits"]

        async def change(**more: Any) -> dict[str, Any]:
            changed: dict[str, Any] = await acme.data(
                "identities.updateIdentity", {"identity": "user_1"} | more
            )
            assert changed == await acme.data("identities.getIdentity", {"identity": made})
            return changed

        stored = {"id": made, "externalId": "user_1", "meta": {"a": 1}, "ratelimits": [rule]}
        assert await change() == stored
        assert await change(meta={"b": [2, None]}) == stored | {"meta": {"b": [2, None]}}
        other = LIMIT | {"name": "tokens", "limit": 9}
        first, second = (await change(ratelimits=[LIMIT | {"limit": 5}, other]))["ratelimits"]
        assert first == rule | {"limit": 5}
        assert (second["name"], second["limit"]) == ("tokens", 9)
        (left,) = (await change(ratelimits=[other]))["ratelimits"]
        assert left["id"] == second["id"]
        assert await change(meta={}, ratelimits=[]) == {"id": made, "externalId": "user_1"}

    async def test_a_name_twice_is_refused_and_changes_nothing(self, acme: Client) -> None:
        made = await identity(acme, "user_1")
        body = {"identity": made, "meta": {"a": 1}, "ratelimits": [LIMIT, LIMIT]}
        error = await acme.error("identities.updateIdentity", body, 400)
        assert error["type"].endswith("unkey/application/invalid_input") and error["errors"] == []
        assert "requests" in error["detail"] and "ratelimits" in error["detail"]
        assert "meta" not in await acme.data("identities.getIdentity", {"identity": made})

    @pytest.mark.parametrize(
        ("body", "where"),
        [
            ({"meta": None}, "/properties/meta/type"),
            ({"ratelimits": None}, "/properties/ratelimits/type"),
            ({"ratelimits": [{"name": "ab"}]}, "/properties/ratelimits/items/required"),
            ({"more": 1}, "/additionalProperties"),
            ({"identity": ""}, "/properties/identity/minLength"),
        ],
    )
    async def test_what_is_wrong_is_named(self, acme: Client, body: dict[str, Any], where: str) -> None:
        error = await acme.error("identities.updateIdentity", {"identity": "user_1"} | body, 400)
        assert where in [violation["location"] for violation in error["errors"]]

    async def test_metadata_may_have_a_mebibyte(self, acme: Client) -> None:
        made = await identity(acme, "user_1")
        largest = {"a": "x" * ((1 << 20) - len('{"a":""}'))}
        changed = await acme.data("identities.updateIdentity", {"identity": made, "meta": largest})
        assert changed["meta"] == largest
        error = await acme.error(
            "identities.updateIdentity", {"identity": made, "meta": {"b": largest["a"] + "x"}}, 400
        )
        assert error["detail"].startswith("Metadata is too large")
        assert await identity(acme, "user_2", meta=largest)

    async def test_changes_at_once_all_come_to_pass(self, acme: Client) -> None:
        made = await identity(acme, "user_1")
        answers = await asyncio.gather(
            *(
                acme.data(
                    "identities.updateIdentity", {"identity": made, "ratelimits": [LIMIT], "meta": {"n": n}}
                )
                for n in range(5)
            )
        )
        assert len({answer["ratelimits"][0]["id"] for answer in answers}) == 1
        assert sorted(answer["meta"]["n"] for answer in answers) == [0, 1, 2, 3, 4]


class TestDeleting:
    async def test_only_meta_is_answered_and_the_external_id_is_free(self, acme: Client) -> None:
        made = await identity(acme, "user_1", meta={"a": 1}, ratelimits=[LIMIT])
        answer = await acme.post("identities.deleteIdentity", {"identity": "user_1"})
        assert answer.status_code == 200 and list(answer.json()) == ["meta"]
        for procedure in ("getIdentity", "updateIdentity", "deleteIdentity"):
            for name in (made, "user_1"):
                error = await acme.error(f"identities.{procedure}", {"identity": name}, 404)
                assert error["detail"] == "This identity does not exist."
        assert await acme.data("identities.listIdentities", {}) == []
        again = await identity(acme, "user_1")
        assert again != made
        assert await acme.data("identities.getIdentity", {"identity": "user_1"}) == {
            "id": again,
            "externalId": "user_1",
        }
        await acme.post("identities.deleteIdentity", {"identity": again})
        await identity(acme, "user_1")

    async def test_of_two_who_delete_the_same_one_is_told_so(self, acme: Client) -> None:
        await identity(acme, "user_1")
        answers = await asyncio.gather(
            *(acme.post("identities.deleteIdentity", {"identity": "user_1"}) for _ in range(3))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 404, 404]

    async def test_every_error_is_a_problem_document(self, house: House, acme: Client) -> None:
        broke = await house.tenant("broke", quota=0)
        accept = {"accept": "application/json"}
        for client, body, status in (
            (acme, {"identity": "nobody"}, 404),
            (acme, {"identity": "", "more": 1}, 400),
            (Client(house.http, "unknown"), {"identity": "a"}, 401),
            (await limited(house, "identity.*.read_identity"), {"identity": "a"}, 403),
            (broke, {"identity": "a"}, 429),
        ):
            answer = await client.post("identities.deleteIdentity", body, **accept)
            assert (answer.status_code, answer.headers["content-type"]) == (
                status,
                "application/problem+json",
            )


class TestListing:
    async def test_pages_are_walked_by_cursor(self, acme: Client) -> None:
        made = [await identity(acme, f"user_{n}", meta={"n": n}) for n in range(5)]
        assert await walked(acme, "identities.listIdentities", {"limit": 2}) == made
        assert await walked(acme, "identities.listIdentities", {"limit": 5, "search": "user"}) == made
        first = (await acme.data("identities.listIdentities", {"limit": 1}))[0]
        assert first == {"id": made[0], "externalId": "user_0", "meta": {"n": 0}}
        for body in ({"limit": 0}, {"limit": 101}, {"search": "x" * 257}):
            await acme.error("identities.listIdentities", body, 400)

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("USER", ["User.1", "user_2"]),
            ("  r_2 ", ["user_2"]),
            (" ", ["User.1", "user_2", "team-a", '"q\' 50%"']),
            ("_", ["User.1", "user_2", "team-a", '"q\' 50%"']),
            ("r.", ["User.1"]),
            ("0%", ['"q\' 50%"']),
            ("%q", []),
            ("\"q'", ['"q\' 50%"']),
            ("user team", []),
            ("ser.1id", []),
        ],
    )
    async def test_a_search_is_a_substring(
        self, house: House, acme: Client, search: str, found: list[str]
    ) -> None:
        workspace = (await house.platform.workspaces.all())[0]
        for external_id in ("User.1", "user_2", "team-a", '"q\' 50%"'):  # keys from elsewhere have any
            ensure = partial(
                store.ensure, workspace_id=workspace.id, external_id=external_id, now_ms=START_MS
            )
            await house.platform.db.write(ensure, ALL_WORKSPACES)
        listed = await acme.data("identities.listIdentities", {"search": search})
        assert [one["externalId"] for one in listed] == found

    async def test_ids_are_searched_too(self, acme: Client) -> None:
        made = await identity(acme, "user_1")
        await identity(acme, "user_2")
        for search in (made, made[3:12].upper(), made[-5:]):
            listed = await acme.data("identities.listIdentities", {"search": search})
            assert made in [one["id"] for one in listed]

    async def test_every_identity_of_the_page_must_be_readable(self, house: House, acme: Client) -> None:
        first, second = await identity(acme, "user_1"), await identity(acme, "user_2")
        one = await limited(house, f"identity.{first}.read_identity")
        assert len(await one.data("identities.listIdentities", {"search": "user_1"})) == 1
        assert len(await one.data("identities.listIdentities", {"limit": 1})) == 1
        error = await one.error("identities.listIdentities", {}, 403)
        expected = f"identity.*.read_identity or identity.{second}.read_identity"
        assert error["detail"] == f"Missing one of these permissions: {expected}"
        assert await one.data("identities.listIdentities", {"search": "nobody"}) == []
        every = await limited(house, "identity.*.read_identity")
        assert len(await every.data("identities.listIdentities", {})) == 2

    async def test_another_workspace_sees_and_changes_nothing(self, house: House, acme: Client) -> None:
        made = await identity(acme, "user_1")
        other = await house.tenant("other")
        assert await other.data("identities.listIdentities", {"search": "user"}) == []
        for procedure in ("getIdentity", "updateIdentity", "deleteIdentity"):
            foreign = await other.error(f"identities.{procedure}", {"identity": made}, 404)
            assert foreign == await other.error(f"identities.{procedure}", {"identity": "unknown"}, 404)
        await identity(other, "user_1")


async def test_permission_comes_before_existence(house: House, acme: Client) -> None:
    nobody = await limited(house, "identity.*.read_identity")
    for verb in ("update", "delete"):
        error = await nobody.error(f"identities.{verb}Identity", {"identity": "nobody"}, 403)
        assert error["detail"] == f"Missing permission: 'identity.*.{verb}_identity'"


class TestKeysNotice:
    async def test_other_metadata_and_limits(self, acme: Client, api_id: str) -> None:
        made = await identity(acme, "user_1", ratelimits=[LIMIT])
        keys = [await key_with(acme, api_id, externalId="user_1") for _ in range(2)]
        assert (await verdict(acme, keys[0]["key"]))["code"] == "RATE_LIMITED"
        await acme.data(
            "identities.updateIdentity",
            {"identity": made, "meta": {"plan": "pro"}, "ratelimits": [LIMIT | {"limit": 3}]},
        )
        for key, code in zip([*keys], ["VALID", "RATE_LIMITED"], strict=True):
            found = await verdict(acme, key["key"])
            assert found["code"] == code
            assert found["identity"]["meta"] == {"plan": "pro"}
        await acme.data("identities.updateIdentity", {"identity": made, "ratelimits": []})
        found = await verdict(acme, keys[1]["key"])
        assert found["code"] == "VALID" and "ratelimits" not in found

    async def test_that_it_is_deleted(self, acme: Client, api_id: str) -> None:
        made = await identity(acme, "user_1", ratelimits=[LIMIT | {"limit": 1}])
        key = await key_with(acme, api_id, externalId="user_1")
        assert (await verdict(acme, key["key"]))["code"] == "RATE_LIMITED"
        await acme.post("identities.deleteIdentity", {"identity": made})
        for _ in range(2):
            found = await verdict(acme, key["key"])
            assert found["code"] == "VALID" and "identity" not in found
        assert "identity" not in await acme.data("keys.getKey", {"keyId": key["keyId"]})
        again = await identity(acme, "user_1")
        assert "identity" not in await verdict(acme, key["key"])
        await acme.data("keys.updateKey", {"keyId": key["keyId"], "externalId": "user_1"})
        assert (await verdict(acme, key["key"]))["identity"] == {"id": again, "externalId": "user_1"}


async def test_every_change_is_recorded_under_its_name(house: House, acme: Client) -> None:
    await identity(acme, "user_1", ratelimits=[LIMIT])
    body = {"identity": "user_1", "ratelimits": [LIMIT, LIMIT | {"name": "tokens"}]}
    await acme.data("identities.updateIdentity", body)
    await acme.data("identities.updateIdentity", body | {"ratelimits": [LIMIT]})
    await acme.post("identities.deleteIdentity", {"identity": "user_1"})
    assert await events(house) == [
        "identity.create",
        "ratelimit.create",
        "identity.update",
        "ratelimit.create",
        "ratelimit.update",
        "identity.update",
        "ratelimit.update",
        "ratelimit.delete",
        "identity.delete",
        "ratelimit.delete",
    ]


async def test_a_urn_lets_one_identity_be_changed_and_no_other(house: House, acme: Client) -> None:
    workspace = (await house.platform.workspaces.all())[0].id
    mine, other = await identity(acme, "user_1"), await identity(acme, "user_2")
    caller = await house.root_key(
        workspace,
        *(
            f"unkey:v1:{workspace}:projects/*/identities/{mine}#{action}"
            for action in ("read", "write", "delete")
        ),
    )
    await caller.data("identities.getIdentity", {"identity": "user_1"})
    await caller.data("identities.updateIdentity", {"identity": "user_1", "meta": {"a": 1}})
    for name in (other, "user_2", "unknown"):
        for verb in ("update", "delete"):
            error = await caller.error(f"identities.{verb}Identity", {"identity": name}, 403)
            assert error["detail"] == f"Missing permission: 'identity.*.{verb}_identity'"
    assert (await caller.post("identities.deleteIdentity", {"identity": mine})).status_code == 200
