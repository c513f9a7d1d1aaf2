"""Whoever names another workspace, or things of it among their own, reaches nothing there."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, Operation, World, ask, outcome, world_of
from tests.surfaces.rpc.test_callers import rows_of, workspace_of

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

CANARY = "canary"
MINE_AND_THEIRS: dict[str, tuple[str, Callable[[World, World], Any]]] = {
    "a role for a key": ("keys.addRoles", lambda m, t: {"keyId": m["key"], "roles": [t["role"]]}),
    "roles of a key": ("keys.setRoles", lambda m, t: {"keyId": m["key"], "roles": [t["role"]]}),
    "a role from a key": ("keys.removeRoles", lambda m, t: {"keyId": m["key"], "roles": [t["role"]]}),
    "a role of a new key": ("keys.createKey", lambda m, t: {"apiId": m["api"], "roles": [t["role"]]}),
    "a role of a changed key": ("keys.updateKey", lambda m, t: {"keyId": m["key"], "roles": [t["role"]]}),
    "a role of a key that is offered": (
        "migrations.createKeys",
        lambda m, t: [{"apiId": m["api"], "roles": [t["role"]], "hash": {"value": "1" * 64}}],
    ),
    "a key of another among one's own": (
        "migrations.createKeys",
        lambda m, t: [
            {"apiId": m["api"], "hash": {"value": "5" * 64}},
            {"apiId": t["api"], "hash": {"value": "6" * 64}},
        ],
    ),
    "an API for one's migration": (
        "keys.migrateKeys",
        lambda m, t: {"migrationId": m["migration"], "apiId": t["api"], "keys": [{"hash": "2" * 64}]},
    ),
    "a migration for one's API": (
        "keys.migrateKeys",
        lambda m, t: {"migrationId": t["migration"], "apiId": m["api"], "keys": [{"hash": "3" * 64}]},
    ),
    "a migration for one's job": (
        "migrations.enqueueKeys",
        lambda m, t: {
            "migrationId": t["migration"],
            "apiId": m["api"],
            "keys": [{"hash": {"value": "4" * 64}}],
        },
    ),
    "a keyspace for a portal": (
        "portal.createPortal",
        lambda m, t: {"slug": "another", "displayName": "x", "keyspaceId": t["free keyspace"]},
    ),
    "a keyspace for one's portal": (
        "portal.updatePortal",
        lambda m, t: {"portal": m["portal"], "keyspaceId": t["free keyspace"]},
    ),
}
"""What is one's own, with something of another's in it or under it."""
AS_SLUGS: dict[str, Callable[[World, World], Any]] = {
    "keys.addPermissions": lambda m, t: {"keyId": m["key"], "permissions": [t["permission"]]},
    "keys.setPermissions": lambda m, t: {"keyId": m["key"], "permissions": [t["permission"]]},
    "keys.updateKey": lambda m, t: {"keyId": m["key"], "permissions": [t["permission"]]},
    "permissions.setRolePermissions": lambda m, t: {"roleId": m["role"], "permissions": [t["permission"]]},
    "permissions.createRole": lambda m, t: {"name": "new", "permissions": [t["permission"]]},
}
"""Where an id of another's permission is a slug that is new here."""


async def _two(house: House) -> tuple[Client, World, World, str]:
    """Acme with what it has, what a rival has, and the rival's workspace."""
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    mine, theirs = await world_of(acme, "acme"), await world_of(rival, "rival")
    await house.platform.runner.settled()
    return acme, mine, theirs, await workspace_of(house, rival)


async def test_nothing_of_anothers_is_linked_to_ones_own(house: House) -> None:
    acme, mine, theirs, rivals = await _two(house)
    ours = await workspace_of(house, acme)
    before, own = await rows_of(house, rivals), await rows_of(house, ours)
    for what, (name, body) in MINE_AND_THEIRS.items():
        answer = await acme.post(name, body(mine, theirs))
        assert answer.status_code in (404, 412), (what, answer.text)
    assert await rows_of(house, rivals) == before
    assert _but_for_the_log(await rows_of(house, ours)) == _but_for_the_log(own)


async def test_the_id_of_anothers_permission_is_a_slug_like_any_other(house: House) -> None:
    for name, body in AS_SLUGS.items():
        acme, mine, theirs, rivals = await _two(house)
        before = await rows_of(house, rivals)
        assert (await acme.post(name, body(mine, theirs))).status_code == 200, name
        made = await acme.data("permissions.getPermission", {"permission": theirs["permission"]})
        assert (made["slug"], made["name"]) == (theirs["permission"], theirs["permission"])
        assert made["id"] != theirs["permission"]
        assert await rows_of(house, rivals) == before


