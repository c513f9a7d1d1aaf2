"""`apis.deleteKeys` and `DELETE keys.deleteKey` through the outermost door."""

import base64
import hashlib
from typing import Any

import pytest
from sqlalchemy import func, select

from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.domains.keys.tables import keys
from latchwork.domains.ratelimits.tables import limit_rules
from latchwork.kernel.sql import ALL_WORKSPACES, Connection
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_management import NOBODY, create, limited


async def is_valid(client: Client, key: str) -> bool:
    return bool((await client.data("keys.verifyKey", {"key": key}))["valid"])


class TestDeleteKeys:
    async def test_every_live_key_of_the_api_goes_and_no_other(self, acme: Client, api_id: str) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        kept, gone = await create(acme, other), [await create(acme, api_id) for _ in range(3)]
        await acme.data("keys.deleteKey", {"keyId": gone[0]["keyId"]})
        assert await is_valid(acme, gone[1]["key"])
        assert await acme.data("apis.deleteKeys", {"apiId": api_id}) == {"deletedKeys": 2}
        assert not await is_valid(acme, gone[1]["key"])
        assert await acme.data("apis.listKeys", {"apiId": api_id}) == []
        assert await is_valid(acme, kept["key"])
        assert await acme.data("apis.deleteKeys", {"apiId": api_id}) == {"deletedKeys": 0}
        assert await is_valid(acme, (await create(acme, api_id))["key"])

    async def test_permanently_those_deleted_before_go_too(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        limit = {"name": "requests", "limit": 5, "duration": 60_000}
        made = [
            await create(acme, api_id, ratelimits=[limit], credits={"remaining": 1}, permissions=["a"])
            for _ in range(3)
        ]
        await acme.data("keys.deleteKey", {"keyId": made[0]["keyId"]})
        gone = await acme.data("apis.deleteKeys", {"apiId": api_id, "permanent": True})
        assert gone == {"deletedKeys": 3}
        ids = [key["keyId"] for key in made]
        assert await house.platform.db.read(lambda connection: _left(connection, ids), ALL_WORKSPACES) == 0

    async def test_more_than_one_step_takes_leaves_an_unbroken_log(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        migration = await acme.data("migrations.createMigration", {"algorithm": "sha256"})
        digests = [hashlib.sha256(b"%d" % number).digest() for number in range(401)]
        hashes = [{"hash": base64.b64encode(digest).decode()} for digest in digests]
        wanted = {"migrationId": migration["migrationId"], "apiId": api_id, "keys": hashes}
        await acme.data("keys.migrateKeys", wanted)
        assert await acme.data("apis.deleteKeys", {"apiId": api_id}) == {"deletedKeys": 401}
        workspace = (await house.platform.workspaces.all())[0]
        told = select(func.count()).where(audit_log.c.event == "key.delete")
        assert (
            await house.platform.db.read(lambda connection: connection.execute(told).scalar(), ALL_WORKSPACES)
            == 401
        )
        assert (
            await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None
        )

    async def test_permission_comes_before_existence(self, house: House, acme: Client, api_id: str) -> None:
        await create(acme, api_id)
        nobody, other = await limited(house, "api.*.read_api"), await house.tenant("other")
        for named in (api_id, "api_unknown1"):
            await nobody.error("apis.deleteKeys", {"apiId": named}, 403)
        error = await acme.error("apis.deleteKeys", {"apiId": "api_unknown1"}, 404)
        assert error["type"].endswith("api_not_found")
        assert error == await other.error("apis.deleteKeys", {"apiId": api_id}, 404)
        assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 1
        one = await limited(house, f"api.{api_id}.delete_key")
        assert await one.data("apis.deleteKeys", {"apiId": api_id}) == {"deletedKeys": 1}

    @pytest.mark.parametrize(
        ("body", "named"),
        [({}, "apiId"), ({"apiId": "api_12345", "permanent": 1}, "permanent"), ({"apiId": "no!"}, "apiId")],
    )
    async def test_what_makes_no_sense_is_named(self, acme: Client, body: dict[str, Any], named: str) -> None:
        error = await acme.error("apis.deleteKeys", body, 400)
        assert any(named in entry["location"] + entry["message"] for entry in error["errors"])


class TestDeleteByTheMethod:
    async def test_the_members_come_in_the_query_or_in_the_body(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = [await create(acme, api_id) for _ in range(3)]
        ways: list[dict[str, Any]] = [
            {"params": {"keyId": made[0]["keyId"]}},
            {"params": {"keyId": made[1]["keyId"], "permanent": "true"}},
            {"json": {"keyId": made[2]["keyId"], "permanent": True}},
        ]
        for way, key in zip(ways, made, strict=True):
            answer = await delete(acme, **way)
            assert answer["data"] == {}
            assert not await is_valid(acme, key["key"])
        ids = [key["keyId"] for key in made]
        rows = select(keys.c.id).where(keys.c.id.in_(ids))
        left = await house.platform.db.read(
            lambda connection: connection.execute(rows).scalars().all(), ALL_WORKSPACES
        )
        assert left == [ids[0]]

    async def test_its_statuses_are_those_of_the_procedure(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = await create(acme, api_id)
        nobody = await limited(house, "api.*.read_api")
        assert (await delete(acme, params={"keyId": NOBODY}))["error"]["status"] == 404
        assert (await delete(nobody, params={"keyId": made["keyId"]}))["error"]["status"] == 403
        for params in ({}, {"keyId": "k!"}, {"keyId": made["keyId"], "permanent": "maybe"}, {"id": "key_1"}):
            assert (await delete(acme, params=params))["error"]["status"] == 400
        assert await is_valid(acme, made["key"])


async def delete(client: Client, **sent: Any) -> Any:
    headers = {"authorization": f"Bearer {client.key}"}
    answer = await client.http.request("DELETE", "/v2/keys.deleteKey", headers=headers, **sent)
    return answer.json()


def _left(connection: Connection, key_ids: list[str]) -> int:
    """How many rows still speak of these keys."""
    columns = (keys.c.id, key_uses.c.key_id, key_texts.c.key_id, limit_rules.c.subject_id)
    counts = (select(func.count()).where(column.in_(key_ids)) for column in columns)
    return sum(connection.execute(count).scalar_one() for count in counts)
