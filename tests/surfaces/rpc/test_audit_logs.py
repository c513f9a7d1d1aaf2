"""The audit log through the outermost door: every call that changes something leaves a row, refused ones too."""

from typing import Any

import pytest
from sqlalchemy import select

from latchwork.compose.surfaces import FAMILIES
from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.surfaces.rpc.procedures import Procedure
from latchwork.surfaces.rpc.services import Services
from tests.surfaces.rpc.conftest import START_MS, Client, House

AUDITED = [
    procedure
    for family in FAMILIES
    for procedure in family.procedures
    if procedure.audited and not procedure.open and procedure.credential is None
]
READING = ("get", "list", "whoami", "explain", "verify", "limit", "multiLimit", "liveness")
SPENDING = {"credits.reserve", "credits.commit", "credits.release"}
DAY_MS = 86_400_000


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def rows(house: House, request_id: str) -> list[Any]:
    question = select(audit_log).where(audit_log.c.correlation_id == request_id)
    return list(await house.platform.db.read(lambda c: c.execute(question).all(), ALL_WORKSPACES))


async def read(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await client.data("auditLogs.list", wanted)
    return found


class TestCompleteness:
    """Generated from the table of procedures, so that a new one cannot be forgotten."""

    def test_whatever_is_not_audited_only_reads_or_spends(self) -> None:
        others = [
            each.title
            for family in FAMILIES
            for each in family.procedures
            if not each.audited and not each.name.startswith(READING)
        ]
        assert set(others) == SPENDING
        assert len(AUDITED) >= 45

    @pytest.mark.parametrize("house", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("procedure", AUDITED, ids=lambda procedure: procedure.title)
    async def test_a_denied_call_leaves_a_row(
        self, house: House, acme: Client, procedure: Procedure[Services]
    ) -> None:
        nobody = await limited(house, "nothing.*.nothing")
        answer = await nobody.post(procedure.title, procedure.example, **{"user-agent": "curl/8"})
        assert answer.status_code in (403, 404), answer.text
        (row,) = await rows(house, answer.json()["meta"]["requestId"])
        assert row.event == ("request.denied" if answer.status_code == 403 else "request.failed")
        assert (row.actor["type"], row.remote_ip, row.user_agent) == ("key", "127.0.0.1", "curl/8")
        assert row.resources[0]["id"] == procedure.title
        assert row.resources[0]["meta"]["status"] == answer.status_code
        if answer.status_code == 403:
            assert row.resources[0]["meta"]["detail"].startswith("Missing ")

    @pytest.mark.parametrize("house", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("procedure", AUDITED, ids=lambda procedure: procedure.title)
    async def test_an_allowed_call_leaves_a_row_however_it_ends(
        self, house: House, acme: Client, procedure: Procedure[Services]
    ) -> None:
        answer = await acme.post(procedure.title, procedure.example)
        found = await rows(house, answer.json()["meta"]["requestId"])
        assert found, answer.text
        failed = [row.event for row in found if row.event == "request.failed"]
        assert bool(failed) == (answer.status_code >= 400)

    async def test_a_call_in_vain_leaves_a_row(self, house: House, acme: Client, api_id: str) -> None:
        key_id = (await acme.data("keys.createKey", {"apiId": api_id, "permissions": ["a"]}))["keyId"]
        answer = await acme.post("keys.addPermissions", {"keyId": key_id, "permissions": ["a"]})
        assert answer.status_code == 200
        (row,) = await rows(house, answer.json()["meta"]["requestId"])
        assert (row.event, row.resources[1]) == (
            "request.made",
            {"type": "key", "id": key_id, "name": None, "meta": {}},
        )

    async def test_a_reading_call_leaves_none(self, house: House, acme: Client) -> None:
        nobody = await limited(house, "nothing.*.nothing")
        answer = await nobody.post("apis.listApis", {})
        assert answer.status_code == 403
        assert await rows(house, answer.json()["meta"]["requestId"]) == []

    async def test_who_is_known_but_may_not_call_leaves_a_row(self, house: House, acme: Client) -> None:
        made = await acme.data("rootKeys.createKey", {"permissions": ["*"], "expires": START_MS + 5})
        off = await acme.data("rootKeys.createKey", {"permissions": ["*"]})
        await acme.data("rootKeys.updateKey", {"keyId": off["keyId"], "enabled": False})
        house.clock.advance(5)
        for key, code in ((made, "forbidden"), (off, "key_disabled")):
            answer = await Client(house.http, key["key"]).post("apis.createApi", {"name": "abc"})
            assert answer.status_code == 403
            (row,) = await rows(house, answer.json()["meta"]["requestId"])
            assert (row.event, row.actor["id"]) == ("request.denied", key["keyId"])
            assert row.resources[0]["meta"]["code"].endswith(code)

    async def test_who_is_over_the_limit_leaves_a_row(self, house: House) -> None:
        none = await house.tenant("none", quota=0)
        answer = await none.post("apis.createApi", {"name": "abc"})
        (row,) = await rows(house, answer.json()["meta"]["requestId"])
        assert (row.event, row.resources[0]["meta"]["status"]) == ("request.denied", 429)

    async def test_beyond_a_rate_refusals_are_sampled_and_the_rest_is_counted(
        self, house: House, acme: Client
    ) -> None:
        nobody = await limited(house, "nothing.*.nothing")
        body = {"name": "abc"}
        for _ in range(audit.MOST_PER_MINUTE + 5):
            await nobody.post("apis.createApi", body)
        assert len(await read(acme, events=["request.denied"])) == audit.MOST_PER_MINUTE
        house.clock.advance(1_000)
        await nobody.post("apis.createApi", body)
        newest = (await read(acme, events=["request.denied"], limit=1))[0]
        assert newest["resources"][0]["meta"]["skipped"] == 5
        house.clock.advance(60_000)
        for _ in range(2):
            await nobody.post("apis.createApi", body)
        assert len(await read(acme, events=["request.denied"], start=START_MS + 61_000)) == 2
        other = await house.tenant("other")
        assert (await read(other, events=["request.*"])) == []

    async def test_what_is_done_and_then_fails_is_recorded_as_a_failure_alone(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        body = {"apiId": api_id, "permissions": ["a"], "roles": ["unknown"]}
        answer = await acme.post("keys.createKey", body)
        assert answer.status_code == 404
        (row,) = await rows(house, answer.json()["meta"]["requestId"])
        assert row.event == "request.failed"

    async def test_the_text_of_a_key_never_enters_the_log(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        made = await acme.data("keys.createKey", {"apiId": api_id, "prefix": "key", "byteLength": 16})
        nobody = await limited(house, "nothing.*.nothing")
        for client in (acme, nobody):
            await client.post("keys.deleteKey", {"keyId": made["key"]})
            await client.post("rootKeys.deleteKey", {"keyId": made["key"][4:]})
        everything = await house.platform.db.read(
            lambda c: repr(c.execute(select(audit_log)).all()), ALL_WORKSPACES
        )
        assert made["keyId"] in everything and made["key"] not in everything
        assert made["key"][4:] not in everything


class TestReading:
    async def test_a_row_tells_who_did_what_to_what_from_where(self, acme: Client) -> None:
        answer = await acme.post("apis.createApi", {"name": "payments"}, **{"user-agent": "curl/8"})
        (row,) = await read(acme, events=["api.create"])
        key = (await acme.data("rootKeys.listKeys", {}))[0]
        assert row == {
            "id": row["id"],
            "seq": 3,
            "time": START_MS,
            "event": "api.create",
            "description": row["description"],
            "actor": {"type": "key", "id": key["keyId"]},
            "ip": "127.0.0.1",
            "userAgent": "curl/8",
            "correlationId": answer.json()["meta"]["requestId"],
            "resources": [
                {"type": "api", "id": answer.json()["data"]["apiId"], "name": "payments"},
                *row["resources"][1:],
            ],
        }

    async def test_reading_is_itself_recorded(self, acme: Client) -> None:
        await read(acme, events=["api.*"], limit=5)
        newest = (await read(acme))[0]
        assert (newest["event"], newest["actor"]["type"]) == ("auditLog.read", "key")
        assert newest["resources"][0]["meta"] == {"events": ["api.*"]}

    async def test_filters_are_all_to_hold(self, house: House, acme: Client, api_id: str) -> None:
        house.clock.advance(10)
        one, two = [await acme.data("keys.createKey", {"apiId": api_id, "name": name}) for name in ("a", "b")]
        house.clock.advance(10)
        changed = await acme.post("keys.updateKey", {"keyId": one["keyId"], "name": "c"})
        other = await limited(house, "*")
        await other.data("keys.deleteKey", {"keyId": two["keyId"]})
        actor = next(row for row in await read(acme, events=["key.delete"]))["actor"]["id"]
        questions: list[tuple[dict[str, Any], list[str]]] = [
            ({"resourceId": one["keyId"]}, ["key.update", "key.create"]),
            ({"resourceId": one["keyId"], "events": ["key.update"]}, ["key.update"]),
            ({"resourceId": one["keyId"], "resourceType": "api"}, []),
            ({"resourceId": two["keyId"], "resourceType": "key"}, ["key.delete", "key.create"]),
            ({"resourceId": two["keyId"].swapcase()}, []),
            ({"actorId": actor}, ["key.delete"]),
            ({"actorId": actor, "events": ["api.*"]}, []),
            ({"events": ["key.*"]}, ["key.delete", "key.update", "key.create", "key.create"]),
            ({"events": ["key.create", "api.create"]}, ["key.create", "key.create", "api.create"]),
            ({"events": ["ke*"]}, []),
            ({"events": ["k%.*", "KEY.*"]}, []),
            ({"correlationId": changed.json()["meta"]["requestId"]}, ["key.update"]),
            ({"events": ["key.*"], "start": START_MS + 20}, ["key.delete", "key.update"]),
            ({"events": ["key.*"], "end": START_MS + 20}, ["key.create", "key.create"]),
            ({"start": START_MS + 21}, []),
            ({"resourceId": 'x","name":"'}, []),
            ({"resourceId": "\\"}, []),
        ]
        for wanted, expected in questions:
            found = [row["event"] for row in await read(acme, **wanted) if row["event"] != "auditLog.read"]
            assert found == expected, wanted

    async def test_pages_are_walked_from_the_newest_to_the_oldest(self, house: House, acme: Client) -> None:
        for number in range(5):
            await acme.data("apis.createApi", {"name": f"api {number}"})
            house.clock.advance(-1_000)  # the order is that of the deeds, whatever the clock says
        seen: list[int] = []
        cursor = ""
        while True:
            body = {"events": ["api.create"], "limit": 2, "cursor": cursor}
            page = (await acme.post("auditLogs.list", body)).json()
            seen += [row["seq"] for row in page["data"]]
            if not page["pagination"]["hasMore"]:
                break
            cursor = page["pagination"]["cursor"]
        assert seen == sorted(seen, reverse=True) and len(seen) == 5
        assert "cursor" not in page["pagination"]

    async def test_a_cursor_of_another_workspace_leads_nowhere(self, house: House, acme: Client) -> None:
        other = await house.tenant("other")
        foreign = (await read(other))[0]["id"]
        for cursor in (foreign, "log_unknown", "'; --"):
            assert await read(acme, cursor=cursor) == []

    async def test_each_workspace_reads_its_own(self, house: House, acme: Client, api_id: str) -> None:
        other = await house.tenant("other")
        assert await read(other, resourceId=api_id) == []
        assert await read(other, events=["api.*"]) == []

    async def test_it_reaches_back_as_far_as_the_workspace_may_see(self, house: House, acme: Client) -> None:
        await acme.data("apis.createApi", {"name": "old"})
        house.clock.advance(2 * DAY_MS)
        await acme.data("apis.createApi", {"name": "new"})
        await acme.data("workspace.updateLimits", {"logsAuditRetentionDaysMax": 1})
        for start in ({}, {"start": 0}):
            assert len(await read(acme, events=["api.create"], **start)) == 1
        await acme.data("workspace.updateLimits", {"logsAuditRetentionDaysMax": None})
        assert len(await read(acme, events=["api.create"])) == 2

    async def test_it_needs_permission(self, house: House, acme: Client) -> None:
        nobody = await limited(house, "api.*.read_api")
        error = await nobody.error("auditLogs.list", {}, 403)
        assert error["detail"] == "Missing permission: 'workspace.*.read_audit_log'"
        workspace = (await house.platform.workspaces.all())[0]
        for permission in ("workspace.*.read_audit_log", f"unkey:v1:{workspace.id}:auditLogs/*#read"):
            assert await read(await limited(house, permission))

    @pytest.mark.parametrize(
        ("wrong", "location"),
        [
            ({"limit": 0}, "/properties/limit/minimum"),
            ({"limit": 101}, "/properties/limit/maximum"),
            ({"events": [""]}, "/properties/events/items/minLength"),
            ({"events": ["x"] * 51}, "/properties/events/maxItems"),
            ({"start": -1}, "/properties/start/minimum"),
            ({"actor": "x"}, "/additionalProperties"),
        ],
    )
    async def test_bad_input_is_named(self, acme: Client, wrong: dict[str, Any], location: str) -> None:
        error = await acme.error("auditLogs.list", wrong, 400)
        assert [found["location"] for found in error["errors"]] == [location]

    async def test_the_chain_holds_through_refusals_and_reading(self, house: House, acme: Client) -> None:
        nobody = await limited(house, "nothing.*.nothing")
        await nobody.post("apis.createApi", {"name": "abc"})
        await read(acme)
        workspace = (await house.platform.workspaces.all())[0]
        assert (
            await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None
        )


class TestWhatChanged:
    """Rows of updates say what was before and after; of metadata, which may be about people, only that it changed."""

    async def _meta(self, acme: Client, event: str) -> dict[str, Any]:
        (row, *_) = await read(acme, events=[event])
        meta: dict[str, Any] = row["resources"][0].get("meta", {})
        return meta

    async def test_of_a_key(self, acme: Client, api_id: str) -> None:
        key_id = (await acme.data("keys.createKey", {"apiId": api_id, "name": "a"}))["keyId"]
        secret = {"email": "jane@example.com"}
        change = {"name": "b", "enabled": False, "meta": secret, "expires": START_MS + 5}
        await acme.data("keys.updateKey", {"keyId": key_id} | change)
        assert await self._meta(acme, "key.update") == {
            "before": {"name": "a", "enabled": True, "expires": None},
            "after": {"name": "b", "enabled": False, "expires": START_MS + 5},
            "meta": "changed",
        }
        assert "jane@example.com" not in str(await read(acme))
        await acme.data("keys.updateKey", {"keyId": key_id, "credits": {"remaining": 5}})
        assert (await self._meta(acme, "key.update"))["credits"] == {"remaining": 5}
        await acme.data("keys.updateCredits", {"keyId": key_id, "operation": "increment", "value": 2})
        assert (await self._meta(acme, "key.update")) == {"credits": {"remaining": 7}}
        await acme.data("keys.updateCredits", {"keyId": key_id, "operation": "set", "value": None})
        assert (await self._meta(acme, "key.update")) == {"credits": {"remaining": None}}

    async def test_of_an_api(self, acme: Client, api_id: str) -> None:
        change = {"name": "billing", "ipWhitelist": ["192.0.2.7"], "analytics": "full"}
        await acme.data("apis.updateApi", {"apiId": api_id} | change)
        assert await self._meta(acme, "api.update") == {
            "before": {"name": "payments", "ipWhitelist": []},
            "after": {"name": "billing", "ipWhitelist": ["192.0.2.7"]},
        }

    async def test_of_an_override(self, acme: Client) -> None:
        await acme.data(
            "ratelimit.limit", {"namespace": "n", "identifier": "i", "limit": 1, "duration": 1000}
        )
        name = {"namespace": "n", "identifier": "vip"}
        await acme.data("ratelimit.setOverride", name | {"limit": 1, "duration": 1000})
        more = {"limit": 2, "duration": 1000, "reason": "asked"}
        await acme.data("ratelimit.setOverride", name | more)
        await acme.data("ratelimit.deleteOverride", name)
        (newest,) = await read(acme, events=["ratelimit.delete_override"])
        assert newest["resources"][1]["meta"] == {"before": more}
        told = [row["resources"][1]["meta"] for row in await read(acme, events=["ratelimit.set_override"])]
        first = {"limit": 1, "duration": 1000}
        assert told == [{"before": first, "after": more}, {"after": first}]

    async def test_of_an_identity(self, acme: Client) -> None:
        await acme.data("identities.createIdentity", {"externalId": "user_1"})
        rule = {"name": "requests", "limit": 5, "duration": 1000, "autoApply": True}
        change = {"identity": "user_1", "meta": {"plan": "pro"}, "ratelimits": [rule]}
        await acme.data("identities.updateIdentity", change)
        assert await self._meta(acme, "identity.update") == {"meta": "changed"}
        (row,) = await read(acme, events=["ratelimit.create"])
        assert row["resources"][1]["meta"] == {"limit": 5, "duration": 1000}
        await acme.data("identities.updateCredits", {"identity": "user_1", "operation": "set", "value": 9})
        assert await self._meta(acme, "identity.update") == {"credits": {"remaining": 9}}

    async def test_of_a_permission_a_role_and_a_portal(self, acme: Client, api_id: str) -> None:
        await acme.data("permissions.createPermission", {"name": "a", "slug": "a"})
        await acme.data("permissions.updatePermission", {"permission": "a", "slug": "b"})
        expected: dict[str, Any] = {"before": {"slug": "a"}, "after": {"slug": "b"}}
        assert await self._meta(acme, "permission.update") == expected
        await acme.data("permissions.createRole", {"name": "a"})
        await acme.data("permissions.updateRole", {"role": "a", "description": "x"})
        expected = {"before": {"description": None}, "after": {"description": "x"}}
        assert await self._meta(acme, "role.update") == expected
        keyspace = (await acme.data("apis.getApi", {"apiId": api_id}))["keyspaceId"]
        portal = {"slug": "keys", "displayName": "Keys", "keyspaceId": keyspace}
        made = await acme.data("portal.createPortal", portal)
        await acme.data("portal.updatePortal", {"portal": made["portalId"], "displayName": "Yours"})
        meta = await self._meta(acme, "portal.update")
        assert (meta["before"], meta["after"]) == ({"displayName": "Keys"}, {"displayName": "Yours"})
