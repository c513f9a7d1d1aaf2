"""Permissions and roles of keys through the outermost door: every answerable status, and what keys notice."""

import asyncio
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_permissions import events, key_with, permission, role, verdict

GIVE, TAKE = "rbac.*.add_permission_to_key", "rbac.*.remove_permission_from_key"
UPDATE = "api.*.update_key"


async def change(acme: Client, verb: str, made: dict[str, str], *names: str) -> list[str]:
    """What the key holds after `keys.<verb>`: slugs or names."""
    kind = verb.removeprefix("add").removeprefix("set").removeprefix("remove").lower()
    held = await acme.data(f"keys.{verb}", {"keyId": made["keyId"], kind: list(names)})
    return [one["slug" if kind == "permissions" else "name"] for one in held]


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


class TestPermissionsOfAKey:
    async def test_permissions_are_given_once_and_hold_at_once(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "through")
        made = await key_with(acme, api_id, permissions=["b"], roles=["r"])
        assert await change(acme, "addPermissions", made, "c", "a", "A", "b") == ["a", "b", "c"]
        assert (await verdict(acme, made["key"], permissions="a AND c"))["code"] == "VALID"
        assert await change(acme, "addPermissions", made, "A") == ["a", "b", "c"]

    async def test_permissions_are_answered_whole(self, acme: Client, api_id: str) -> None:
        known = await permission(acme, "a", description="d")
        made = await key_with(acme, api_id)
        body = {"keyId": made["keyId"], "permissions": ["a", "b"]}
        first, second = await acme.data("keys.addPermissions", body)
        assert first == {"id": known, "slug": "a", "name": "A", "description": "d"}
        assert second == {"id": second["id"], "slug": "b", "name": "b"}

    async def test_an_id_counts_as_a_slug(self, acme: Client, api_id: str) -> None:
        known = await permission(acme, "a")
        made = await key_with(acme, api_id)
        assert await change(acme, "addPermissions", made, known) == [known]

    async def test_permissions_are_replaced_and_roles_stay(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "through")
        made = await key_with(acme, api_id, permissions=["a", "b"], roles=["r"])
        assert await change(acme, "setPermissions", made, "b", "c") == ["b", "c"]
        assert (await verdict(acme, made["key"]))["permissions"] == ["b", "c", "through"]
        assert await change(acme, "setPermissions", made) == []
        assert (await verdict(acme, made["key"]))["permissions"] == ["through"]
        many = [f"p{n:04d}" for n in range(2000)]
        assert await change(acme, "setPermissions", made, *many) == many

    async def test_permissions_are_taken_where_they_are_held(self, acme: Client, api_id: str) -> None:
        await permission(acme, "unassigned")
        made = await key_with(acme, api_id, permissions=["a", "b"])
        assert await change(acme, "removePermissions", made, "A", "unassigned") == ["b"]
        known = await permission(acme, "c")
        assert await change(acme, "addPermissions", made, "c") == ["b", "c"]
        assert await change(acme, "removePermissions", made, known) == ["b"]
        assert (await verdict(acme, made["key"], permissions="a"))["valid"] is False
        error = await acme.error(
            "keys.removePermissions", {"keyId": made["keyId"], "permissions": ["b", "unknown"]}, 404
        )
        assert error["type"].endswith("permission_not_found") and "unknown" in error["detail"]
        assert (await verdict(acme, made["key"], permissions="b"))["valid"] is True


class TestRolesOfAKey:
    async def test_roles_are_given_once_and_hold_at_once(self, acme: Client, api_id: str) -> None:
        await role(acme, "editor", "write", "read", description="d")
        await role(acme, "viewer", "read")
        made = await key_with(acme, api_id)
        assert await change(acme, "addRoles", made, "viewer") == ["viewer"]
        body = {"keyId": made["keyId"], "roles": ["Editor", "viewer"]}
        editor, viewer = await acme.data("keys.addRoles", body)
        assert [held["slug"] for held in editor["permissions"]] == ["read", "write"]
        assert (editor["name"], editor["description"], viewer["name"]) == ("editor", "d", "viewer")
        found = await verdict(acme, made["key"], permissions="write")
        assert (found["code"], found["roles"]) == ("VALID", ["editor", "viewer"])

    async def test_roles_are_replaced_and_direct_permissions_stay(self, acme: Client, api_id: str) -> None:
        for name in ("a", "b", "c"):
            await role(acme, name, f"of_{name}")
        made = await key_with(acme, api_id, roles=["a", "b"], permissions=["own"])
        assert await change(acme, "setRoles", made, "b", "c") == ["b", "c"]
        assert (await verdict(acme, made["key"]))["permissions"] == ["of_b", "of_c", "own"]
        assert await change(acme, "setRoles", made) == []
        assert (await verdict(acme, made["key"]))["permissions"] == ["own"]

    async def test_roles_are_taken_where_they_are_held(self, acme: Client, api_id: str) -> None:
        for name in ("a", "b", "unassigned"):
            await role(acme, name, f"of_{name}")
        made = await key_with(acme, api_id, roles=["a", "b"])
        assert await change(acme, "removeRoles", made, "A", "unassigned") == ["b"]
        assert (await verdict(acme, made["key"]))["roles"] == ["b"]

    @pytest.mark.parametrize("verb", ["addRoles", "setRoles", "removeRoles"])
    async def test_an_unknown_role_changes_nothing(self, acme: Client, api_id: str, verb: str) -> None:
        known = await role(acme, "a", "x")
        await role(acme, "b")
        made = await key_with(acme, api_id, roles=["a"])
        for names in (["b", "nobody"], ["b", known]):
            error = await acme.error(f"keys.{verb}", {"keyId": made["keyId"], "roles": names}, 404)
            assert error["type"].endswith("role_not_found") and names[1] in error["detail"]
        assert (await verdict(acme, made["key"]))["roles"] == ["a"]


