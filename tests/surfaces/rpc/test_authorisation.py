"""Who may do what: every procedure, every kind of caller, and things that are one's own, another's or nobody's.

`OPERATIONS` says for each procedure what it takes and what is answered without it. A procedure that is not
declared here fails the first test.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from latchwork.compose.surfaces import FAMILIES
from tests.surfaces.rpc.conftest import Client, House

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

HOUR_MS = 3_600_000
World = dict[str, str]
"""The ids and names of one workspace's things, by kind."""


@dataclass(frozen=True)
class Operation:
    """What a procedure takes and how it refuses.

    `needs` are sets of permissions each of which is just enough. `denied` is answered where one of them is
    lacking, `missing` where what is named is another workspace's or nobody's; `None` where nothing is named.
    """

    body: Callable[[World], Any]
    needs: tuple[tuple[str, ...], ...]
    denied: int | str = 403
    missing: int | str | None = 404
    method: str = "POST"
    success: int = 200


def _api(action: str, *more: str) -> tuple[tuple[str, ...], ...]:
    return (f"api.*.{action}", *more), (f"api.{{api}}.{action}", *more)


def _of(resource: str, kind: str, action: str) -> tuple[tuple[str, ...], ...]:
    return (f"{resource}.*.{action}",), (f"{resource}.{{{kind}}}.{action}",)


def _limit(world: World) -> dict[str, Any]:
    return {"namespace": world["namespace"], "identifier": "user", "limit": 9, "duration": 60_000}


def _hash(world: World) -> str:
    return sha256(world["key"].encode() + b"another").hexdigest()


def _key(world: World) -> dict[str, Any]:
    return {"keyId": world["key"]}


def _of_api(world: World) -> dict[str, Any]:
    return {"apiId": world["api"]}


def _text(world: World) -> dict[str, Any]:
    return {"key": world["text"]}


def _portal(world: World) -> dict[str, Any]:
    return {"portal": world["portal"]}