def _but_for_the_log(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    return {table: each for table, each in rows.items() if not table.startswith("audit")}


# A workspace that is named in a body or a header


NAMES = (
    "workspaceId",
    "workspace_id",
    "tenantId",
    "forWorkspaceId",
    "id",
    "createdAt",
    "digest",
    "isAdmin",
    "verified",
)
HEADERS = ("x-tenant-id", "x-workspace-id", "x-unkey-workspace", "x-forwarded-user", "x-user-id")
FAMILIES = sorted({name.removeprefix("GET ").partition(".")[0] for name in OPERATIONS})


def _operations_of(family: str) -> dict[str, Operation]:
    return {
        name: operation
        for name, operation in OPERATIONS.items()
        if name.removeprefix("GET ").partition(".")[0] == family
    }


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_workspace_that_is_named_in_headers_is_not_looked_at(house: House, family: str) -> None:
    for name, operation in _operations_of(family).items():
        acme, mine, theirs, rivals = await _two(house)
        before = await rows_of(house, rivals)
        house.http.headers.update(dict.fromkeys(HEADERS, rivals))
        answer = await ask(house, name, f"Bearer {acme.key}", operation.body(mine))
        assert outcome(answer) in (operation.success, "VALID"), (name, answer.text)
        _tells_nothing_of(answer, theirs, rivals)
        assert await rows_of(house, rivals) == before


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_workspace_or_an_origin_that_a_body_names_is_refused_or_passed_over(
    house: House, family: str
) -> None:
    for name, operation in _operations_of(family).items():
        if operation.method == "GET":
            continue
        acme, mine, theirs, rivals = await _two(house)
        before = await rows_of(house, rivals)
        body, named = operation.body(mine), dict.fromkeys(NAMES, rivals)
        wrong = [body[0] | named] if isinstance(body, list) else body | named
        answer = await ask(house, name, f"Bearer {acme.key}", wrong)
        passed_over = answer.status_code == 200
        assert passed_over or "additional properties" in answer.text, (name, answer.text)
        _tells_nothing_of(answer, theirs, rivals if passed_over else "")
        assert await rows_of(house, rivals) == before


def _tells_nothing_of(answer: httpx.Response, world: World, workspace_id: str) -> None:
    found = [id_ for id_ in (*world.values(), workspace_id) if id_ and id_ in answer.text]
    assert not found, answer.text


# Lists and searches


SEARCHES: dict[str, dict[str, Any]] = {
    "apis.listApis": {},
    "keys.listKeys": {"search": CANARY},
    "identities.listIdentities": {"search": CANARY},
    "permissions.listPermissions": {"search": CANARY},
    "permissions.listRoles": {"search": CANARY},
    "ratelimit.listNamespaces": {},
    "migrations.listMigrations": {},
    "rootKeys.listKeys": {},
    "auditLogs.list": {},
    "analytics.getVerifications": {"query": "SELECT * FROM key_verifications_v1"},
    "analytics.getRatelimits": {"query": "SELECT * FROM ratelimits_v1"},
    "workspace.getUsage": {},
}


async def _sung(client: Client, number: int) -> None:
    """Another of each thing whose texts and names all hold the canary."""
    name = f"{CANARY}_{number}"
    api = (await client.data("apis.createApi", {"name": name}))["apiId"]
    await client.data("permissions.createRole", {"name": name, "description": name})
    key = await client.data(
        "keys.createKey",
        {
            "apiId": api,
            "name": name,
            "externalId": name,
            "prefix": CANARY,
            "meta": {name: name},
            "roles": [name],
            "permissions": [name],
        },
    )
    await client.data("keys.verifyKey", {"key": key["key"], "tags": [name]})
    limit = {"namespace": name, "identifier": name, "limit": 9, "duration": 60_000}
    await client.data("ratelimit.limit", limit)
    await client.data("ratelimit.setOverride", limit)
    await client.data("rootKeys.createKey", {"name": name, "permissions": []})


async def test_of_a_thousand_canaries_of_another_workspace_none_is_heard(house: House) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    await world_of(acme, "acme")
    for number in range(80):  # a dozen texts each
        await _sung(rival, number)
    heard = ""
    for name, body in SEARCHES.items():
        answer = await acme.post(name, body)
        assert answer.status_code == 200, (name, answer.text)
        heard += answer.text
        theirs = await rival.post(name, body)
        assert name == "workspace.getUsage" or name.startswith("migrations") or CANARY in theirs.text, name
    assert CANARY not in heard


# Many at once


async def test_of_many_keys_those_of_another_are_not_found_and_ones_own_are_served(house: House) -> None:
    acme, mine, theirs, rivals = await _two(house)
    before = await rows_of(house, rivals)
    requests = [{"key": world["text"]} for world in (mine, theirs, mine, theirs)]
    found = await acme.data("keys.verifyKeys", {"requests": requests})
    assert [each["code"] for each in found] == ["VALID", "NOT_FOUND", "VALID", "NOT_FOUND"]
    assert [each for each in found if not each["valid"]] == [{"valid": False, "code": "NOT_FOUND"}] * 2
    await acme.error("keys.verifyKeys", {"requests": [{"key": mine["text"]}] * 101}, 400)
    assert await rows_of(house, rivals) == before


async def test_of_many_limits_an_id_of_anothers_namespace_is_a_new_name(house: House) -> None:
    acme, mine, theirs, rivals = await _two(house)
    before = await rows_of(house, rivals)
    asked = [
        {"namespace": world["namespace"], "identifier": "vip", "limit": 3, "duration": 60_000}
        for world in (mine, theirs)
    ]
    found = (await acme.data("ratelimit.multiLimit", asked))["limits"]
    assert "overrideId" in found[0] and "overrideId" not in found[1]
    assert await rows_of(house, rivals) == before


# What is in memory


@pytest.mark.parametrize("warm", [False, True])
async def test_a_key_in_memory_is_as_unknown_to_others_as_one_that_is_not(house: House, warm: bool) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    world, theirs = await world_of(acme, "acme"), await world_of(rival, "rival")
    asked = {"key": (await acme.data("keys.createKey", {"apiId": world["api"]}))["key"]}
    bare = {"valid": False, "code": "NOT_FOUND"}
    for _ in range(3):
        if warm:
            assert (await acme.data("keys.verifyKey", asked))["valid"]
        assert await rival.data("keys.verifyKey", asked) == bare
        assert await rival.data("keys.verifyKey", asked | {"keyspaces": [world["keyspace"]]}) == bare
        assert await acme.data("keys.verifyKey", asked | {"keyspaces": [theirs["keyspace"]]}) == bare
    assert (await acme.data("keys.verifyKey", asked))["valid"]
