"""Whatever is changed about a key that is in memory holds for the very next verification, through both doors."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

Made = dict[str, str]
LIMIT = {"name": "calls", "limit": 9, "duration": 60_000, "autoApply": True}
CHANGES: dict[str, tuple[str, Callable[[Made], Any], str]] = {
    "it is disabled": ("keys.updateKey", lambda m: {"keyId": m["key"], "enabled": False}, "DISABLED"),
    "it expires": ("keys.updateKey", lambda m: {"keyId": m["key"], "expires": START_MS - 1}, "EXPIRED"),
    "its addresses": (
        "keys.updateKey",
        lambda m: {"keyId": m["key"], "ipWhitelist": ["192.0.2.1"]},
        "FORBIDDEN",
    ),
    "the addresses of its API": (
        "apis.updateApi",
        lambda m: {"apiId": m["api"], "ipWhitelist": ["192.0.2.0/24"]},
        "FORBIDDEN",
    ),
    "its role is taken": (
        "keys.removeRoles",
        lambda m: {"keyId": m["key"], "roles": ["editor"]},
        "INSUFFICIENT_PERMISSIONS",
    ),
    "its role means nothing any more": (
        "permissions.setRolePermissions",
        lambda m: {"roleId": m["role"], "permissions": []},
        "INSUFFICIENT_PERMISSIONS",
    ),
    "its role is deleted": (
        "permissions.deleteRole",
        lambda m: {"role": "editor"},
        "INSUFFICIENT_PERMISSIONS",
    ),
    "its permission is deleted": (
        "permissions.deletePermission",
        lambda m: {"permission": "documents.read"},
        "INSUFFICIENT_PERMISSIONS",
    ),
    "its limit": (
        "keys.updateKey",
        lambda m: {"keyId": m["key"], "ratelimits": [LIMIT | {"limit": 1}]},
        "RATE_LIMITED",
    ),
    "the limit of its identity": (
        "identities.updateIdentity",
        lambda m: {"identity": "user_1", "ratelimits": [LIMIT | {"name": "all", "limit": 1}]},
        "RATE_LIMITED",
    ),
    "its credits": (
        "keys.updateCredits",
        lambda m: {"keyId": m["key"], "operation": "set", "value": 0},
        "USAGE_EXCEEDED",
    ),
    "the credits of its identity": (
        "identities.updateCredits",
        lambda m: {"identity": "user_1", "operation": "set", "value": 0},
        "USAGE_EXCEEDED",
    ),
    "it is replaced": ("keys.rerollKey", lambda m: {"keyId": m["key"], "expiration": 0}, "EXPIRED"),
    "it is deleted": ("keys.deleteKey", lambda m: {"keyId": m["key"]}, "NOT_FOUND"),
    "its API is deleted": ("apis.deleteApi", lambda m: {"apiId": m["api"]}, "NOT_FOUND"),
    "the keys of its API are deleted": ("apis.deleteKeys", lambda m: {"apiId": m["api"]}, "NOT_FOUND"),
}


async def _made(client: Client) -> Made:
    api = (await client.data("apis.createApi", {"name": "payments"}))["apiId"]
    wanted = {"name": "editor", "permissions": ["documents.read"]}
    role = (await client.data("permissions.createRole", wanted))["roleId"]
    limits = [LIMIT | {"name": "all"}]
    await client.data("identities.createIdentity", {"externalId": "user_1", "ratelimits": limits})
    key = await client.data(
        "keys.createKey",
        {
            "apiId": api,
            "externalId": "user_1",
            "roles": ["editor"],
            "ratelimits": [LIMIT],
            "credits": {"remaining": 100},
        },
    )
    return {"api": api, "role": role, "key": key["keyId"], "text": key["key"]}


@EVERYWHERE
async def test_every_change_holds_for_the_very_next_verification(house: House) -> None:
    for number, (what, (name, body, expected)) in enumerate(CHANGES.items()):
        client = await house.tenant(f"tenant {number}")
        made = await _made(client)
        asked = {"key": made["text"], "permissions": "documents.read"}
        for _ in range(2):
            assert (await client.data("keys.verifyKey", asked))["code"] == "VALID", what
        assert (await client.post(name, body(made))).status_code == 200, what
        # With this header the hot door leaves the request to the ordinary one.
        for headers in ({}, {"x-test-time": str(START_MS)}):
            verdict = await client.data("keys.verifyKey", asked, **headers)
            assert verdict["code"] == expected, (what, headers)


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
async def test_a_key_that_loses_its_identity_keeps_nothing_of_it(house: House, acme: Client) -> None:
    made = await _made(acme)
    await acme.data("keys.verifyKey", {"key": made["text"]})
    assert (await acme.post("identities.deleteIdentity", {"identity": "user_1"})).status_code == 200
    verdict = await acme.data("keys.verifyKey", {"key": made["text"]})
    assert "identity" not in verdict and [each["name"] for each in verdict["ratelimits"]] == ["calls"]
    await acme.data("identities.createIdentity", {"externalId": "user_1", "meta": {"new": True}})
    assert "identity" not in await acme.data("keys.verifyKey", {"key": made["text"]})