OPERATIONS: dict[str, Operation] = {
    "apis.createApi": Operation(lambda w: {"name": "another"}, (("api.*.create_api",),), missing=None),
    "apis.getApi": Operation(_of_api, _api("read_api")),
    "apis.listApis": Operation(lambda w: {}, (("api.*.read_api",),), missing=None),
    "apis.updateApi": Operation(lambda w: {"apiId": w["api"], "name": "renamed"}, _api("update_api")),
    "apis.deleteApi": Operation(_of_api, _api("delete_api")),
    "apis.deleteKeys": Operation(_of_api, _api("delete_key")),
    "apis.listKeys": Operation(
        _of_api,
        (("api.*.read_key", "api.*.read_api"), ("api.{api}.read_key", "api.{api}.read_api")),
        denied=404,
    ),
    "migrations.createMigration": Operation(
        lambda w: {"algorithm": "sha256"}, (("api.*.create_key",),), missing=None
    ),
    "migrations.listMigrations": Operation(lambda w: {}, (("api.*.create_key",),), missing=None),
    "migrations.createKeys": Operation(
        lambda w: [{"apiId": w["api"], "hash": {"value": _hash(w)}}], _api("create_key"), denied=404
    ),
    "migrations.enqueueKeys": Operation(
        lambda w: {
            "migrationId": w["migration"],
            "apiId": w["api"],
            "keys": [{"hash": {"value": _hash(w)}}],
        },
        _api("create_key"),
        success=202,
    ),
    "migrations.getJob": Operation(lambda w: {"jobId": w["job"]}, _api("create_key"), denied=404),
    "keys.createKey": Operation(_of_api, _api("create_key"), denied=404),
    "keys.getKey": Operation(_key, _api("read_key")),
    "keys.whoami": Operation(_text, _api("read_key"), denied=404),
    "keys.listKeys": Operation(lambda w: {}, (("api.*.read_key",),), missing=None),
    "keys.updateKey": Operation(lambda w: _key(w) | {"enabled": False}, _api("update_key")),
    "keys.deleteKey": Operation(_key, _api("delete_key")),
    "keys.rerollKey": Operation(lambda w: _key(w) | {"expiration": 0}, _api("create_key")),
    "keys.updateCredits": Operation(lambda w: _key(w) | {"operation": "set", "value": 1}, _api("update_key")),
    "keys.updateRemaining": Operation(
        lambda w: _key(w) | {"op": "set", "value": 1}, _api("update_key"), method="PUT"
    ),
    "keys.getVerifications": Operation(_key, _api("read_key"), method="GET"),
    "keys.verifyKey": Operation(_text, _api("verify_key"), denied="NOT_FOUND", missing="NOT_FOUND"),
    "keys.verifyKeys": Operation(
        lambda w: {"requests": [_text(w)]}, _api("verify_key"), denied="NOT_FOUND", missing="NOT_FOUND"
    ),
    "keys.explainKey": Operation(
        _key,
        (("api.*.verify_key", "api.*.read_key"), ("api.{api}.verify_key", "api.{api}.read_key")),
        denied="NOT_FOUND",
        missing="NOT_FOUND",
    ),
    "keys.addPermissions": Operation(
        lambda w: _key(w) | {"permissions": ["documents.read"]},
        _api("update_key", "rbac.*.add_permission_to_key"),
    ),
    "keys.setPermissions": Operation(
        lambda w: _key(w) | {"permissions": ["documents.read"]},
        _api("update_key", "rbac.*.add_permission_to_key", "rbac.*.remove_permission_from_key"),
    ),
    "keys.removePermissions": Operation(
        lambda w: _key(w) | {"permissions": ["documents.read"]},
        _api("update_key", "rbac.*.remove_permission_from_key"),
    ),
    "keys.addRoles": Operation(
        lambda w: _key(w) | {"roles": ["editor"]}, _api("update_key", "rbac.*.add_role_to_key")
    ),
    "keys.setRoles": Operation(lambda w: _key(w) | {"roles": ["editor"]}, _api("update_key")),
    "keys.removeRoles": Operation(lambda w: _key(w) | {"roles": ["editor"]}, _api("update_key")),
    "keys.migrateKeys": Operation(
        lambda w: {"migrationId": w["migration"], "apiId": w["api"], "keys": [{"hash": _hash(w)}]},
        _api("create_key"),
    ),
    "permissions.createPermission": Operation(
        lambda w: {"name": "n", "slug": "a.new.one"}, (("rbac.*.create_permission",),), missing=None
    ),
    "permissions.getPermission": Operation(
        lambda w: {"permission": w["permission"]}, (("rbac.*.read_permission",),)
    ),
    "permissions.listPermissions": Operation(lambda w: {}, (("rbac.*.read_permission",),), missing=None),
    "permissions.updatePermission": Operation(
        lambda w: {"permission": w["permission"], "name": "n"}, (("rbac.*.update_permission",),)
    ),
    "permissions.deletePermission": Operation(
        lambda w: {"permission": w["permission"]}, (("rbac.*.delete_permission",),)
    ),
    "permissions.createRole": Operation(
        lambda w: {"name": "new", "permissions": ["documents.read", "a.new.one"]},
        (("rbac.*.create_role", "rbac.*.add_permission_to_role", "rbac.*.create_permission"),),
        missing=None,
    ),
    "permissions.getRole": Operation(lambda w: {"role": w["role"]}, (("rbac.*.read_role",),)),
    "permissions.listRoles": Operation(lambda w: {}, (("rbac.*.read_role",),), missing=None),
    "permissions.updateRole": Operation(
        lambda w: {"role": w["role"], "name": "n"}, (("rbac.*.update_role",),)
    ),
    "permissions.deleteRole": Operation(lambda w: {"role": w["role"]}, (("rbac.*.delete_role",),)),
    "permissions.setRolePermissions": Operation(
        lambda w: {"roleId": w["role"], "permissions": ["documents.read"]},
        (("rbac.*.add_permission_to_role", "rbac.*.remove_permission_from_role"),),
    ),
    "credits.reserve": Operation(
        lambda w: _key(w) | {"amount": 1, "ttlMs": 60_000}, _api("verify_key"), denied=404
    ),
    "credits.commit": Operation(
        lambda w: {"reservationId": w["hold"], "amount": 1}, _api("verify_key"), denied=404
    ),
    "credits.release": Operation(lambda w: {"reservationId": w["hold"]}, _api("verify_key"), denied=404),
    "identities.createIdentity": Operation(
        lambda w: {"externalId": "user_new"}, (("identity.*.create_identity",),), missing=None
    ),
    "identities.getIdentity": Operation(
        lambda w: {"identity": w["identity"]}, _of("identity", "identity", "read_identity")
    ),
    "identities.listIdentities": Operation(
        lambda w: {}, _of("identity", "identity", "read_identity"), missing=None
    ),
    "identities.updateIdentity": Operation(
        lambda w: {"identity": w["identity"], "meta": {}}, (("identity.*.update_identity",),)
    ),
    "identities.deleteIdentity": Operation(
        lambda w: {"identity": w["identity"]}, (("identity.*.delete_identity",),)
    ),
    "identities.updateCredits": Operation(
        lambda w: {"identity": w["identity"], "operation": "set", "value": 1},
        (("identity.*.update_identity",),),
    ),
    # An id of another's namespace is a name that is new here: it is made, and nothing is learnt.
    "ratelimit.limit": Operation(_limit, _of("ratelimit", "namespace", "limit"), missing=200),
    "ratelimit.multiLimit": Operation(
        lambda w: [_limit(w)], _of("ratelimit", "namespace", "limit"), missing=200
    ),
    "ratelimit.getStatus": Operation(_limit, _of("ratelimit", "namespace", "limit"), missing=200),
    "ratelimit.setOverride": Operation(
        lambda w: {"namespace": w["namespace"], "identifier": "a", "limit": 1, "duration": 1000},
        _of("ratelimit", "namespace", "set_override"),
    ),
    "ratelimit.getOverride": Operation(
        lambda w: {"namespace": w["namespace"], "identifier": "vip"},
        _of("ratelimit", "namespace", "read_override"),
        denied=404,
    ),
    "ratelimit.listOverrides": Operation(
        lambda w: {"namespace": w["namespace"]}, _of("ratelimit", "namespace", "read_override")
    ),
    "ratelimit.deleteOverride": Operation(
        lambda w: {"namespace": w["namespace"], "identifier": "vip"},
        _of("ratelimit", "namespace", "delete_override"),
    ),
    "ratelimit.listNamespaces": Operation(lambda w: {}, (("ratelimit.*.read_namespace",),), missing=None),
    "ratelimit.updateNamespace": Operation(
        lambda w: {"namespace": w["namespace"], "name": "renamed"},
        _of("ratelimit", "namespace", "update_namespace"),
    ),
    "ratelimit.deleteNamespace": Operation(
        lambda w: {"namespace": w["namespace"]}, _of("ratelimit", "namespace", "delete_namespace")
    ),
    "ratelimit.resetLimit": Operation(
        lambda w: {"namespace": w["namespace"], "identifier": "user", "reason": "asked for"},
        _of("ratelimit", "namespace", "set_override"),
    ),
    "GET analytics.getVerifications": Operation(
        lambda w: {"apiId": w["api"], "start": 1_799_999_000_000},
        (*_api("read_analytics"), *_api("read_api")),
        method="GET",
    ),
    "analytics.getVerifications": Operation(
        lambda w: {"query": "SELECT count() AS n FROM key_verifications_v1"},
        _api("read_analytics"),
        missing=None,
    ),
    "analytics.getRatelimits": Operation(
        lambda w: {"query": "SELECT count() AS n FROM ratelimits_v1"},
        _of("ratelimit", "namespace", "read_analytics"),
        missing=None,
    ),
    "rootKeys.createKey": Operation(
        lambda w: {"permissions": ["api.*.verify_key"]},
        (("workspace.*.create_root_key", "api.*.verify_key"),),
        missing=None,
    ),
    "rootKeys.listKeys": Operation(lambda w: {}, (("workspace.*.read_root_key",),), missing=None),
    "rootKeys.updateKey": Operation(
        lambda w: {"keyId": w["root"], "name": "renamed"},
        (("workspace.*.update_root_key",),),
    ),
    "rootKeys.rerollKey": Operation(
        lambda w: {"keyId": w["root"], "expiration": None},
        (("workspace.*.create_root_key", "api.*.read_api"),),
    ),
    "rootKeys.deleteKey": Operation(lambda w: {"keyId": w["root"]}, (("workspace.*.delete_root_key",),)),
    "workspace.getLimits": Operation(lambda w: {}, (("workspace.*.read_limits",),), missing=None),
    "workspace.getUsage": Operation(lambda w: {}, (("workspace.*.read_usage",),), missing=None),
    "workspace.updateLimits": Operation(
        lambda w: {"apiRequestsPerMinute": None}, (("workspace.*.update_limits",),), missing=None
    ),
    "auditLogs.list": Operation(lambda w: {}, (("workspace.*.read_audit_log",),), missing=None),
    "portal.createPortal": Operation(
        lambda w: {"slug": "another", "displayName": "Another", "keyspaceId": w["free keyspace"]},
        (("portal.*.create_portal",),),
    ),
    "portal.getPortal": Operation(_portal, _of("portal", "portal", "read_portal"), denied=404),
    "portal.updatePortal": Operation(
        lambda w: _portal(w) | {"displayName": "Renamed"},
        _of("portal", "portal", "update_portal"),
        denied=404,
    ),
    "portal.deletePortal": Operation(_portal, _of("portal", "portal", "delete_portal"), denied=404),
    "portal.createSession": Operation(
        lambda w: {"portal": w["portal"], "externalId": "user_1", "scopes": ["keys:read"]},
        (("portal.*.create_portal_session", "api.*.read_key", "api.*.read_api"),),
        denied=404,
    ),
    "portal.listSessions": Operation(_portal, _of("portal", "portal", "create_portal_session"), denied=404),
    "portal.revokeSession": Operation(
        lambda w: {"portal": w["portal"], "externalId": "user_1"},
        _of("portal", "portal", "create_portal_session"),
        denied=404,
    ),
}

