"""A change of access holds from its answer on: for keys in flight, for very many keys, for several writers."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from latchwork.domains.access import Permissions, Roles
from latchwork.domains.access.permissions import sweep
from latchwork.domains.access.rules import MOST_NAMED
from latchwork.domains.identities import store as identities_store
from latchwork.domains.keys.rules import digest_of
from latchwork.domains.keys.tables import apis, key_permissions, key_roles, keys
from latchwork.domains.permissions import PermissionAlreadyExists, RoleAlreadyExists
from latchwork.domains.permissions import store as permissions_store
from latchwork.domains.permissions.tables import permissions, roles
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES, PostgresDatabase
from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House
from tests.surfaces.rpc.test_permissions import key_with, permission, role, verdict

pytestmark = EVERYWHERE


async def all_verdicts(acme: Client, made: list[dict[str, str]]) -> list[dict[str, Any]]:
    return await asyncio.gather(*(verdict(acme, key["key"]) for key in made))


async def test_keys_that_are_being_verified_while_they_lose_something_have_lost_it_afterwards(
    house: House, acme: Client, api_id: str
) -> None:
    await role(acme, "r", "through", "other")
    made = [await key_with(acme, api_id, roles=["r"], permissions=["direct"]) for _ in range(6)]
    known = house.platform.services.verifier.keys.found
    for procedure, body, lost in (
        ("permissions.deletePermission", {"permission": "through"}, "through"),
        ("permissions.deletePermission", {"permission": "direct"}, "direct"),
        ("permissions.deleteRole", {"role": "r"}, "other"),
    ):
        for key in made[::2]:
            known.pop(digest_of(key["key"]), None)  # these have to be fetched meanwhile
        await asyncio.gather(acme.data(procedure, body), all_verdicts(acme, made))
        after = await all_verdicts(acme, made)
        assert all(lost not in found.get("permissions", []) for found in after)


def _fill(connection: Connection, api_id: str, role_id: str, permission_id: str, count: int) -> None:
    api = connection.execute(select(apis).where(apis.c.id == api_id)).one()
    shared = {"workspace_id": api.workspace_id}
    new = {"keyspace_id": api.keyspace_id, "enabled": True, "ip_whitelist": [], "created_at_ms": START_MS}
    rows = [
        {"id": f"key_{n:06d}", "lineage_id": f"key_{n:06d}", "digest": digest_of(f"text{n}"), "start": "text"}
        for n in range(count)
    ]
    connection.execute(insert(keys), [row | shared | new for row in rows])
    ids = [{"key_id": row["id"]} | shared for row in rows]
    connection.execute(insert(key_roles), [row | {"role_id": role_id} for row in ids])
    connection.execute(insert(key_permissions), [row | {"permission_id": permission_id} for row in ids])


def _count(connection: Connection, role_id: str, permission_id: str) -> list[int]:
    questions = (
        select(func.count()).select_from(key_roles).where(key_roles.c.role_id == role_id),
        select(func.count())
        .select_from(key_permissions)
        .where(key_permissions.c.permission_id == permission_id),
        select(func.count()).select_from(roles).where(roles.c.id == role_id),
        select(func.count()).select_from(permissions).where(permissions.c.id == permission_id),
    )
    return [connection.execute(question).scalar_one() for question in questions]


async def test_more_keys_than_can_be_named_lose_what_they_have_all_the_same(
    house: House, acme: Client, api_id: str
) -> None:
    count = MOST_NAMED + 2
    made_role, made = await role(acme, "Crowd", "through"), await permission(acme, "direct")
    fill = partial(_fill, api_id=api_id, role_id=made_role, permission_id=made, count=count)
    await house.platform.db.write(fill, ALL_WORKSPACES)
    some = [{"key": f"text{n}"} for n in (0, 1, count // 2, count - 1)]

    async def held() -> list[tuple[list[str], list[str]]]:
        found = await all_verdicts(acme, some)
        return [(one.get("permissions", []), one.get("roles", [])) for one in found]

    assert await held() == [(["direct", "through"], ["Crowd"])] * 4
    await acme.data("permissions.updateRole", {"role": "Crowd", "name": "crowd"})
    await acme.data("permissions.updatePermission", {"permission": "direct", "slug": "Direct"})
    assert await held() == [(["Direct", "through"], ["crowd"])] * 4
    await acme.data("permissions.setRolePermissions", {"roleId": made_role, "permissions": ["other"]})
    assert await held() == [(["Direct", "other"], ["crowd"])] * 4
    await acme.data("permissions.deletePermission", {"permission": "direct"})
    assert await held() == [(["other"], ["crowd"])] * 4
    await acme.data("permissions.deleteRole", {"role": "crowd"})
    assert await held() == [([], [])] * 4
    assert (
        await house.platform.db.read(partial(_count, role_id=made_role, permission_id=made), ALL_WORKSPACES)
        == [0] * 4
    )


async def test_what_is_still_being_removed_is_found_by_nobody_and_its_name_is_free(
    house: House, acme: Client, api_id: str
) -> None:
    made_role, made = await role(acme, "r", "a"), await permission(acme, "b")
    key = await key_with(acme, api_id, roles=["r"], permissions=["b"])
    tenant = (await house.platform.workspaces.all())[0].id
    db = house.platform.db
    for found in (
        await db.read(partial(permissions_store.find_role, workspace_id=tenant, name="r"), ALL_WORKSPACES),
        await db.read(
            partial(permissions_store.find_permission, workspace_id=tenant, name="b"), ALL_WORKSPACES
        ),
    ):
        assert found is not None
        await db.write(partial(permissions_store.retire, thing=found, now_ms=START_MS), ALL_WORKSPACES)
    house.platform.services.verifier.keys.found.clear()
    shown = await verdict(acme, key["key"])
    assert "roles" not in shown and "permissions" not in shown
    view = await acme.data("keys.getKey", {"keyId": key["keyId"]})
    assert "roles" not in view and "permissions" not in view
    for name in (made_role, "r"):
        await acme.error("permissions.getRole", {"role": name}, 404)
        await acme.error("keys.addRoles", {"keyId": key["keyId"], "roles": ["r"]}, 404)
    for name in (made, "b"):
        await acme.error("permissions.getPermission", {"permission": name}, 404)
    assert await acme.data("permissions.listRoles", {}) == []
    assert [one["slug"] for one in await acme.data("permissions.listPermissions", {})] == ["a"]
    again = await acme.data("keys.addPermissions", {"keyId": key["keyId"], "permissions": ["b"]})
    assert [one["slug"] for one in again] == ["b"] and again[0]["id"] != made
    assert await role(acme, "r") != made_role
    await sweep(db, tenant)
    assert await db.read(partial(_count, role_id=made_role, permission_id=made), ALL_WORKSPACES) == [0] * 4
    assert (await verdict(acme, key["key"]))["permissions"] == ["b"]


@pytest.fixture
async def writers(postgres_url: str) -> AsyncIterator[list[PostgresDatabase]]:
    """Two processes' ways into one database: their writes are serialised by it alone."""
    databases = [PostgresDatabase(postgres_url) for _ in range(2)]
    for database in databases:
        await database.open()
    yield databases
    for database in databases:
        await database.close()


async def test_two_processes_create_each_thing_once(writers: list[PostgresDatabase]) -> None:
    clock = ManualClock(START_MS)
    who = operator((await Workspaces(writers[0], clock).create("acme")).id)
    for n in range(10):
        made = await asyncio.gather(
            *(
                Permissions(db, clock).create(who, slug=slug, name="n")
                for db, slug in zip(writers, (f"a.{n}", f"A.{n}"), strict=True)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, PermissionAlreadyExists) for one in made) == 1
        made_roles = await asyncio.gather(
            *(
                Roles(db, clock).create(who, name=name, slugs=[f"shared.{n}", f"a.{n}"])
                for db, name in zip(writers, (f"role {n}", f"ROLE {n}"), strict=True)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, RoleAlreadyExists) for one in made_roles) == 1
        ensure = partial(
            identities_store.ensure, workspace_id=who.workspace_id, external_id=f"user_{n}", now_ms=START_MS
        )
        first, second = await asyncio.gather(*(db.write(ensure, ALL_WORKSPACES) for db in writers))
        assert first[0] == second[0] and first[1] != second[1]
    listed = await Permissions(writers[0], clock).page(who, search="", cursor="", limit=100)
    assert len(listed) == 20
