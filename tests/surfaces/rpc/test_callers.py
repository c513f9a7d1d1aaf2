"""Kinds of callers that no table of permissions tells apart, each at every operation of the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.kernel.sql.schema import metadata
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_authorisation import OPEN, OPERATIONS, World, ask, nobodys, outcome, world_of

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

DAY_MS = 86_400_000
HTTP_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
SESSIONS: dict[str, Any] = {
    "portal.listKeys": lambda w: {},
    "portal.rerollKey": lambda w: {"keyId": w["key"], "expiration": 0},
    "portal.getVerifications": lambda w: {"startTime": 1_799_999_000_000, "endTime": 1_800_000_000_000},
}
"""What sessions of a portal are answered, and what they ask."""
BY_ANOTHER_METHOD = {("POST", "keys.updateRemaining"), ("DELETE", "keys.deleteKey")}
"""Procedures that answer to two methods alike."""
OF_ITS_OWN_TIME = frozenset({"outbox", "credit_journal", "credit_balances", "key_uses"})
"""Tables that the platform writes whether or not it is asked anything."""


def _declared() -> set[tuple[str, str]]:
    named = {(operation.method, name.removeprefix("GET ")) for name, operation in OPERATIONS.items()}
    others = {("POST", name) for name in SESSIONS} | {("POST", name) for name in OPEN - {"liveness"}}
    return named | others | BY_ANOTHER_METHOD | {("GET", "liveness")}


async def test_every_operation_of_the_document_is_declared_with_its_method(house: House) -> None:
    document = (await house.http.get("/v2/openapi.json")).json()
    served = {
        (method.upper(), path.removeprefix("/v2/"))
        for path, methods in document["paths"].items()
        for method in methods
        if method in HTTP_METHODS
    }
    assert served == _declared()


# The root key of another workspace


async def rows_of(house: House, workspace_id: str) -> dict[str, list[str]]:
    """Every row of a workspace, its audit log too."""

    def read(connection: Connection) -> dict[str, list[str]]:
        return {
            table.name: sorted(
                map(
                    repr,
                    connection.execute(select(table).where(table.c.workspace_id == workspace_id)),
                )
            )
            for table in metadata.sorted_tables
            if "workspace_id" in table.c and table.name not in OF_ITS_OWN_TIME
        }

    return await house.platform.db.read(read, ALL_WORKSPACES)


def _bytes_of(answer: httpx.Response, world: World) -> tuple[int, bytes, dict[str, str]]:
    """All that is sent, but for the request's id and the ids that were asked for."""
    request_id = answer.headers["x-request-id"]
    body = answer.content.replace(request_id.encode(), b"<request>")
    for id_ in sorted(world.values(), key=len, reverse=True):
        body = body.replace(id_.encode(), b"<id>")
    return answer.status_code, body, dict(answer.headers) | {"x-request-id": "<request>"}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_star_of_another_workspace_is_answered_byte_for_byte_as_for_unknown_ids(
    house: House, name: str
) -> None:
    operation = OPERATIONS[name]
    rival, acme = await house.tenant("rival"), await house.tenant("acme")
    world = await world_of(acme, "acme")
    workspace_id = await workspace_of(house, acme)
    await house.platform.runner.settled()
    before = await rows_of(house, workspace_id)
    foreign = await ask(house, name, f"Bearer {rival.key}", operation.body(world))
    unknown = await ask(house, name, f"Bearer {rival.key}", operation.body(nobodys(world)))
    if operation.missing is not None:
        assert outcome(foreign) == operation.missing, foreign.text
        assert _bytes_of(foreign, world) == _bytes_of(unknown, nobodys(world))
    else:
        assert not [id_ for id_ in world.values() if id_ in foreign.text], foreign.text
    assert await rows_of(house, workspace_id) == before


# A root key that only reads


def _is_reading(needs: tuple[tuple[str, ...], ...]) -> bool:
    return all(permission.rpartition(".")[2].startswith("read_") for permission in needs[0])