OPEN = {"liveness", "portal.exchangeCode"}
"""What anybody may ask."""
OF_SESSIONS = {"portal.listKeys", "portal.rerollKey", "portal.getVerifications"}
"""What sessions of a portal may ask, and root keys may not; tried with the portals."""


def _declared() -> set[str]:
    return {name.removeprefix("GET ") for name in OPERATIONS} | OPEN | OF_SESSIONS


def test_every_procedure_is_declared_here(house: House) -> None:
    served = {procedure.path.removeprefix("/v2/") for family in FAMILIES for procedure in family.procedures}
    assert served == _declared()


# The things


async def world_of(client: Client, name: str) -> World:
    """One of each thing in a client's workspace."""
    api = (await client.data("apis.createApi", {"name": "payments"}))["apiId"]
    key = await client.data(
        "keys.createKey", {"apiId": api, "externalId": "user_1", "credits": {"remaining": 10}}
    )
    keyspace = (await client.data("keys.verifyKey", {"key": key["key"]}))["keyspaceId"]
    free = (await client.data("apis.createApi", {"name": "without a portal"}))["apiId"]
    spare = await client.data("keys.createKey", {"apiId": free})
    free_keyspace = (await client.data("keys.verifyKey", {"key": spare["key"]}))["keyspaceId"]
    permission = await client.data(
        "permissions.createPermission", {"name": "Documents", "slug": "documents.read"}
    )
    role = await client.data("permissions.createRole", {"name": "editor"})
    identity = await client.data("identities.getIdentity", {"identity": "user_1"})
    namespace = f"emails.{name}"
    override = {"namespace": namespace, "identifier": "vip", "limit": 9, "duration": 60_000}
    await client.data("ratelimit.limit", override)
    await client.data("ratelimit.setOverride", override)
    (space,) = await client.data("ratelimit.listNamespaces", {})
    migration = await client.data("migrations.createMigration", {"algorithm": "sha256"})
    root = await client.data("rootKeys.createKey", {"permissions": ["api.*.read_api"]})
    portal = await client.data(
        "portal.createPortal", {"slug": f"portal-{name}", "displayName": "Keys", "keyspaceId": keyspace}
    )
    hold = await client.data("credits.reserve", {"keyId": key["keyId"], "amount": 1, "ttlMs": HOUR_MS})
    queued = {"value": sha256(name.encode()).hexdigest()}
    asked = {"migrationId": migration["migrationId"], "apiId": api, "keys": [{"hash": queued}]}
    job = (await client.post("migrations.enqueueKeys", asked)).json()["data"]
    return {
        "api": api,
        "keyspace": keyspace,
        "free keyspace": free_keyspace,
        "key": key["keyId"],
        "text": key["key"],
        "permission": permission["permissionId"],
        "role": role["roleId"],
        "identity": identity["id"],
        "namespace": space["id"],
        "migration": migration["migrationId"],
        "root": root["keyId"],
        "portal": portal["portalId"],
        "hold": hold["reservationId"],
        "job": job["jobId"],
    }