class TestWhoMay:
    @pytest.mark.parametrize(
        ("verb", "kind", "needs"),
        [
            ("addPermissions", "permissions", [GIVE]),
            ("setPermissions", "permissions", [GIVE, TAKE]),
            ("removePermissions", "permissions", [TAKE]),
            ("addRoles", "roles", ["rbac.*.add_role_to_key"]),
            ("setRoles", "roles", []),
            ("removeRoles", "roles", []),
        ],
    )
    async def test_the_key_is_looked_for_first_and_every_right_is_needed(
        self, house: House, acme: Client, api_id: str, verb: str, kind: str, needs: list[str]
    ) -> None:
        await permission(acme, "a")
        await role(acme, "a")
        made = await key_with(acme, api_id)
        body = {"keyId": made["keyId"], kind: ["a"]}
        nobody = await limited(house, "api.*.read_key")
        error = await nobody.error(f"keys.{verb}", body | {"keyId": "key_unknown1"}, 404)
        assert error["type"].endswith("unkey/data/key_not_found")
        other = await house.tenant("other")
        assert error == await other.error(f"keys.{verb}", body, 404)
        error = await nobody.error(f"keys.{verb}", body, 403)
        assert error["detail"].startswith("Missing one of these permissions: api.*.update_key or api.")
        for lacking in needs:
            some = await limited(house, UPDATE, *(right for right in needs if right != lacking))
            error = await some.error(f"keys.{verb}", body, 403)
            assert error["detail"] == f"Missing permission: '{lacking}'"
        enough = await limited(house, f"api.{api_id}.update_key", *needs)
        await enough.data(f"keys.{verb}", body)

    @pytest.mark.parametrize("verb", ["addPermissions", "setPermissions"])
    async def test_new_permissions_need_a_right_of_their_own(
        self, house: House, acme: Client, api_id: str, verb: str
    ) -> None:
        await permission(acme, "known")
        made = await key_with(acme, api_id, permissions=["held"])
        caller = await limited(house, UPDATE, GIVE, TAKE)
        body = {"keyId": made["keyId"], "permissions": ["known", "new"]}
        error = await caller.error(f"keys.{verb}", body, 403)
        assert error["detail"] == "Missing permission: 'rbac.*.create_permission'"
        assert (await verdict(acme, made["key"]))["permissions"] == ["held"]
        await acme.error("permissions.getPermission", {"permission": "new"}, 404)

    @pytest.mark.parametrize(
        ("verb", "body", "where"),
        [
            ("addPermissions", {"permissions": []}, "/properties/permissions/minItems"),
            ("addPermissions", {"permissions": ["a"] * 1001}, "/properties/permissions/maxItems"),
            ("removePermissions", {"permissions": []}, "/properties/permissions/minItems"),
            ("setPermissions", {"permissions": ["a b"]}, "/properties/permissions/items/pattern"),
            ("setPermissions", {}, "/required"),
            ("addRoles", {"roles": []}, "/properties/roles/minItems"),
            ("addRoles", {"roles": ["a"] * 101}, "/properties/roles/maxItems"),
            ("setRoles", {"roles": ["a"] * 101}, "/properties/roles/maxItems"),
            ("removeRoles", {"roles": [""]}, "/properties/roles/items/minLength"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, acme: Client, verb: str, body: dict[str, Any], where: str
    ) -> None:
        error = await acme.error(f"keys.{verb}", {"keyId": "key_unknown1"} | body, 400)
        assert [violation["location"] for violation in error["errors"]] == [where]


async def test_changes_at_once_all_come_to_pass(acme: Client, api_id: str) -> None:
    for n in range(8):
        await role(acme, f"r{n}", f"of_r{n}")
    made = await key_with(acme, api_id)
    await asyncio.gather(
        *(change(acme, "addPermissions", made, "shared", f"own{n}") for n in range(8)),
        *(change(acme, "addRoles", made, f"r{n}") for n in range(8)),
    )
    found = await verdict(acme, made["key"])
    assert len(found["roles"]) == 8
    assert len(found["permissions"]) == 8 + 8 + 1


async def test_every_change_is_recorded_under_its_name(house: House, acme: Client, api_id: str) -> None:
    await role(acme, "r")
    made = await key_with(acme, api_id)
    before = len(await events(house))
    for _ in range(2):
        await change(acme, "addPermissions", made, "a")
        await change(acme, "addRoles", made, "r")
    await change(acme, "setPermissions", made, "b")
    for _ in range(2):
        await change(acme, "removePermissions", made, "b")
        await change(acme, "removeRoles", made, "r")
    assert (await events(house))[before:] == [
        "permission.create",
        "authorization.connect_permission_and_key",
        "authorization.connect_role_and_key",
        "permission.create",
        "authorization.connect_permission_and_key",
        "authorization.disconnect_permission_and_key",
        "authorization.disconnect_permission_and_key",
        "authorization.disconnect_role_and_key",
    ]


async def test_a_urn_lets_one_key_be_changed_and_no_other(house: House, acme: Client, api_id: str) -> None:
    await role(acme, "r")
    mine, other = await key_with(acme, api_id), await key_with(acme, api_id)
    workspace = (await house.platform.workspaces.all())[0].id
    caller = await house.root_key(
        workspace, f"unkey:v1:{workspace}:keyspaces/*/keys/{mine['keyId']}#update_key"
    )
    assert await change(caller, "setRoles", mine, "r") == ["r"]
    await caller.error("keys.setRoles", {"keyId": other["keyId"], "roles": []}, 403)