READING = sorted(
    {p for each in OPERATIONS.values() if _is_reading(each.needs) for p in each.needs[0] if ".*." in p}
)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_root_key_that_may_only_read_is_answered_what_reads_and_nothing_else(
    house: House, name: str
) -> None:
    operation = OPERATIONS[name]
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    workspace_id = await workspace_of(house, acme)
    reader = await house.root_key(workspace_id, *READING)
    await house.platform.runner.settled()
    before = _but_for_the_log(await rows_of(house, workspace_id))
    answer = await ask(house, name, f"Bearer {reader.key}", operation.body(world))
    if _is_reading(operation.needs):
        assert outcome(answer) == operation.success, answer.text
    else:
        assert outcome(answer) in (operation.denied, 403), answer.text
    assert _but_for_the_log(await rows_of(house, workspace_id)) == before


def _but_for_the_log(rows: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Without the log, in which refusals stand."""
    return {table: each for table, each in rows.items() if not table.startswith("audit")}


# The session of a portal


async def token_of(house: House, client: Client, world: World) -> str:
    """The access token of a session that may do all that sessions may."""
    asked = {
        "portal": world["portal"],
        "externalId": "user_1",
        "scopes": ["keys:read", "keys:create", "keys:reroll", "analytics:read"],
    }
    code = (await client.data("portal.createSession", asked))["url"].partition("?code=")[2]
    opened = await house.http.post("/v2/portal.exchangeCode", json={"code": code})
    token: str = opened.json()["data"]["accessToken"]
    return token


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_session_of_a_portal_is_no_root_key(house: House, name: str) -> None:
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    token = await token_of(house, acme, world)
    body = OPERATIONS[name].body(world)
    answer = await ask(house, name, f"Bearer {token}", body)
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["type"].endswith("/unkey/authentication/key_not_found")
    house.http.cookies.set("portal_session", token)
    answer = await ask(house, name, None, body)
    assert answer.status_code == 400, answer.text
    assert "data" not in answer.json()


@pytest.mark.parametrize("name", SESSIONS)
async def test_what_sessions_ask_is_answered_to_them_and_to_nobody_else(house: House, name: str) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    world, theirs = await world_of(acme, "acme"), await world_of(rival, "rival")
    body = SESSIONS[name](world)
    token = await token_of(house, acme, world)
    stranger = await token_of(house, rival, theirs)
    for sent, status in ((None, 400), (acme.key, 401), (world["text"], 401), ("pat_unknown", 401)):
        answer = await as_session(house, name, sent, body)
        assert answer.status_code == status, (sent, answer.text)
        assert answer.json().keys() == {"meta", "error"}
    answer = await as_session(house, name, stranger, body)
    assert not [id_ for id_ in world.values() if id_ in answer.text], answer.text
    if "keyId" in body:
        unknown = await as_session(house, name, stranger, SESSIONS[name](nobodys(world)))
        assert answer.status_code == 404
        assert _bytes_of(answer, world) == _bytes_of(unknown, nobodys(world))
    assert (await as_session(house, name, token, body)).status_code == 200


@pytest.mark.parametrize("name", SESSIONS)
async def test_a_session_that_has_ended_is_answered_nothing(house: House, name: str) -> None:
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    revoked = await token_of(house, acme, world)
    await acme.data("portal.revokeSession", {"portal": world["portal"], "externalId": "user_1"})
    expired = await token_of(house, acme, world)
    house.clock.advance(DAY_MS + 1)
    for token in (revoked, expired):
        answer = await as_session(house, name, token, SESSIONS[name](world))
        assert answer.status_code == 401, answer.text
        assert answer.json().keys() == {"meta", "error"}


async def as_session(house: House, name: str, token: str | None, body: Any) -> httpx.Response:
    """Ask with a token, or with none."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await house.http.post(f"/v2/{name}", json=body, headers=headers)


async def workspace_of(house: House, client: Client) -> str:
    """Whose root key it is."""
    caller = await house.platform.services.callers.authenticate(client.key.encode())
    return caller.workspace_id
