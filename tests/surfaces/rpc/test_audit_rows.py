"""What each call that changes something leaves in the audit log when it succeeds: rows that say what it did.

`ROWS` says which events; a procedure that is not declared there fails the first test.
"""

import pytest
from sqlalchemy import select

from latchwork.compose.surfaces import FAMILIES
from latchwork.domains.audit.tables import audit_log
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, World, ask, world_of
from tests.surfaces.rpc.test_portal import EndUser, exchange, mint, portal_id

__all__ = ["portal_id"]  # a fixture

GIVEN = "authorization.connect_permission_and_key"

ROWS: dict[str, list[str]] = {
    "apis.createApi": ["api.create"],
    "apis.updateApi": ["api.update"],
    "apis.deleteApi": ["api.delete"],
    "apis.deleteKeys": ["key.delete"],
    "migrations.createMigration": ["migration.create"],
    "migrations.createKeys": ["key.create"],
    "migrations.enqueueKeys": ["request.made"],  # the keys' own rows come with the job
    "keys.createKey": ["key.create"],
    "keys.updateKey": ["key.update"],
    "keys.deleteKey": ["key.delete"],
    "keys.rerollKey": ["key.reroll"],
    "keys.migrateKeys": ["key.create"],
    "keys.updateCredits": ["key.update"],
    "keys.updateRemaining": ["key.update"],
    "keys.addPermissions": [GIVEN],
    "keys.setPermissions": [GIVEN],
    "keys.removePermissions": ["authorization.disconnect_permission_and_key"],
    "keys.addRoles": ["authorization.connect_role_and_key"],
    "keys.setRoles": ["authorization.connect_role_and_key"],
    "keys.removeRoles": ["authorization.disconnect_role_and_key"],
    "permissions.createPermission": ["permission.create"],
    "permissions.updatePermission": ["permission.update"],
    "permissions.deletePermission": ["permission.delete"],
    "permissions.createRole": [
        "permission.create",
        "role.create",
        "authorization.connect_role_and_permission",
    ],
    "permissions.updateRole": ["role.update"],
    "permissions.deleteRole": ["role.delete"],
    "permissions.setRolePermissions": ["authorization.connect_role_and_permission"],
    "identities.createIdentity": ["identity.create"],
    "identities.updateIdentity": ["identity.update"],
    "identities.deleteIdentity": ["identity.delete"],
    "identities.updateCredits": ["identity.update"],
    "ratelimit.setOverride": ["ratelimit.set_override"],
    "ratelimit.deleteOverride": ["ratelimit.delete_override"],
    "ratelimit.updateNamespace": ["ratelimitNamespace.update"],
    "ratelimit.deleteNamespace": ["ratelimitNamespace.delete"],
    "ratelimit.resetLimit": ["ratelimit.reset_limit"],
    "rootKeys.createKey": ["rootKey.create"],
    "rootKeys.updateKey": ["rootKey.update"],
    "rootKeys.rerollKey": ["rootKey.reroll"],
    "rootKeys.deleteKey": ["rootKey.delete"],
    "workspace.updateLimits": ["workspace.update_limits"],
    "portal.createPortal": ["portal.create"],
    "portal.updatePortal": ["portal.update"],
    "portal.deletePortal": ["portal.delete"],
    "portal.createSession": ["portalSession.create"],
    "portal.revokeSession": ["portalSession.revoke"],
}
OF_END_USERS = {"portal.exchangeCode": ["portalSession.open"], "portal.rerollKey": ["key.reroll"]}

BEFORE: dict[str, str] = {
    "keys.removePermissions": "keys.addPermissions",
    "keys.removeRoles": "keys.addRoles",
    "portal.revokeSession": "portal.createSession",
}
"""What has to be done first for there to be anything to do."""


async def events(house: House, request_id: str) -> list[str]:
    """The events of a request, each once, in order."""
    rows = select(audit_log.c.event).where(audit_log.c.correlation_id == request_id)
    found = await house.platform.db.read(
        lambda c: c.scalars(rows.order_by(audit_log.c.seq)).all(), ALL_WORKSPACES
    )
    return list(dict.fromkeys(found))


def test_every_procedure_that_changes_something_is_declared() -> None:
    mutating = {
        procedure.title for family in FAMILIES for procedure in family.procedures if procedure.audited
    }
    assert mutating == ROWS.keys() | OF_END_USERS.keys()


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ROWS)
async def test_a_call_that_succeeds_says_what_it_did(house: House, acme: Client, name: str) -> None:
    world: World = await world_of(acme, "acme")
    for each in filter(None, (BEFORE.get(name), name)):
        answer = await ask(house, each, f"Bearer {acme.key}", OPERATIONS[each].body(world))
        assert answer.status_code < 300, answer.text
    assert await events(house, answer.json()["meta"]["requestId"]) == ROWS[name]


async def test_so_do_the_calls_of_an_end_user(
    house: House, acme: Client, api_id: str, portal_id: str
) -> None:
    made = await acme.data("keys.createKey", {"apiId": api_id, "externalId": "user_1"})
    opened = await exchange(house, await mint(acme))
    assert await events(house, opened.json()["meta"]["requestId"]) == OF_END_USERS["portal.exchangeCode"]
    user = EndUser(house.http, opened.json()["data"]["accessToken"])
    answer = await user.post("rerollKey", {"keyId": made["keyId"], "expiration": 0})
    assert await events(house, answer.json()["meta"]["requestId"]) == OF_END_USERS["portal.rerollKey"]


@pytest.mark.parametrize("procedure", ["keys.createKey", "keys.updateKey"])
async def test_an_identity_that_comes_with_a_key_has_a_row_of_its_own(
    house: House, acme: Client, api_id: str, procedure: str
) -> None:
    made = await acme.data("keys.createKey", {"apiId": api_id})
    named = {"apiId": api_id} if procedure == "keys.createKey" else {"keyId": made["keyId"]}
    for expected in (["identity.create"], []):
        answer = await acme.post(procedure, named | {"externalId": "user_1"})
        found = await events(house, answer.json()["meta"]["requestId"])
        assert [event for event in found if event.startswith("identity.")] == expected
    (row,) = await acme.data("auditLogs.list", {"events": ["identity.create"]})
    identity = await acme.data("identities.getIdentity", {"identity": "user_1"})
    assert row["resources"] == [{"type": "identity", "id": identity["id"], "name": "user_1"}]