def nobodys(world: World) -> World:
    """Ids that look like those of `world` and belong to nothing."""
    return {kind: id_[:-6] + "xxxxxx" for kind, id_ in world.items()}


async def ask(house: House, name: str, token: str | None, body: Any) -> httpx.Response:
    """Call an operation with a token, or with none."""
    method = OPERATIONS[name].method
    path = f"/v2/{name.removeprefix('GET ')}"
    headers = {} if token is None else {"authorization": token}
    if method == "GET":
        return await house.http.request(method, path, params=body, headers=headers)
    return await house.http.request(method, path, json=body, headers=headers)


def outcome(answer: httpx.Response) -> int | str:
    """The status, or the code of a verification."""
    if answer.status_code == 200 and isinstance(answer.json().get("data"), dict | list):
        data = answer.json()["data"]
        first = data[0] if isinstance(data, list) and data else data
        if isinstance(first, dict) and "code" in first:
            return str(first["code"])
    return answer.status_code


def told(answer: httpx.Response, world: World) -> str:
    """What an answer says, without what names the request and the things asked for."""
    said = dict(answer.json())
    said.pop("meta")
    text = json.dumps(said, sort_keys=True)
    for id_ in world.values():
        text = text.replace(id_, "<id>")
    return text


@pytest.mark.parametrize("name", OPERATIONS)
async def test_without_a_root_key_that_is_good_nothing_is_answered(house: House, name: str) -> None:
    acme = await house.tenant("acme")
    api = (await acme.data("apis.createApi", {"name": "payments"}))["apiId"]
    ordinary = (await acme.data("keys.createKey", {"apiId": api}))["key"]
    made = {}
    for state in ("disabled", "deleted", "expired"):
        expires = {"expires": house.clock.now_ms() + 1000} if state == "expired" else {}
        made[state] = await acme.data("rootKeys.createKey", {"permissions": ["*"], **expires})
    await acme.data("rootKeys.updateKey", {"keyId": made["disabled"]["keyId"], "enabled": False})
    await acme.data("rootKeys.deleteKey", {"keyId": made["deleted"]["keyId"]})
    house.clock.advance(2000)
    body = OPERATIONS[name].body(await world_of(acme, "acme"))
    for token, status in {
        None: 400,
        "": 400,
        "Bearer": 400,
        "Bearer ": 400,
        "Basic YTpi": 400,
        "Bearer lw_root_unknown": 401,
        f"Bearer {ordinary}": 401,
        f"Bearer {made['deleted']['key']}": 401,
        f"Bearer {made['disabled']['key']}": 403,
        f"Bearer {made['expired']['key']}": 403,
    }.items():
        answer = await ask(house, name, token, body)
        assert answer.status_code == status, (token, answer.text)
        assert "data" not in answer.json()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_just_the_right_permissions_are_enough_and_none_of_them_can_be_spared(
    house: House, name: str
) -> None:
    operation = OPERATIONS[name]
    for number, permissions in enumerate(operation.needs):
        acme = await house.tenant(f"acme{number}")
        world = await world_of(acme, f"acme{number}")
        workspace = await _workspace(house, acme)
        wanted = [permission.format(**world) for permission in permissions]
        body = operation.body(world)
        for spared in wanted:
            few = await house.root_key(workspace, *(p for p in wanted if p != spared), "nothing.*.nothing")
            refused = await ask(house, name, f"Bearer {few.key}", body)
            assert outcome(refused) in (operation.denied, 403), (spared, refused.text)
        elsewhere = [p.replace("*", "id_elsewhere", 1) if number else p for p in wanted]
        if elsewhere != wanted:
            other = await house.root_key(workspace, *elsewhere)
            assert outcome(await ask(house, name, f"Bearer {other.key}", body)) == operation.denied
        enough = await house.root_key(workspace, *wanted)
        answer = await ask(house, name, f"Bearer {enough.key}", body)
        assert outcome(answer) in (operation.success, "VALID"), answer.text


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_is_anothers_and_what_is_nobodys_are_answered_alike(house: House, name: str) -> None:
    operation = OPERATIONS[name]
    if operation.missing is None:
        return
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    theirs = await world_of(rival, "rival")
    await world_of(acme, "acme")
    foreign = await ask(house, name, f"Bearer {acme.key}", operation.body(theirs))
    unknown = await ask(house, name, f"Bearer {acme.key}", operation.body(nobodys(theirs)))
    assert outcome(foreign) == outcome(unknown) == operation.missing, (foreign.text, unknown.text)
    assert told(foreign, theirs) == told(unknown, nobodys(theirs))


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_root_key_with_the_star_may_do_everything_in_its_workspace(house: House, name: str) -> None:
    acme = await house.tenant("acme")
    answer = await ask(house, name, f"Bearer {acme.key}", OPERATIONS[name].body(await world_of(acme, "acme")))
    assert outcome(answer) in (OPERATIONS[name].success, "VALID"), answer.text


async def _workspace(house: House, client: Client) -> str:
    caller = await house.platform.services.callers.authenticate(client.key.encode())
    return caller.workspace_id
