"""Permissions and roles through the outermost door: every answerable status, and what keys notice."""

import asyncio
from typing import Any

import pytest

from latchwork.domains.audit.tables import audit_log
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import Client, House


async def permission(acme: Client, slug: str, **more: Any) -> str:
    made = await acme.data("permissions.createPermission", {"slug": slug, "name": slug.title()} | more)
    return str(made["permissionId"])


async def role(acme: Client, name: str, *slugs: str, **more: Any) -> str:
    body = {"name": name, "permissions": list(slugs)} | more
    return str((await acme.data("permissions.createRole", body))["roleId"])


async def limited(house: House, *actions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *(f"rbac.*.{action}" for action in actions))


async def verdict(acme: Client, key: str, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = await acme.data("keys.verifyKey", {"key": key} | asked)
    return found


async def key_with(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    """A key that is in memory already."""
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    await verdict(acme, made["key"])
    return made


async def events(house: House) -> list[str]:
    rows = await house.platform.db.read(
        lambda connection: connection.execute(audit_log.select().order_by(audit_log.c.seq)).all(),
        ALL_WORKSPACES,
    )
    return [
        row.event for row in rows if row.event.partition(".")[0] in ("permission", "role", "authorization")
    ]


class TestPermissions:
    async def test_a_permission_is_found_by_its_id_and_by_its_slug(self, acme: Client) -> None:
        made = await permission(acme, "documents.read", description="May read.")
        expected = {
            "id": made,
            "slug": "documents.read",
            "name": "Documents.Read",
            "description": "May read.",
        }
        for name in (made, "documents.read", "Documents.READ"):
            assert await acme.data("permissions.getPermission", {"permission": name}) == expected
        error = await acme.error("permissions.getPermission", {"permission": "documents.write"}, 404)
        assert error["type"].endswith("unkey/data/permission_not_found")

    async def test_an_empty_description_is_none(self, acme: Client) -> None:
        made = await permission(acme, "a", description="")
        assert "description" not in await acme.data("permissions.getPermission", {"permission": made})

    async def test_a_slug_is_taken_whatever_its_case(self, acme: Client) -> None:
        await permission(acme, "documents.read")
        for slug in ("documents.read", "Documents.Read"):
            error = await acme.error("permissions.createPermission", {"slug": slug, "name": "n"}, 409)
            assert error["type"].endswith("unkey/data/permission_already_exists")

    @pytest.mark.parametrize(
        ("body", "where"),
        [
            ({"name": "", "slug": "a"}, "/properties/name/minLength"),
            ({"name": "x" * 513, "slug": "a"}, "/properties/name/maxLength"),
            ({"name": "n", "slug": "x" * 129}, "/properties/slug/maxLength"),
            ({"name": "n", "slug": "a b"}, "/properties/slug/pattern"),
            ({"name": "n", "slug": "a", "description": "x" * 513}, "/properties/description/maxLength"),
            ({"name": "n"}, "/required"),
            ({"name": "n", "slug": "a", "more": 1}, "/additionalProperties"),
        ],
    )
    async def test_what_is_wrong_is_named(self, acme: Client, body: dict[str, str], where: str) -> None:
        error = await acme.error("permissions.createPermission", body, 400)
        assert [violation["location"] for violation in error["errors"]] == [where]

    async def test_a_permission_changes_in_what_is_given(self, acme: Client) -> None:
        made = await permission(acme, "a", description="d")

        async def change(**more: Any) -> dict[str, Any]:
            changed: dict[str, Any] = await acme.data(
                "permissions.updatePermission", {"permission": made} | more
            )
            return changed

        stored = {"id": made, "slug": "a", "name": "A", "description": "d"}
        assert await change() == stored
        assert await change(name="B") == stored | {"name": "B"}
        assert await change(slug="A", description=None) == {"id": made, "slug": "A", "name": "B"}
        assert await change(description="e") == {"id": made, "slug": "A", "name": "B", "description": "e"}
        assert await change(description="") == {"id": made, "slug": "A", "name": "B"}
        by_slug = await acme.data("permissions.updatePermission", {"permission": "a", "slug": "c"})
        assert by_slug == {"id": made, "slug": "c", "name": "B"}

    async def test_a_change_may_not_take_another_slug(self, acme: Client) -> None:
        await permission(acme, "a")
        await permission(acme, "b")
        error = await acme.error("permissions.updatePermission", {"permission": "b", "slug": "A"}, 409)
        assert error["type"].endswith("permission_already_exists")
        await acme.error("permissions.updatePermission", {"permission": "c", "slug": "d"}, 404)

    async def test_a_deleted_permission_is_gone_and_its_slug_free(self, acme: Client) -> None:
        made = await permission(acme, "a")
        await role(acme, "r", "a", "b")
        assert await acme.data("permissions.deletePermission", {"permission": "a"}) == {}
        for name in (made, "a"):
            await acme.error("permissions.deletePermission", {"permission": name}, 404)
            await acme.error("permissions.getPermission", {"permission": name}, 404)
        found = await acme.data("permissions.getRole", {"role": "r"})
        assert [held["slug"] for held in found["permissions"]] == ["b"]
        assert await permission(acme, "a") != made

    async def test_one_of_two_who_create_the_same_is_told_so(self, acme: Client) -> None:
        answers = await asyncio.gather(
            *(
                acme.post("permissions.createPermission", {"slug": slug, "name": "n"})
                for slug in ("a.b", "A.b", "a.B", "A.B")
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


class TestRoles:
    async def test_a_role_is_found_by_its_id_and_by_its_name(self, acme: Client) -> None:
        made = await role(acme, "Éditeur", "b", "a", "B", description="May edit.")
        found = await acme.data("permissions.getRole", {"role": made})
        assert [held["slug"] for held in found.pop("permissions")] == ["a", "b"]
        assert found == {"id": made, "name": "Éditeur", "description": "May edit."}
        assert (await acme.data("permissions.getRole", {"role": "ÉDITEUR"}))["id"] == made
        error = await acme.error("permissions.getRole", {"role": "nobody"}, 404)
        assert error["type"].endswith("unkey/data/role_not_found")

    async def test_a_role_may_be_empty(self, acme: Client) -> None:
        made = await role(acme, "r", description="")
        assert await acme.data("permissions.getRole", {"role": made}) == {"id": made, "name": "r"}

    async def test_a_name_is_taken_whatever_its_case(self, acme: Client) -> None:
        await role(acme, "Éditeur")
        error = await acme.error("permissions.createRole", {"name": "éditeur", "permissions": ["new"]}, 409)
        assert error["type"].endswith("unkey/data/role_already_exists")
        await acme.error("permissions.getPermission", {"permission": "new"}, 404)

    async def test_a_role_changes_in_what_is_given(self, acme: Client) -> None:
        made = await role(acme, "r", "a", description="d")
        await role(acme, "s")

        async def change(**more: Any) -> dict[str, Any]:
            changed: dict[str, Any] = await acme.data("permissions.updateRole", {"role": made} | more)
            return changed

        assert await change() == {"id": made, "name": "r", "description": "d"}
        assert await change(name="R") == {"id": made, "name": "R", "description": "d"}
        assert await change(description=None) == {"id": made, "name": "R"}
        error = await acme.error("permissions.updateRole", {"role": made, "name": "S"}, 409)
        assert error["type"].endswith("role_already_exists")
        await acme.error("permissions.updateRole", {"role": "nobody", "name": "x"}, 404)
        assert len((await acme.data("permissions.getRole", {"role": "r"}))["permissions"]) == 1

    async def test_a_deleted_role_is_gone_and_its_permissions_stay(self, acme: Client) -> None:
        made = await role(acme, "r", "a")
        assert await acme.data("permissions.deleteRole", {"role": "R"}) == {}
        await acme.error("permissions.deleteRole", {"role": made}, 404)
        await acme.data("permissions.getPermission", {"permission": "a"})
        assert await role(acme, "r") != made

    async def test_the_permissions_of_a_role_are_replaced(self, acme: Client) -> None:
        made = await role(acme, "r", "a", "b")

        async def become(*slugs: str) -> list[str]:
            body = {"roleId": made, "permissions": slugs}
            return [held["slug"] for held in await acme.data("permissions.setRolePermissions", body)]

        assert await become("c", "b", "C") == ["b", "c"]
        assert await become("b", "C") == ["b", "c"]
        assert await become() == []
        assert await acme.data("permissions.getRole", {"role": made}) == {"id": made, "name": "r"}

    async def test_a_role_whose_permissions_are_set_is_named_once(self, acme: Client) -> None:
        made = await role(acme, "r")
        for which in ({"role": "R"}, {"role": made}, {"roleId": made}):
            held = await acme.data("permissions.setRolePermissions", {"permissions": ["a"]} | which)
            assert [one["slug"] for one in held] == ["a"]
        for wrong in ({}, {"role": made, "roleId": made}):
            error = await acme.error("permissions.setRolePermissions", {"permissions": []} | wrong, 400)
            assert "`role`" in error["detail"] and "`roleId`" in error["detail"]

    async def test_only_its_id_names_a_role_whose_permissions_are_set(
        self, house: House, acme: Client
    ) -> None:
        made = await role(acme, "role_name")
        other = await house.tenant("other")
        for client, name in ((acme, "role_name"), (acme, "role_unknown"), (other, made)):
            error = await client.error(
                "permissions.setRolePermissions", {"roleId": name, "permissions": ["a"]}, 404
            )
            assert error["type"].endswith("role_not_found")
        await other.error("permissions.getPermission", {"permission": "a"}, 404)

    async def test_roles_made_at_once_share_the_permissions_they_create(self, acme: Client) -> None:
        await asyncio.gather(*(role(acme, f"r{n}", "shared", "Shared", f"own{n}") for n in range(5)))
        assert len(await acme.data("permissions.listPermissions", {"search": "shared"})) == 1
        found = await acme.data("permissions.listRoles", {})
        assert {len(one["permissions"]) for one in found} == {2}


class TestWhoMay:
    @pytest.mark.parametrize(
        ("procedure", "body", "action"),
        [
            ("createPermission", {"slug": "a", "name": "n"}, "create_permission"),
            ("getPermission", {"permission": "nothing"}, "read_permission"),
            ("listPermissions", {}, "read_permission"),
            ("updatePermission", {"permission": "nothing"}, "update_permission"),
            ("deletePermission", {"permission": "nothing"}, "delete_permission"),
            ("createRole", {"name": "r"}, "create_role"),
            ("getRole", {"role": "nothing"}, "read_role"),
            ("listRoles", {}, "read_role"),
            ("updateRole", {"role": "nothing"}, "update_role"),
            ("deleteRole", {"role": "nothing"}, "delete_role"),
        ],
    )
    async def test_permission_comes_before_existence(
        self, house: House, acme: Client, procedure: str, body: dict[str, Any], action: str
    ) -> None:
        nobody = await limited(house, "read_nothing")
        error = await nobody.error(f"permissions.{procedure}", body, 403)
        assert error["detail"] == f"Missing permission: 'rbac.*.{action}'"
        somebody = await limited(house, action)
        assert (await somebody.post(f"permissions.{procedure}", body)).status_code in (200, 404)

    async def test_a_role_needs_a_right_for_each_thing_it_does(self, house: House, acme: Client) -> None:
        await permission(acme, "known")
        for rights, body, lacking in (
            (["create_role"], {"name": "r", "permissions": ["known"]}, "add_permission_to_role"),
            (
                ["create_role", "add_permission_to_role"],
                {"name": "r", "permissions": ["known", "new"]},
                "create_permission",
            ),
        ):
            error = await (await limited(house, *rights)).error("permissions.createRole", body, 403)
            assert error["detail"] == f"Missing permission: 'rbac.*.{lacking}'"
        assert await acme.data("permissions.listRoles", {}) == []
        enough = await limited(house, "create_role", "add_permission_to_role")
        await enough.data("permissions.createRole", {"name": "r", "permissions": ["KNOWN"]})
        await (await limited(house, "create_role")).data("permissions.createRole", {"name": "empty"})

    async def test_setting_the_permissions_of_a_role_needs_both_rights(
        self, house: House, acme: Client
    ) -> None:
        made = await role(acme, "r", "a")
        body = {"roleId": made, "permissions": ["a"]}
        both = ("add_permission_to_role", "remove_permission_from_role")
        for rights, lacking in ((both[:1], both[1]), (both[1:], both[0])):
            error = await (await limited(house, *rights)).error("permissions.setRolePermissions", body, 403)
            assert error["detail"] == f"Missing permission: 'rbac.*.{lacking}'"
        caller = await limited(house, *both)
        await caller.data("permissions.setRolePermissions", body)
        body["permissions"] = ["new"]
        error = await caller.error("permissions.setRolePermissions", body, 403)
        assert error["detail"] == "Missing permission: 'rbac.*.create_permission'"

    async def test_another_workspace_sees_and_changes_nothing(self, house: House, acme: Client) -> None:
        made, made_role = await permission(acme, "a"), await role(acme, "r", "a")
        other = await house.tenant("other")
        for procedure, field, name in (
            ("getPermission", "permission", made),
            ("updatePermission", "permission", made),
            ("deletePermission", "permission", made),
            ("getRole", "role", made_role),
            ("updateRole", "role", made_role),
            ("deleteRole", "role", made_role),
        ):
            foreign = await other.error(f"permissions.{procedure}", {field: name}, 404)
            assert foreign == await other.error(f"permissions.{procedure}", {field: "unknown"}, 404)
        assert await other.data("permissions.listPermissions", {}) == []
        assert await other.data("permissions.listRoles", {}) == []
        await permission(other, "a")
        await role(other, "r")


class TestLists:
    async def test_pages_are_walked_by_cursor(self, acme: Client) -> None:
        made = [await permission(acme, f"p{n}") for n in range(5)]
        roles = [await role(acme, f"r{n}", "p0") for n in range(5)]
        for procedure, ids in (("listPermissions", made), ("listRoles", roles)):
            assert await walked(acme, f"permissions.{procedure}", {"limit": 2}) == ids
            assert await walked(acme, f"permissions.{procedure}", {"limit": 5}) == ids
            await acme.error(f"permissions.{procedure}", {"limit": 0}, 400)
            await acme.error(f"permissions.{procedure}", {"limit": 101}, 400)
            await acme.error(f"permissions.{procedure}", {"cursor": "x" * 1025}, 400)
            assert await acme.data(f"permissions.{procedure}", {"cursor": "~"}) == []

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("DOCS", ["docs.read", "docs.write"]),
            ("  read ", ["docs.read", "n"]),
            ("   ", ["docs.read", "docs.write", "n", "a_b"]),
            ("50%", ["n"]),
            ("%", ["n"]),
            ("_b", ["a_b"]),
            ("s%r", []),
            ("docs_", []),
            ("grösse", ["docs.write"]),
            ("readn", []),
        ],
    )
    async def test_a_search_is_a_substring_of_any_field(
        self, acme: Client, search: str, found: list[str]
    ) -> None:
        await permission(acme, "docs.read", name="one")
        await permission(acme, "docs.write", name="GRÖSSE")
        await permission(acme, "n", name="n", description="To READ 50% more")
        await permission(acme, "a_b", name="/")
        listed = await acme.data("permissions.listPermissions", {"search": search})
        assert [one["slug"] for one in listed] == found

    async def test_what_was_changed_is_found_as_it_is_now(self, acme: Client) -> None:
        made, made_role = await permission(acme, "old"), await role(acme, "former", description="ancient")
        await acme.data("permissions.updatePermission", {"permission": "old", "slug": "fresh"})
        await acme.data("permissions.updateRole", {"role": "former", "description": "young"})
        assert await acme.data("permissions.listRoles", {"search": "ancient"}) == []
        assert [one["id"] for one in await acme.data("permissions.listRoles", {"search": "YOUNG"})] == [
            made_role
        ]
        for search in ("FRESH", made[-8:].upper()):
            listed = await acme.data("permissions.listPermissions", {"search": search})
            assert [one["id"] for one in listed] == [made]
        await acme.error("permissions.listRoles", {"search": "x" * 257}, 400)


async def walked(acme: Client, procedure: str, body: dict[str, Any]) -> list[str]:
    """The ids of all pages."""
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await acme.post(procedure, body | cursor)).json()
        assert len(page["data"]) <= body["limit"]
        seen += [one["id"] for one in page["data"]]
        pagination = page["pagination"]
        assert pagination["hasMore"] == ("cursor" in pagination)
        if not pagination["hasMore"]:
            return seen
        cursor = {"cursor": pagination["cursor"]}


class TestErrorTypes:
    @pytest.mark.parametrize("procedure", ["updatePermission", "updateRole"])
    async def test_errors_of_the_newer_updates_are_json_even_a_429(
        self, house: House, acme: Client, procedure: str
    ) -> None:
        target = "permission" if procedure == "updatePermission" else "role"
        broke = await house.tenant("broke", quota=0)
        accept = {"accept": "application/problem+json"}
        for client, body, status in (
            (acme, {target: "nothing"}, 404),
            (acme, {target: ""}, 400),
            (Client(house.http, "unknown"), {target: "a"}, 401),
            (await limited(house, "read_role"), {target: "a"}, 403),
            (broke, {target: "a"}, 429),
        ):
            answer = await client.post(f"permissions.{procedure}", body, **accept)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")


class TestKeysNotice:
    """Every change holds for the very next verification of a key that is in memory."""

    async def test_a_deleted_permission(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "shared")
        direct = await key_with(acme, api_id, permissions=["shared", "own"])
        through = await key_with(acme, api_id, roles=["r"])
        await acme.data("permissions.deletePermission", {"permission": "shared"})
        assert (await verdict(acme, direct["key"]))["permissions"] == ["own"]
        assert "permissions" not in await verdict(acme, through["key"])
        refused = await verdict(acme, through["key"], permissions="shared")
        assert refused["code"] == "INSUFFICIENT_PERMISSIONS"

    async def test_a_permission_with_another_slug(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "old")
        direct = await key_with(acme, api_id, permissions=["old"])
        through = await key_with(acme, api_id, roles=["r"])
        await acme.data("permissions.updatePermission", {"permission": "old", "slug": "Old"})
        for made in (direct, through):
            assert (await verdict(acme, made["key"], permissions="Old"))["code"] == "VALID"
            assert (await verdict(acme, made["key"], permissions="old"))["valid"] is False

    async def test_other_permissions_of_a_role(self, acme: Client, api_id: str) -> None:
        made_role = await role(acme, "r", "a", "b")
        made = await key_with(acme, api_id, roles=["r"])
        body = {"roleId": made_role, "permissions": ["b", "c"]}
        await acme.data("permissions.setRolePermissions", body)
        assert (await verdict(acme, made["key"]))["permissions"] == ["b", "c"]

    async def test_a_role_with_another_name(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "a")
        made = await key_with(acme, api_id, roles=["r"])
        await acme.data("permissions.updateRole", {"role": "r", "name": "s"})
        assert (await verdict(acme, made["key"]))["roles"] == ["s"]

    async def test_a_deleted_role(self, acme: Client, api_id: str) -> None:
        await role(acme, "r", "a")
        made = await key_with(acme, api_id, roles=["r"])
        await acme.data("permissions.deleteRole", {"role": "r"})
        left = await verdict(acme, made["key"])
        assert left["valid"] is True and "roles" not in left and "permissions" not in left

    async def test_what_keys_do_not_see_leaves_them_in_memory(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await role(acme, "r", "a")
        await key_with(acme, api_id, roles=["r"], permissions=["a"])
        known = dict(house.platform.services.verifier.keys.found)
        await acme.data("permissions.updatePermission", {"permission": "a", "name": "n", "description": "d"})
        await acme.data("permissions.updateRole", {"role": "r", "description": "d"})
        assert house.platform.services.verifier.keys.found == known


async def test_every_change_is_recorded_under_its_name(house: House, acme: Client) -> None:
    made = await role(acme, "r", "a")
    assert await events(house) == [
        "permission.create",
        "role.create",
        "authorization.connect_role_and_permission",
    ]
    before = len(await events(house))
    body = {"roleId": made, "permissions": ["b"]}
    await acme.data("permissions.setRolePermissions", body)
    await acme.data("permissions.setRolePermissions", body)
    await acme.data("permissions.updateRole", {"role": made, "name": "s"})
    await acme.data("permissions.updateRole", {"role": made, "name": "s"})
    await acme.data("permissions.updatePermission", {"permission": "b", "name": "c"})
    await acme.data("permissions.deletePermission", {"permission": "b"})
    await acme.data("permissions.deleteRole", {"role": made})
    assert (await events(house))[before:] == [
        "permission.create",
        "authorization.connect_role_and_permission",
        "authorization.disconnect_role_and_permissions",
        "role.update",
        "permission.update",
        "permission.delete",
        "role.delete",
    ]


async def test_a_urn_lets_one_thing_be_changed_and_no_other(house: House, acme: Client, api_id: str) -> None:
    workspace = (await house.platform.workspaces.all())[0].id
    mine, other = await permission(acme, "mine"), await permission(acme, "other")
    my_role, other_role = await role(acme, "my role", "mine"), await role(acme, "other role")
    caller = await house.root_key(
        workspace,
        *(f"unkey:v1:{workspace}:rbac/permissions/{mine}#{action}" for action in ("read", "write", "delete")),
        *(f"unkey:v1:{workspace}:rbac/roles/{my_role}#{action}" for action in ("read", "write", "delete")),
    )
    await caller.data("permissions.getPermission", {"permission": "mine"})
    await caller.data("permissions.updatePermission", {"permission": "mine", "name": "n"})
    await caller.data("permissions.getRole", {"role": "my role"})
    await caller.data("permissions.updateRole", {"role": my_role, "description": "d"})
    await caller.data("permissions.setRolePermissions", {"roleId": my_role, "permissions": ["other"]})
    for name in (other, "other", "unknown"):
        for procedure, action in (
            ("getPermission", "read_permission"),
            ("updatePermission", "update_permission"),
            ("deletePermission", "delete_permission"),
        ):
            error = await caller.error(f"permissions.{procedure}", {"permission": name}, 403)
            assert error["detail"] == f"Missing permission: 'rbac.*.{action}'"
    for name in (other_role, "other role", "unknown"):
        for procedure in ("getRole", "updateRole", "deleteRole"):
            await caller.error(f"permissions.{procedure}", {"role": name}, 403)
    await caller.error("permissions.setRolePermissions", {"roleId": other_role, "permissions": []}, 403)
    await caller.data("permissions.deleteRole", {"role": my_role})
    await caller.data("permissions.deletePermission", {"permission": mine})
