"""Rules of the contract that belong to no single family, and small ones of several, through the outermost door."""

import asyncio
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from latchwork.asgi import Application
from latchwork.compose.data_dir import DataDir
from latchwork.compose.surfaces import surfaces_of
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.workspaces.tables import workspaces
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, metadata
from tests.surfaces.rpc.conftest import START_MS, Client, House

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)  # nothing here is the database's

ASKED = {"namespace": "email", "identifier": "user_1", "limit": 2, "duration": 60_000}
LIMIT = {"name": "requests", "limit": 5, "duration": 60_000}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


async def create(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    return made


async def events(house: House, event: str) -> list[Any]:
    question = select(audit_log).where(audit_log.c.event == event)
    return list(await house.platform.db.read(lambda c: c.execute(question).all(), ALL_WORKSPACES))


class TestTransport:
    async def test_every_answer_has_a_request_id_of_its_own(self, house: House, acme: Client) -> None:
        none = await house.tenant("none", quota=0)
        await acme.data("ratelimit.limit", ASKED)
        answers = [
            await acme.post("ratelimit.limit", ASKED),
            await acme.post("apis.listApis", {}),
            await acme.post("apis.listApis", {"more": 1}),
            await acme.post("apis.getApi", {"apiId": "api_unknown1"}),
            await acme.post("apis.nothing", {}),
            await none.post("apis.listApis", {}),
            await Client(house.http, "unknown").post(
                "apis.listApis", {}, **{"x-request-id": "req_chosen123"}
            ),
            await house.http.get("/v2/liveness"),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 400, 404, 404, 429, 401, 200]
        ids = [answer.json()["meta"]["requestId"] for answer in answers]
        assert all(re.fullmatch("req_[a-zA-Z0-9]{9}", id_) for id_ in ids), ids
        assert len({*ids, "req_chosen123"}) == len(ids) + 1

    async def test_every_body_but_a_few_refuses_members_that_it_does_not_declare(self, house: House) -> None:
        document = (await house.http.get("/v2/openapi.json")).json()
        tolerant = {
            path.removeprefix("/v2/")
            for path, operations in document["paths"].items()
            if "post" in operations and not _strict(document, operations["post"])
        }
        assert tolerant == TOLERANT

    async def test_members_that_are_not_declared_are_passed_over_where_that_is_promised(
        self, acme: Client, api_id: str
    ) -> None:
        limits = [LIMIT | {"async": True}]
        await acme.data("identities.createIdentity", {"externalId": "a", "ratelimits": limits, "more": 1})
        made = await create(acme, api_id, ratelimits=limits)
        asked = {"key": made["key"], "ratelimits": [{"name": "requests", "more": 1}]}
        assert (await acme.data("keys.verifyKey", asked))["valid"] is True

    async def test_a_test_time_is_nothing_outside_of_tests(self, house: House, acme: Client) -> None:
        services = replace(house.platform.services, test_clock=False)
        surfaces = surfaces_of(replace(house.platform, services=services))
        application = Application(surfaces.mounts, fallback=surfaces.fallback, hot=surfaces.hot)
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
            client = Client(http, acme.key)
            for told in (START_MS + 120_000, "nonsense"):
                answer = await client.data("ratelimit.limit", ASKED, **{"x-test-time": str(told)})
                assert answer["reset"] == START_MS + 60_000


TOLERANT = {
    "identities.createIdentity",
    "keys.rerollKey",
    "portal.rerollKey",
    "analytics.getVerifications",
    "analytics.getRatelimits",
}


def _strict(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    return "requestBody" not in operation or _schema(document, operation).get("additionalProperties") is False


def _body_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The members of a body."""
    members: dict[str, Any] = _schema(document, operation).get("properties", {})
    return members


def _schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body, of an array that of its items."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    while "$ref" in schema or "items" in schema:
        schema = schema.get("items", schema)
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


class TestCallers:
    async def test_a_root_key_of_a_disabled_workspace_is_told_so(self, house: House, acme: Client) -> None:
        await house.platform.db.write(
            lambda c: c.execute(workspaces.update().values(enabled=False)) and None, ALL_WORKSPACES
        )
        for procedure, body in (("apis.listApis", {}), ("ratelimit.limit", ASKED)):
            error = await acme.error(procedure, body, 403)
            assert error["title"] == "Workspace is disabled"
            assert error["type"].endswith("unkey/authorization/workspace_disabled")

    async def test_a_root_key_of_no_workspace_is_told_so(self, house: House, acme: Client) -> None:
        with closing(sqlite3.connect(DataDir(house.platform.settings.data_dir).database)) as by_hand:
            by_hand.execute("DELETE FROM workspaces")
            by_hand.commit()
        for procedure, body in (("apis.listApis", {}), ("ratelimit.limit", ASKED)):
            error = await acme.error(procedure, body, 404)
            assert error["type"].endswith("unkey/data/workspace_not_found")
            assert error["detail"] == (
                "The provided root key is invalid. The requested workspace does not exist."
            )


async def test_what_has_no_value_is_left_out_and_never_null(acme: Client, api_id: str) -> None:
    made = await create(acme, api_id)
    await create(acme, api_id, externalId="user_1", credits={"remaining": None})
    await acme.data("permissions.createPermission", {"name": "n", "slug": "a"})
    await acme.data("permissions.createRole", {"name": "r"})
    await acme.data("ratelimit.limit", ASKED)
    await acme.data("ratelimit.setOverride", ASKED)
    answers = [
        await acme.post(procedure, body)
        for procedure, body in (
            ("keys.verifyKey", {"key": made["key"]}),
            ("keys.getKey", {"keyId": made["keyId"]}),
            ("keys.whoami", {"key": made["key"]}),
            ("apis.listKeys", {"apiId": api_id}),
            ("apis.getApi", {"apiId": api_id}),
            ("apis.listApis", {}),
            ("identities.listIdentities", {}),
            ("permissions.listPermissions", {}),
            ("permissions.listRoles", {}),
            ("permissions.updateRole", {"role": "r"}),
            ("ratelimit.limit", ASKED | {"identifier": "another"}),
            ("ratelimit.listOverrides", {"namespace": "email"}),
            ("ratelimit.listNamespaces", {}),
            ("keys.migrateKeys", {"migrationId": "none", "apiId": api_id, "keys": [{"hash": "abc"}]}),
        )
    ]
    assert [answer.text for answer in answers if "null" in answer.text] == []


async def test_ids_tell_what_they_are_of(house: House, acme: Client, api_id: str) -> None:
    made = await create(acme, api_id, externalId="user_1", ratelimits=[LIMIT])
    key = await acme.data("keys.getKey", {"keyId": made["keyId"]})
    keyspace = (await acme.data("keys.verifyKey", {"key": made["key"]}))["keyspaceId"]
    permission = await acme.data("permissions.createPermission", {"name": "n", "slug": "a"})
    role = await acme.data("permissions.createRole", {"name": "r"})
    await acme.data("ratelimit.limit", ASKED)
    override = await acme.data("ratelimit.setOverride", ASKED)
    (namespace,) = await acme.data("ratelimit.listNamespaces", {})
    portal = await acme.data(
        "portal.createPortal", {"slug": "keys", "displayName": "n", "keyspaceId": keyspace}
    )
    session = await acme.data(
        "portal.createSession",
        {"portal": portal["portalId"], "externalId": "user_1", "scopes": ["keys:read"]},
    )
    (row,) = await events(house, "api.create")
    ids = {
        "key": made["keyId"],
        "api": api_id,
        "ks": keyspace,
        "ws": row.workspace_id,
        "role": role["roleId"],
        "perm": permission["permissionId"],
        "id": key["identity"]["id"],
        "rl": key["ratelimits"][0]["id"],
        "rlns": namespace["id"],
        "rlor": override["overrideId"],
        "log": row.id,
        "pc": portal["portalId"],
        "ps": session["id"],
    }
    assert {
        prefix: id_ for prefix, id_ in ids.items() if not re.fullmatch(prefix + "_[a-zA-Z0-9]+", id_)
    } == {}


@pytest.mark.parametrize(
    ("procedure", "member", "good", "bad"),
    [
        ("keys.createKey", "name", ["x", "ü" * 255], ["", "x" * 256]),
        ("keys.createKey", "prefix", ["x", "A_9", "x" * 16], ["", "x" * 17, "a-b"]),
        ("keys.createKey", "byteLength", [16, 255], [15, 256]),
        ("keys.createKey", "externalId", ["x", "a.B_-9", "x" * 255], ["", "x" * 256, "a b", "a@b"]),
        (
            "keys.createKey",
            "meta",
            [{f"k{n}": n for n in range(100)}],
            [{f"k{n}": n for n in range(101)}, []],
        ),
        ("keys.createKey", "expires", [0, 4_102_444_800_000], [-1, 4_102_444_800_001]),
        (
            "keys.createKey",
            "permissions",
            [["a:b-c.*_"], ["x" * 128]],
            [["a b"], [""], ["x" * 129], ["a"] * 1001],
        ),
        ("keys.createKey", "roles", [[]], [["a"] * 101, ["x" * 129], [""]]),
        ("keys.createKey", "ratelimits", [[LIMIT] * 50, [LIMIT | {"name": "abc"}]], [[LIMIT] * 51]),
        ("keys.createKey", "ratelimits", [[LIMIT | {"name": "x" * 128}]], [[LIMIT | {"name": "x" * 129}]]),
        ("keys.createKey", "ratelimits", [[LIMIT | {"limit": 1}]], [[LIMIT | {"limit": 0}]]),
        ("keys.createKey", "ratelimits", [[LIMIT | {"duration": 1000}]], [[LIMIT | {"duration": 999}]]),
        ("keys.createKey", "ratelimits", [[LIMIT]], [[LIMIT | {"name": "ab"}], [{"name": "abc"}]]),
        ("keys.verifyKey", "tags", [["x" * 512] * 20, ["☃\n"]], [["x" * 513], [""], ["x"] * 21]),
        ("keys.verifyKey", "key", ["x" * 512], ["", "x" * 513]),
        ("keys.verifyKey", "permissions", ["x" * 1000], ["x" * 1001, ""]),
        ("keys.verifyKey", "credits", [{"cost": 10**12}], [{"cost": 10**12 + 1}, {"cost": -1}]),
        ("keys.verifyKey", "keyspaces", [["ks_1"] * 5], [["ks_1"] * 6, [""]]),
        ("apis.createApi", "name", ["abc", "x" * 256], ["ab", "x" * 257]),
        ("ratelimit.limit", "namespace", ["x", "a/b\t☃", "x" * 512], ["", "x" * 513]),
        ("ratelimit.limit", "identifier", ["x", "x" * 512], ["", "x" * 513]),
        ("ratelimit.limit", "duration", [1000, 2_592_000_000], [999, 2_592_000_001]),
    ],
)
async def test_the_bounds_of_shared_fields_are_those_of_the_contract(
    acme: Client, api_id: str, procedure: str, member: str, good: list[Any], bad: list[Any]
) -> None:
    least_of: dict[str, dict[str, Any]] = {
        "keys.createKey": {"apiId": api_id},
        "keys.verifyKey": {"key": "unknown"},
        "apis.createApi": {},
        "ratelimit.limit": ASKED,
    }
    least = least_of[procedure]
    for value in good:
        await acme.data(procedure, least | {member: value})
    for value in bad:
        error = await acme.error(procedure, least | {member: value}, 400)
        assert error["errors"][0]["location"].startswith(f"/properties/{member}/"), value


class TestPages:
    async def test_any_text_is_a_cursor(self, acme: Client, api_id: str) -> None:
        made = [(await create(acme, api_id))["keyId"] for _ in range(3)]
        for cursor, expected in (("", made), ("0", made), (made[1] + "!", made[2:]), ("☃", [])):
            found = await acme.data("apis.listKeys", {"apiId": api_id, "cursor": cursor})
            assert [key["keyId"] for key in found] == expected, cursor

    async def test_pages_have_a_hundred_rows_where_nobody_says_otherwise(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await create(acme, api_id, permissions=[f"p{n}" for n in range(101)])
        page = (await acme.post("permissions.listPermissions", {})).json()
        assert (len(page["data"]), page["pagination"]["hasMore"]) == (100, True)
        document = (await house.http.get("/v2/openapi.json")).json()
        bounds = {
            path.removeprefix("/v2/"): {word: limit.get(word) for word in ("minimum", "maximum", "default")}
            for path, operations in document["paths"].items()
            if "post" in operations and (limit := _body_of(document, operations["post"]).get("limit"))
            if "cursor" in _body_of(document, operations["post"])
        }
        assert len(bounds) >= 8
        hundred = {"minimum": 1, "maximum": 100, "default": 100}
        assert {name: bound for name, bound in bounds.items() if bound != hundred} == {
            "ratelimit.listOverrides": hundred | {"default": 50}
        }


class TestKeyTexts:
    @pytest.mark.parametrize(("length", "prefix"), [(16, None), (16, "prod"), (255, "a_b")])
    async def test_a_key_is_base58_of_as_many_bytes_as_were_asked_for(
        self, acme: Client, api_id: str, length: int, prefix: str | None
    ) -> None:
        before = f"{prefix}_" if prefix else ""
        wanted = {"byteLength": length} | ({"prefix": prefix} if prefix else {})
        made = [await create(acme, api_id, **wanted) for _ in range(8)]
        numbers = set()
        for each in made:
            assert each["key"].startswith(before)
            text = each["key"].removeprefix(before)
            assert set(text) <= set(BASE58)
            number = 0
            for character in text:
                number = number * 58 + BASE58.index(character)
            assert number < 256**length
            numbers.add(number)
            shown = (await acme.data("keys.getKey", {"keyId": each["keyId"]}))["start"]
            assert shown == before + text[:4]
        assert len(numbers) == 8
        assert max(numbers) >= 256 ** (length - 1)  # eight leading zeros: once in 2 ** 64

    async def test_prefix_and_length_are_those_of_the_request_of_the_api_or_none_and_16_bytes(
        self, acme: Client, api_id: str
    ) -> None:
        plain = (await create(acme, api_id))["key"]
        assert 16 <= len(plain) <= 22 and "_" not in plain
        await acme.data("apis.updateApi", {"apiId": api_id, "defaultPrefix": "api", "defaultByteLength": 64})
        default = (await create(acme, api_id))["key"]
        assert default.startswith("api_") and 80 <= len(default) <= 92
        own = (await create(acme, api_id, prefix="own", byteLength=16))["key"]
        assert own.startswith("own_") and len(own) <= 26

    async def test_what_is_kept_of_a_key_is_its_sha256(self, house: House, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id)
        digest = sha256(made["key"].encode()).digest()
        keys = metadata.tables["keys"]
        row = await house.platform.db.read(
            lambda c: c.execute(select(keys).where(keys.c.id == made["keyId"])).one(), ALL_WORKSPACES
        )
        assert digest in [bytes(value) for value in row if isinstance(value, bytes | memoryview)]


class TestRatelimits:
    async def test_a_namespace_is_made_once_however_many_ask_for_it(self, house: House, acme: Client) -> None:
        answers = await asyncio.gather(*(acme.data("ratelimit.limit", ASKED) for _ in range(10)))
        assert sum(answer["success"] for answer in answers) == 2
        (namespace,) = await acme.data("ratelimit.listNamespaces", {})
        (row,) = await events(house, "ratelimitNamespace.create")
        assert row.resources[0]["id"] == namespace["id"]

    async def test_an_override_replaces_the_duration_too(self, acme: Client) -> None:
        for _ in range(3):
            await acme.data("ratelimit.limit", ASKED)
        hour = ASKED | {"limit": 1, "duration": 3_600_000}
        await acme.data("ratelimit.setOverride", hour)
        answer = await acme.data("ratelimit.limit", ASKED)
        assert (answer["success"], answer["reset"]) == (True, (START_MS // 3_600_000 + 1) * 3_600_000)

    async def test_a_limit_resets_at_the_end_of_its_window(self, house: House, acme: Client) -> None:
        house.clock.advance(20_000)
        answers = [await acme.data("ratelimit.limit", ASKED) for _ in range(4)]
        assert [answer["remaining"] for answer in answers] == [1, 0, 0, 0]
        assert {answer["reset"] for answer in answers} == {START_MS + 60_000}  # START_MS is a full minute


async def test_an_empty_description_of_a_role_clears_it(acme: Client) -> None:
    await acme.data("permissions.createRole", {"name": "r", "description": "d"})
    changed = await acme.data("permissions.updateRole", {"role": "r", "description": ""})
    assert changed == {"id": changed["id"], "name": "r"}


class TestApis:
    async def test_an_api_has_a_keyspace_of_its_own(self, acme: Client, api_id: str) -> None:
        same_name = (await acme.data("apis.createApi", {"name": "payments"}))["apiId"]
        assert same_name != api_id
        spaces = [
            (await acme.data("keys.verifyKey", {"key": (await create(acme, id_))["key"]}))["keyspaceId"]
            for id_ in (api_id, same_name)
        ]
        assert len(set(spaces)) == 2

    async def test_the_keys_of_an_api_are_those_that_live_whatever_their_state(
        self, acme: Client, api_id: str
    ) -> None:
        off = await create(acme, api_id, enabled=False, externalId="user_1")
        over = await create(acme, api_id, expires=START_MS - 1)
        deleted = await create(acme, api_id, externalId="user_1")
        await acme.data("keys.deleteKey", {"keyId": deleted["keyId"]})
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        await create(acme, other, externalId="user_1")
        for wanted, expected in (({}, [off, over]), ({"externalId": "user_1"}, [off])):
            found = await acme.data("apis.listKeys", {"apiId": api_id} | wanted)
            assert [key["keyId"] for key in found] == [key["keyId"] for key in expected]


class TestKeys:
    async def test_a_change_with_an_unknown_role_changes_nothing(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id, name="n")
        body = {"keyId": made["keyId"], "name": "m", "permissions": ["new"], "roles": ["nobody"]}
        error = await acme.error("keys.updateKey", body, 404)
        assert error["type"].endswith("role_not_found")
        key = await acme.data("keys.getKey", {"keyId": made["keyId"]})
        assert key["name"] == "n" and "permissions" not in key
        await acme.error("permissions.getPermission", {"permission": "new"}, 404)

    async def test_asking_who_a_key_is_spends_nothing_and_is_limited(self, acme: Client, api_id: str) -> None:
        made = await create(acme, api_id, credits={"remaining": 1})
        asked = {"key": made["key"]}
        for _ in range(100):
            assert (await acme.data("keys.whoami", asked))["credits"] == {"remaining": 1}
        refused = await acme.post("keys.whoami", asked)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert (await acme.data("keys.verifyKey", asked))["credits"] == 0

    @pytest.mark.parametrize(
        ("change", "after"),
        [
            ({}, {"remaining": 5, "refill": {"interval": "daily", "amount": 3}}),
            ({"credits": None}, None),
            ({"credits": {"remaining": None}}, None),
            ({"credits": {"remaining": 9}}, {"remaining": 9, "refill": {"interval": "daily", "amount": 3}}),
            ({"credits": {"refill": None}}, {"remaining": 5}),
            (
                {"credits": {"refill": {"interval": "monthly", "amount": 4, "refillDay": 2}}},
                {"remaining": 5, "refill": {"interval": "monthly", "amount": 4, "refillDay": 2}},
            ),
            ({"credits": {"refill": {"interval": "monthly", "amount": 4}}}, 400),
            ({"credits": {"refill": {"interval": "daily", "amount": 4, "refillDay": 2}}}, 400),
        ],
    )
    async def test_a_change_of_credits_does_what_the_table_says(
        self, acme: Client, api_id: str, change: dict[str, Any], after: Any
    ) -> None:
        before = {"remaining": 5, "refill": {"interval": "daily", "amount": 3}}
        made = await create(acme, api_id, credits=before)
        body = {"keyId": made["keyId"]} | change
        if after == 400:
            await acme.error("keys.updateKey", body, 400)
            after = before
        else:
            assert (await acme.data("keys.updateKey", body)).get("credits") == after
        assert (await acme.data("keys.getKey", {"keyId": made["keyId"]})).get("credits") == after

    async def test_null_clears_every_member_that_may_be_null(self, acme: Client, api_id: str) -> None:
        given = {
            "name": "n",
            "externalId": "user_1",
            "meta": {"a": 1},
            "expires": START_MS + 5,
            "credits": {"remaining": 1},
        }
        made = await create(acme, api_id, **given)
        told = {"identity" if name == "externalId" else name for name in given}
        assert told <= (await acme.data("keys.updateKey", {"keyId": made["keyId"]})).keys()
        cleared = await acme.data("keys.updateKey", {"keyId": made["keyId"]} | dict.fromkeys(given))
        assert told.isdisjoint(cleared)
        assert told.isdisjoint(await acme.data("keys.getKey", {"keyId": made["keyId"]}))

    async def test_a_key_that_is_deleted_permanently_leaves_no_trace_but_in_the_log(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await acme.data("permissions.createRole", {"name": "r"})
        belongings = {
            "permissions": ["a"],
            "roles": ["r"],
            "ratelimits": [LIMIT],
            "credits": {"remaining": 5},
        }
        made = await create(acme, api_id, externalId="user_1", name="n", **belongings)
        assert (await acme.data("keys.verifyKey", {"key": made["key"]}))["credits"] == 4
        await house.platform.services.keys.last_use.save()
        await acme.data("keys.deleteKey", {"keyId": made["keyId"], "permanent": True})
        await house.platform.services.keys.last_use.save()
        await house.platform.ledger.fold()
        found = await house.platform.db.read(lambda c: _mentioning(c, made["keyId"]), ALL_WORKSPACES)
        assert found <= {"audit_log", "audit_terms", "outbox"} and "audit_log" in found


def _mentioning(connection: Connection, text: str) -> set[str]:
    """The tables with rows that hold this text."""
    return {
        table.name
        for table in metadata.sorted_tables
        if any(text in repr(row) for row in connection.execute(table.select()))
    }


async def test_rows_of_one_request_share_its_id(house: House, acme: Client, api_id: str) -> None:
    headers = {"user-agent": "curl/8"}
    wanted = {"apiId": api_id, "permissions": ["a"], "externalId": "user_1"}
    answer = await acme.post("keys.createKey", wanted, **headers)
    question = select(audit_log).where(audit_log.c.correlation_id == answer.json()["meta"]["requestId"])
    rows = await house.platform.db.read(lambda c: c.execute(question).all(), ALL_WORKSPACES)
    assert {row.event for row in rows} == {
        "identity.create",
        "permission.create",
        "key.create",
        "authorization.connect_permission_and_key",
    }
    assert {(row.actor["type"], row.remote_ip, row.user_agent) for row in rows} == {
        ("key", "127.0.0.1", "curl/8")
    }
