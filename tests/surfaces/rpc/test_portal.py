"""Portals and their sessions through the outermost door: every answerable status."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from latchwork.domains import audit
from latchwork.domains.portals.guard import CALLS_PER_MINUTE, GUESSES_PER_MINUTE, REROLLS_PER_HOUR
from latchwork.domains.portals.sessions import MOST_OF_A_USER
from latchwork.domains.workspaces.tables import workspaces
from latchwork.kernel.sql import ALL_WORKSPACES, Connection
from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_management import limited

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MINT = "create_portal_session"
EVERYTHING = ["keys:read", "keys:create", "keys:reroll", "analytics:read"]


async def keyspace_of(acme: Client, api_id: str) -> str:
    keyspace_id: str = (await acme.data("apis.getApi", {"apiId": api_id}))["keyspaceId"]
    return keyspace_id


@pytest.fixture
async def portal_id(acme: Client, api_id: str) -> str:
    wanted = {"slug": "acme-keys", "displayName": "Acme", "keyspaceId": await keyspace_of(acme, api_id)}
    made: dict[str, str] = await acme.data("portal.createPortal", wanted)
    return made["portalId"]


async def mint(acme: Client, user: str = "user_1", scopes: list[str] | None = None, **more: Any) -> str:
    """A session's code."""
    wanted = {"portal": "acme-keys", "externalId": user, "scopes": scopes or EVERYTHING} | more
    url: str = (await acme.data("portal.createSession", wanted))["url"]
    return url.partition("?code=")[2]


async def exchange(house: House, code: str) -> httpx.Response:
    return await house.http.post("/v2/portal.exchangeCode", json={"code": code})


@dataclass
class EndUser:
    """An end user's way in: their access token, sent as a cookie, as the TypeScript client does."""

    http: httpx.AsyncClient
    token: str

    async def post(self, procedure: str, body: Any, **headers: str) -> httpx.Response:
        sent = {"cookie": f"theme=dark; portal_session={self.token}"} | headers
        return await self.http.post(f"/v2/portal.{procedure}", json=body, headers=sent)

    async def keys(self, **body: Any) -> list[str]:
        answer = await self.post("listKeys", body)
        assert answer.status_code == 200, answer.text
        return [key["keyId"] for key in answer.json()["data"]]

    async def error(self, procedure: str, body: Any, status: int, **headers: str) -> dict[str, Any]:
        answer = await self.post(procedure, body, **headers)
        assert answer.status_code == status, answer.text
        error: dict[str, Any] = answer.json()["error"]
        return error


async def enter(house: House, acme: Client, user: str = "user_1", scopes: list[str] | None = None) -> EndUser:
    opened = await exchange(house, await mint(acme, user, scopes))
    assert opened.status_code == 200, opened.text
    return EndUser(house.http, opened.json()["data"]["accessToken"])


async def key_of(acme: Client, api_id: str, user: str = "user_1") -> dict[str, str]:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id, "externalId": user})
    return made


class TestPortals:
    async def test_a_portal_is_created_read_changed_and_deleted(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        keyspace_id = await keyspace_of(acme, api_id)
        wanted = {"slug": "acme-keys", "displayName": "Acme keys", "keyspaceId": keyspace_id}
        look = {"logoUrl": "https://acme.test/logo.svg", "primaryColor": "#0F766e"}
        made = await acme.data("portal.createPortal", wanted | look)
        portal = {"id": made["portalId"], "enabled": True, "createdAt": START_MS, "branding": look} | wanted
        assert made["portalId"].startswith("pc_")
        for which in ({"portal": "acme-keys"}, {"portal": made["portalId"]}, {"keyspaceId": keyspace_id}):
            assert await acme.data("portal.getPortal", which) == portal
        house.clock.advance(5)
        change = {"portal": "acme-keys", "slug": "acme-2", "displayName": "Acme", "logoUrl": None}
        changed = await acme.data("portal.updatePortal", change)
        assert changed == portal | {
            "slug": "acme-2",
            "displayName": "Acme",
            "branding": {"primaryColor": "#0F766e"},
            "updatedAt": START_MS + 5,
        }
        assert await acme.data("portal.deletePortal", {"portal": "acme-2"}) == {}
        await acme.error("portal.getPortal", {"portal": made["portalId"]}, 404)
        await acme.data("portal.createPortal", wanted)

    async def test_without_branding_there_is_none(self, acme: Client, portal_id: str) -> None:
        assert "branding" not in await acme.data("portal.getPortal", {"portal": portal_id})

    async def test_a_change_of_nothing_changes_nothing(self, acme: Client, portal_id: str) -> None:
        before = await acme.data("portal.getPortal", {"portal": portal_id})
        assert await acme.data("portal.updatePortal", {"portal": portal_id}) == before
        same = {"portal": portal_id, "slug": "acme-keys", "enabled": True}
        assert await acme.data("portal.updatePortal", same) == before

    async def test_a_slug_and_a_keyspace_have_one_portal(
        self, acme: Client, api_id: str, portal_id: str
    ) -> None:
        other_id = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        first, other = await keyspace_of(acme, api_id), await keyspace_of(acme, other_id)
        taken = {"slug": "acme-keys", "displayName": "x", "keyspaceId": other}
        error = await acme.error("portal.createPortal", taken, 409)
        assert error["type"].endswith("/unkey/data/portal_already_exists")
        assert "'acme-keys'" in error["detail"]
        error = await acme.error("portal.createPortal", taken | {"slug": "new", "keyspaceId": first}, 409)
        assert first in error["detail"]
        await acme.data("portal.createPortal", taken | {"slug": "second"})
        await acme.error("portal.updatePortal", {"portal": "second", "slug": "acme-keys"}, 409)
        await acme.error("portal.updatePortal", {"portal": "second", "keyspaceId": first}, 409)
        assert (await acme.data("portal.getPortal", {"portal": "second"}))["keyspaceId"] == other

    async def test_the_same_slug_is_free_in_another_workspace(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        other = await house.tenant("other")
        api_id = (await other.data("apis.createApi", {"name": "theirs"}))["apiId"]
        wanted = {"slug": "acme-keys", "displayName": "x", "keyspaceId": await keyspace_of(other, api_id)}
        assert (await other.data("portal.createPortal", wanted))["portalId"] != portal_id

    async def test_two_who_want_one_slug_get_one_portal(self, acme: Client, api_id: str) -> None:
        others = [(await acme.data("apis.createApi", {"name": f"api {n}"}))["apiId"] for n in range(4)]
        spaces = [await keyspace_of(acme, other) for other in others]
        wanted = [{"slug": "wanted", "displayName": "x", "keyspaceId": space} for space in spaces]
        answers = await asyncio.gather(*(acme.post("portal.createPortal", each) for each in wanted))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]

    async def test_what_makes_no_sense_is_named(self, acme: Client) -> None:
        keyspace = {"keyspaceId": "ks_1234567"}
        for wrong, named in (
            (keyspace | {"appId": "app_1"}, "`keyspaceId` or `appId`"),
            ({}, "`keyspaceId`"),
            (keyspace | {"logoUrl": "http://acme.test/x.svg"}, "`logoUrl`"),
        ):
            error = await acme.error("portal.createPortal", {"slug": "abc", "displayName": "x"} | wrong, 400)
            assert named in error["detail"]

    async def test_a_slug_is_lower_case_words_and_hyphens(self, acme: Client) -> None:
        wanted = {"displayName": "x", "keyspaceId": "ks_1234567"}
        for slug in ("ab", "Upper", "-abc", "abc-", "a--b", "under_score", "x" * 65):
            error = await acme.error("portal.createPortal", wanted | {"slug": slug}, 400)
            assert error["errors"][0]["location"].startswith("/properties/slug/")

    async def test_which_portal_must_be_said_once(self, acme: Client, portal_id: str) -> None:
        for which in ({}, {"portal": portal_id, "keyspaceId": "ks_1234567"}):
            assert "exactly one" in (await acme.error("portal.getPortal", which, 400))["detail"]
        both = {"portal": portal_id, "keyspaceId": "ks_1234567", "appId": "app_1"}
        await acme.error("portal.updatePortal", both, 400)

    async def test_apps_are_never_found(self, acme: Client, portal_id: str) -> None:
        wanted = {"slug": "abc", "displayName": "x", "appId": "app_1"}
        error = await acme.error("portal.createPortal", wanted, 404)
        assert error["type"].endswith("/unkey/data/app_not_found")
        await acme.error("portal.getPortal", {"appId": "app_1"}, 404)
        await acme.error("portal.updatePortal", {"portal": portal_id, "appId": "app_1"}, 404)

    async def test_a_keyspace_must_be_there_and_ours(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        other = await house.tenant("other")
        foreign = await keyspace_of(acme, api_id)
        wanted = {"slug": "abc", "displayName": "x", "keyspaceId": foreign}
        error = await other.error("portal.createPortal", wanted, 404)
        assert error["type"].endswith("/unkey/data/key_space_not_found")
        assert error == await other.error("portal.createPortal", wanted | {"keyspaceId": "ks_unknown1"}, 404)
        await acme.error("portal.updatePortal", {"portal": portal_id, "keyspaceId": "ks_unknown1"}, 404)

    async def test_who_may_not_create_is_told_what_is_missing(self, house: House, acme: Client) -> None:
        nobody = await limited(house, "portal.*.read_portal")
        error = await nobody.error("portal.createPortal", {"slug": "abc", "displayName": "x"}, 403)
        assert error["detail"] == "Missing permission: 'portal.*.create_portal'"

    async def test_a_portal_that_one_may_not_see_is_not_there(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        nobody = await limited(house, "portal.*.create_portal", "portal.pc_other.read_portal")
        asked: list[tuple[str, dict[str, Any]]] = [
            ("getPortal", {}),
            ("updatePortal", {"displayName": "x"}),
            ("deletePortal", {}),
            ("listSessions", {}),
            ("revokeSession", {"externalId": "user_1"}),
            ("createSession", {"externalId": "user_1", "scopes": ["keys:read"]}),
        ]
        for procedure, more in asked:
            masked = await nobody.error(f"portal.{procedure}", {"portal": portal_id} | more, 404)
            assert masked == await acme.error(f"portal.{procedure}", {"portal": "nowhere"} | more, 404)

    async def test_a_permission_for_one_portal_is_enough(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        actions = ("read_portal", "update_portal", "delete_portal", MINT)
        owner = await limited(house, *(f"portal.{portal_id}.{action}" for action in actions))
        await owner.data("portal.getPortal", {"portal": "acme-keys"})
        await owner.data("portal.updatePortal", {"portal": "acme-keys", "displayName": "x"})
        await owner.data("portal.listSessions", {"portal": "acme-keys"})
        await owner.data("portal.revokeSession", {"portal": "acme-keys", "externalId": "user_1"})
        await owner.data("portal.deletePortal", {"portal": "acme-keys"})

    async def test_sessions_can_be_listed_with_less_than_it_takes_to_make_them(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        await mint(acme)
        workspace = (await house.platform.workspaces.all())[0]
        path = f"projects/*/portals/{portal_id}/sessions/*"
        for permission in (
            f"portal.{portal_id}.read_portal_session",
            f"unkey:v1:{workspace.id}:{path}#read",
        ):
            reader = await limited(house, permission)
            (user,) = await reader.data("portal.listSessions", {"portal": portal_id})
            assert user["externalId"] == "user_1"
            which = {"portal": portal_id, "externalId": "user_1"}
            await reader.error("portal.revokeSession", which, 404)

    async def test_another_workspace_sees_nothing(self, house: House, portal_id: str) -> None:
        other = await house.tenant("other")
        for which in (portal_id, "acme-keys"):
            await other.error("portal.getPortal", {"portal": which}, 404)
            await other.error("portal.deletePortal", {"portal": which}, 404)


class TestMinting:
    async def test_a_session_begins_as_an_address(self, acme: Client, portal_id: str) -> None:
        wanted = {"portal": "acme-keys", "externalId": "user_1", "scopes": ["keys:read", "keys:read"]}
        answer = await acme.post("portal.createSession", wanted | {"returnUrl": "https://acme.test/back"})
        data = answer.json()["data"]
        assert data["id"].startswith("ps_")
        base, _, code = data["url"].partition("?code=")
        assert base == "http://127.0.0.1:8765/portal/"
        assert code.startswith("pst_") and len(code) == 28 and code[4:].isalnum()
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        (user,) = await acme.data("portal.listSessions", {"portal": portal_id})
        assert user == {
            "externalId": "user_1",
            "sessions": [
                {
                    "id": data["id"],
                    "status": "pending",
                    "createdAt": START_MS,
                    "expiresAt": START_MS + 15 * MINUTE_MS,
                    "scopes": ["keys:read"],
                }
            ],
        }

    async def test_a_scope_needs_what_it_implies(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        for scope, held, missing in (
            ("keys:read", "read_api", "read_key"),
            ("keys:read", "read_key", "read_api"),
            ("keys:create", "read_key", "create_key"),
            ("keys:reroll", "read_key", "create_key"),
            ("analytics:read", "read_key", "read_analytics"),
        ):
            unable = await limited(house, f"portal.*.{MINT}", f"api.*.{held}")
            wanted = {"portal": portal_id, "externalId": "user_1", "scopes": [scope]}
            error = await unable.error("portal.createSession", wanted, 403)
            assert error["title"] == "Insufficient Permissions"
            assert f"api.{api_id}.{missing}" in error["detail"]
            able = await limited(house, f"portal.*.{MINT}", f"api.{api_id}.{held}", f"api.{api_id}.{missing}")
            await able.data("portal.createSession", wanted)

    async def test_where_keys_are_recoverable_issuing_needs_encryption_too(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
        minter = await limited(house, f"portal.*.{MINT}", "api.*.create_key")
        wanted = {"portal": portal_id, "externalId": "user_1", "scopes": ["keys:reroll"]}
        assert "encrypt_key" in (await minter.error("portal.createSession", wanted, 403))["detail"]

    async def test_a_disabled_portal_lets_nobody_in(self, acme: Client, portal_id: str) -> None:
        await acme.data("portal.updatePortal", {"portal": portal_id, "enabled": False})
        wanted = {"portal": portal_id, "externalId": "user_1", "scopes": ["keys:read"]}
        error = await acme.error("portal.createSession", wanted, 403)
        assert error["detail"] == "This portal is disabled."

    async def test_a_portal_of_a_deleted_api_has_no_keyspace(
        self, acme: Client, api_id: str, portal_id: str
    ) -> None:
        await acme.data("apis.deleteApi", {"apiId": api_id})
        wanted = {"portal": portal_id, "externalId": "user_1", "scopes": ["keys:read"]}
        error = await acme.error("portal.createSession", wanted, 404)
        assert error["type"].endswith("key_space_not_found")

    async def test_violations_are_named(self, acme: Client, portal_id: str) -> None:
        wanted = {"portal": portal_id, "externalId": "user_1", "scopes": ["keys:read"]}
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"scopes": []}, "/properties/scopes/minItems"),
            ({"scopes": ["keys:delete"]}, "/properties/scopes/items/enum"),
            ({"externalId": ""}, "/properties/externalId/minLength"),
            ({"externalId": "x" * 257}, "/properties/externalId/maxLength"),
            ({"returnUrl": "https://" + "x" * 500}, "/properties/returnUrl/maxLength"),
        ]
        for each, location in wrong:
            error = await acme.error("portal.createSession", wanted | each, 400)
            assert [violation["location"] for violation in error["errors"]] == [location]
        error = await acme.error("portal.createSession", wanted | {"returnUrl": "javascript:x"}, 400)
        assert "`returnUrl`" in error["detail"]

    async def test_an_end_user_keeps_the_newest_sessions_and_those_in_use(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        codes = [await mint(acme) for _ in range(MOST_OF_A_USER)]
        (user,) = await acme.data("portal.listSessions", {"portal": portal_id})
        assert len(user["sessions"]) == MOST_OF_A_USER
        assert await inside.keys() == []
        assert (await exchange(house, codes[0])).status_code == 401
        assert (await exchange(house, codes[1])).status_code == 200


class TestExchanging:
    async def test_a_code_opens_its_session_once(self, house: House, acme: Client, portal_id: str) -> None:
        code = await mint(acme)
        answer = await exchange(house, code)
        data = answer.json()["data"]
        assert data["accessToken"].startswith("pat_") and len(data["accessToken"]) == 28
        assert data["expiresAt"] == START_MS + DAY_MS
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        again = await exchange(house, code)
        assert again.status_code == 401
        assert again.json()["error"]["type"].endswith("/unkey/authentication/portal_session_not_found")
        (user,) = await acme.data("portal.listSessions", {"portal": portal_id})
        assert [s["status"] for s in user["sessions"]] == ["active"]
        assert user["sessions"][0]["expiresAt"] == data["expiresAt"]

    async def test_two_who_come_with_one_code_are_let_in_once(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        code = await mint(acme)
        answers = await asyncio.gather(*(exchange(house, code) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7

    async def test_a_code_works_for_15_minutes(self, house: House, acme: Client, portal_id: str) -> None:
        early, late = await mint(acme), await mint(acme)
        house.clock.advance(15 * MINUTE_MS - 1)
        assert (await exchange(house, early)).status_code == 200
        house.clock.advance(1)
        assert (await exchange(house, late)).status_code == 401

    async def test_a_token_is_no_code_and_a_code_no_token(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        assert (await exchange(house, inside.token)).status_code == 401
        await EndUser(house.http, await mint(acme)).error("listKeys", {}, 401)

    async def test_a_wrong_body_is_a_400(self, house: House) -> None:
        for body in ({}, {"code": ""}, {"code": "x" * 513}, {"code": "pst_x", "more": 1}):
            assert (await house.http.post("/v2/portal.exchangeCode", json=body)).status_code == 400

    async def test_whoever_guesses_must_wait(self, house: House, acme: Client, portal_id: str) -> None:
        good = await mint(acme)
        for _ in range(GUESSES_PER_MINUTE):
            assert (await exchange(house, "pst_guess")).status_code == 401
        refused = await exchange(house, good)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        house.clock.advance(2 * MINUTE_MS)
        assert (await exchange(house, good)).status_code == 200

    async def test_secrets_are_kept_as_digests_only(self, house: House, acme: Client, portal_id: str) -> None:
        code = await mint(acme, "user_2")
        inside = await enter(house, acme)
        kept = await house.platform.db.read(_everything_kept, ALL_WORKSPACES)
        assert code not in kept and code[4:] not in kept
        assert inside.token not in kept and inside.token[4:] not in kept


def _everything_kept(connection: Connection) -> str:
    tables = ("portals", "portal_sessions", "audit_log", "outbox")
    rows = [connection.exec_driver_sql(f"SELECT * FROM {table}").all() for table in tables]
    return repr(rows)


class TestInside:
    async def test_an_end_user_sees_their_own_keys_of_the_portals_keyspace(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        other_id = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        mine = [(await key_of(acme, api_id))["keyId"] for _ in range(3)]
        await key_of(acme, api_id, "user_2")
        await key_of(acme, other_id)
        await acme.data("keys.createKey", {"apiId": api_id})
        inside = await enter(house, acme, scopes=["keys:read"])
        assert await inside.keys() == mine
        assert await (await enter(house, acme, "nobody")).keys() == []

    async def test_own_keys_look_as_apis_list_keys_has_them(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        await acme.data(
            "keys.createKey", {"apiId": api_id, "externalId": "user_1", "name": "n", "meta": {"a": 1}}
        )
        inside = await enter(house, acme)
        listed = await acme.data("apis.listKeys", {"apiId": api_id, "externalId": "user_1"})
        assert (await inside.post("listKeys", {})).json()["data"] == listed

    async def test_own_keys_come_in_pages(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        mine = [(await key_of(acme, api_id))["keyId"] for _ in range(3)]
        inside = await enter(house, acme)
        first = (await inside.post("listKeys", {"limit": 2})).json()
        assert [key["keyId"] for key in first["data"]] == mine[:2]
        assert first["pagination"] == {"hasMore": True, "cursor": mine[2]}
        rest = (await inside.post("listKeys", {"cursor": mine[2]})).json()
        assert [key["keyId"] for key in rest["data"]] == mine[2:]
        assert rest["pagination"] == {"hasMore": False}
        await inside.error("listKeys", {"limit": 101}, 400)
        await inside.error("listKeys", {"externalId": "user_2"}, 400)

    async def test_the_token_may_come_as_a_bearer(self, house: House, acme: Client, portal_id: str) -> None:
        inside = await enter(house, acme)
        headers = {"authorization": f"Bearer {inside.token}"}
        answer = await house.http.post("/v2/portal.listKeys", json={}, headers=headers)
        assert answer.status_code == 200

    async def test_without_a_token_nothing_is_looked_at(self, house: House) -> None:
        for headers in (
            {},
            {"cookie": "portal_session="},
            {"cookie": "Portal_Session=pat_x; other=1"},
            {"authorization": "Basic pat_x"},
            {"authorization": "Bearer"},
        ):
            answer = await house.http.post("/v2/portal.listKeys", json={"nonsense": 1}, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["type"].endswith("/unkey/authentication/portal_token_missing")

    async def test_two_authorization_headers_are_none(self, house: House) -> None:
        headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
        answer = await house.http.post("/v2/portal.listKeys", json={}, headers=headers)
        assert answer.json()["error"]["type"].endswith("portal_token_missing")

    async def test_a_bad_body_comes_before_a_bad_token(self, house: House) -> None:
        await EndUser(house.http, "pat_x").error("listKeys", {"limit": 0}, 400)

    async def test_a_stranger_is_a_401(self, house: House, acme: Client, portal_id: str) -> None:
        for token in ("pat_x", acme.key):
            error = await EndUser(house.http, token).error("listKeys", {}, 401)
            assert error["type"].endswith("/unkey/authentication/portal_session_not_found")

    async def test_an_access_token_is_no_root_key(self, house: House, acme: Client, portal_id: str) -> None:
        inside = await enter(house, acme)
        await Client(house.http, inside.token).error("apis.listApis", {}, 401)

    async def test_another_site_cannot_use_the_cookie(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        await inside.error("listKeys", {}, 403, **{"sec-fetch-site": "cross-site"})
        bearer = {"authorization": f"Bearer {inside.token}", "sec-fetch-site": "cross-site"}
        answer = await house.http.post("/v2/portal.listKeys", json={}, headers=bearer)
        assert answer.status_code == 200

    async def test_a_session_can_do_no_more_than_its_scopes(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        window = {"startTime": 1, "endTime": 2}
        asked: list[tuple[str, dict[str, Any], str]] = [
            ("listKeys", {}, "keys:read"),
            ("getVerifications", window, "analytics:read"),
            ("rerollKey", {"keyId": "key_unknown1", "expiration": 0}, "keys:reroll"),
        ]
        for procedure, body, scope in asked:
            inside = await enter(house, acme, scopes=[each for each in EVERYTHING if each != scope])
            error = await inside.error(procedure, body, 403)
            assert error["detail"] == f"Missing permission: '{scope}'"

    async def test_a_token_works_for_24_hours(self, house: House, acme: Client, portal_id: str) -> None:
        inside = await enter(house, acme)
        house.clock.advance(DAY_MS - 1)
        await inside.keys()
        house.clock.advance(1)
        await inside.error("listKeys", {}, 401)
        assert await acme.data("portal.listSessions", {"portal": portal_id}) == []

    async def test_a_disabled_portal_ends_its_sessions_for_good(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside, code = await enter(house, acme), await mint(acme)
        await acme.data("portal.updatePortal", {"portal": portal_id, "enabled": False})
        await inside.error("listKeys", {}, 401)
        await acme.data("portal.updatePortal", {"portal": portal_id, "enabled": True})
        await inside.error("listKeys", {}, 401)
        assert (await exchange(house, code)).status_code == 401

    async def test_a_deleted_portal_ends_its_sessions(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside, code = await enter(house, acme), await mint(acme)
        await acme.data("portal.deletePortal", {"portal": portal_id})
        await inside.error("listKeys", {}, 401)
        assert (await exchange(house, code)).status_code == 401

    async def test_a_portal_that_serves_another_keyspace_ends_its_sessions(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        other_id = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        change = {"portal": portal_id, "keyspaceId": await keyspace_of(acme, other_id)}
        await acme.data("portal.updatePortal", change)
        await inside.error("listKeys", {}, 401)
        assert await (await enter(house, acme)).keys() == []

    async def test_another_name_or_look_ends_nothing(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        change = {"portal": portal_id, "slug": "acme-2", "primaryColor": "#000000"}
        await acme.data("portal.updatePortal", change)
        assert await inside.keys() == []

    async def test_a_deleted_api_has_no_keys(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        await acme.data("apis.deleteApi", {"apiId": api_id})
        error = await inside.error("listKeys", {}, 404)
        assert error["type"].endswith("api_not_found")

    async def test_nobody_is_let_into_a_disabled_workspace(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        await house.platform.db.write(
            lambda c: c.execute(workspaces.update().values(enabled=False)) and None, ALL_WORKSPACES
        )
        error = await inside.error("listKeys", {}, 403)
        assert error["title"] == "Workspace is disabled"

    async def test_one_session_cannot_use_up_the_workspace(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        for _ in range(CALLS_PER_MINUTE):
            await inside.keys()
        await inside.error("listKeys", {}, 429)
        assert await (await enter(house, acme)).keys() == []

    async def test_a_session_counts_against_the_workspaces_quota(self, house: House) -> None:
        small = await house.tenant("small", quota=6)
        api_id = (await small.data("apis.createApi", {"name": "api"}))["apiId"]
        wanted = {"slug": "acme-keys", "displayName": "x", "keyspaceId": await keyspace_of(small, api_id)}
        await small.data("portal.createPortal", wanted)
        inside = await enter(house, small)
        answer = await inside.post("listKeys", {})
        assert answer.headers["ratelimit-limit"] == "6"
        assert answer.headers["ratelimit-remaining"] == "1"
        await inside.keys()
        await inside.error("listKeys", {}, 429)


class TestRevoking:
    async def test_every_session_of_an_end_user_ends_at_once(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside, code = await enter(house, acme), await mint(acme)
        other = await enter(house, acme, "user_2")
        which = {"portal": portal_id, "externalId": "user_1"}
        assert await acme.data("portal.revokeSession", which) == {"sessionsRevoked": 2}
        await inside.error("listKeys", {}, 401)
        assert (await exchange(house, code)).status_code == 401
        assert await other.keys() == []
        assert await acme.data("portal.revokeSession", which) == {"sessionsRevoked": 0}

    async def test_what_has_expired_is_not_revoked(self, house: House, acme: Client, portal_id: str) -> None:
        await mint(acme)
        house.clock.advance(HOUR_MS)
        which = {"portal": portal_id, "externalId": "user_1"}
        assert await acme.data("portal.revokeSession", which) == {"sessionsRevoked": 0}


class TestListing:
    async def test_end_users_come_in_order_with_their_newest_session_first(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        for user in ("b", "a", "b"):
            await mint(acme, user)
        await enter(house, acme, "b")
        users = await acme.data("portal.listSessions", {"portal": portal_id})
        told = [(user["externalId"], [s["status"] for s in user["sessions"]]) for user in users]
        assert told == [("a", ["pending"]), ("b", ["active", "pending", "pending"])]

    async def test_pages_are_walked_by_cursor(self, acme: Client, portal_id: str) -> None:
        for number in range(5):
            await mint(acme, f"user_{number}")
        body: dict[str, Any] = {"portal": portal_id, "limit": 2}
        seen: list[str] = []
        while True:
            page = (await acme.post("portal.listSessions", body)).json()
            seen += [user["externalId"] for user in page["data"]]
            if not page["pagination"]["hasMore"]:
                break
            body["cursor"] = page["pagination"]["cursor"]
        assert seen == [f"user_{number}" for number in range(5)]
        assert "cursor" not in page["pagination"]

    async def test_search_finds_a_part_in_any_case(self, acme: Client, portal_id: str) -> None:
        for user in ("User_1", "user%2", "other"):
            await mint(acme, user)
        for search, found in (
            ("USER", ["User_1", "user%2"]),
            ("_1", ["User_1"]),
            ("%", ["user%2"]),
            ("  other ", ["other"]),
            (" ", ["User_1", "other", "user%2"]),
            ("none", []),
        ):
            users = await acme.data("portal.listSessions", {"portal": portal_id, "search": search})
            assert [user["externalId"] for user in users] == found

    async def test_a_preview_says_so(self, acme: Client, portal_id: str) -> None:
        await mint(acme, preview=True)
        (user,) = await acme.data("portal.listSessions", {"portal": portal_id})
        assert user["sessions"][0]["preview"] is True

    async def test_sessions_of_another_portal_are_not_told(self, acme: Client, portal_id: str) -> None:
        other_id = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        wanted = {"slug": "other", "displayName": "x", "keyspaceId": await keyspace_of(acme, other_id)}
        await acme.data("portal.createPortal", wanted)
        await mint(acme)
        assert await acme.data("portal.listSessions", {"portal": "other"}) == []


class TestRerolling:
    async def test_an_end_user_gets_a_new_text_for_their_own_key(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        wanted = {"apiId": api_id, "externalId": "user_1", "name": "n", "permissions": ["a"]}
        old = await acme.data("keys.createKey", wanted)
        inside = await enter(house, acme, scopes=["keys:reroll"])
        answer = await inside.post("rerollKey", {"keyId": old["keyId"], "expiration": 0})
        new = answer.json()["data"]
        assert set(new) == {"keyId", "key"}
        house.clock.advance(1)
        verdicts = [await acme.data("keys.verifyKey", {"key": key["key"]}) for key in (old, new)]
        assert [verdict["code"] for verdict in verdicts] == ["EXPIRED", "VALID"]
        assert verdicts[1]["name"] == "n" and verdicts[1]["identity"]["externalId"] == "user_1"
        assert await (await enter(house, acme)).keys() == [old["keyId"], new["keyId"]]

    async def test_a_key_of_somebody_else_is_not_found(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        other_id = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        foreign = [
            (await key_of(acme, api_id, "user_2"))["keyId"],
            (await key_of(acme, other_id))["keyId"],
            (await acme.data("keys.createKey", {"apiId": api_id}))["keyId"],
            "key_unknown1",
        ]
        await key_of(acme, api_id)
        inside = await enter(house, acme)
        errors = [await inside.error("rerollKey", {"keyId": key, "expiration": 0}, 404) for key in foreign]
        assert all(error == errors[-1] for error in errors)
        assert errors[-1]["type"].endswith("/unkey/data/key_not_found")

    async def test_a_key_of_an_identity_that_was_deleted_is_nobodys(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        old = await key_of(acme, api_id)
        inside = await enter(house, acme)
        await acme.post("identities.deleteIdentity", {"identity": "user_1"})
        await inside.error("rerollKey", {"keyId": old["keyId"], "expiration": 0}, 404)
        assert await inside.keys() == []

    async def test_credits_are_not_doubled(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        wanted = {"apiId": api_id, "externalId": "user_1", "credits": {"remaining": 7}}
        old = await acme.data("keys.createKey", wanted)
        inside = await enter(house, acme)
        for expiration in (HOUR_MS, None):
            error = await inside.error("rerollKey", {"keyId": old["keyId"], "expiration": expiration}, 412)
            assert "`expiration`" in error["detail"]
        new = (await inside.post("rerollKey", {"keyId": old["keyId"], "expiration": 0})).json()["data"]
        assert (await acme.data("keys.getKey", {"keyId": new["keyId"]}))["credits"] == {"remaining": 7}

    async def test_a_key_without_credits_may_live_on_for_a_while(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        old = await key_of(acme, api_id)
        inside = await enter(house, acme)
        await inside.post("rerollKey", {"keyId": old["keyId"], "expiration": HOUR_MS})
        assert (await acme.data("keys.verifyKey", {"key": old["key"]}))["code"] == "VALID"

    async def test_rerolls_of_an_end_user_are_few(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        key = await key_of(acme, api_id)
        body = {"keyId": key["keyId"], "expiration": None}
        inside, again = await enter(house, acme), await enter(house, acme)
        for _ in range(REROLLS_PER_HOUR):
            assert (await inside.post("rerollKey", body)).status_code == 200
        assert "an hour" in (await again.error("rerollKey", body, 429))["detail"]

    async def test_a_wrong_body_is_a_400(self, house: House, acme: Client, portal_id: str) -> None:
        inside = await enter(house, acme)
        for body in ({}, {"keyId": "key_unknown1"}, {"keyId": "x", "expiration": 0}):
            await inside.error("rerollKey", body, 400)

    async def test_the_audit_log_says_that_it_was_the_end_user(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        key = await key_of(acme, api_id)
        inside = await enter(house, acme)
        await inside.post("rerollKey", {"keyId": key["keyId"], "expiration": 0})
        (actor,) = await house.platform.db.read(
            lambda connection: (
                connection.exec_driver_sql("SELECT actor FROM audit_log WHERE event = 'key.reroll'")
                .scalars()
                .all()
            ),
            ALL_WORKSPACES,
        )
        assert '"portalSession"' in actor and "user_1" in actor


class TestVerifications:
    async def test_each_key_has_its_own_series_and_all_have_one(
        self, house: House, acme: Client, api_id: str, portal_id: str
    ) -> None:
        first, second = await key_of(acme, api_id), await key_of(acme, api_id)
        foreign = await key_of(acme, api_id, "user_2")
        for key in (first, first, second, foreign):
            await acme.data("keys.verifyKey", {"key": key["key"]})
        await acme.data("keys.updateKey", {"keyId": second["keyId"], "enabled": False})
        house.clock.advance(MINUTE_MS)
        await acme.data("keys.verifyKey", {"key": second["key"]})
        inside = await enter(house, acme)
        window = {"startTime": START_MS - MINUTE_MS, "endTime": START_MS + 2 * MINUTE_MS}
        answer = (await inside.post("getVerifications", window)).json()
        assert set(answer) == {"meta", "bucketMillis", "keys", "data"}
        assert answer["bucketMillis"] == MINUTE_MS
        series = {key["keyId"]: key["data"] for key in answer["keys"]}
        assert set(series) == {first["keyId"], second["keyId"]}
        assert [point["total"] for point in series[first["keyId"]]] == [0, 2, 0]
        assert [point["valid"] for point in series[second["keyId"]]] == [0, 1, 0]
        assert [point["disabled"] for point in series[second["keyId"]]] == [0, 0, 1]
        assert [(point["time"], point["total"]) for point in answer["data"]] == [
            (START_MS - MINUTE_MS, 0),
            (START_MS, 3),
            (START_MS + MINUTE_MS, 1),
        ]
        assert set(answer["data"][0]) == {
            "time",
            "total",
            "valid",
            "rateLimited",
            "insufficientPermissions",
            "forbidden",
            "disabled",
            "expired",
            "usageExceeded",
        }
        one = (await inside.post("getVerifications", window | {"keyId": first["keyId"]})).json()
        assert [key["keyId"] for key in one["keys"]] == [first["keyId"]]
        other = (await inside.post("getVerifications", window | {"keyId": foreign["keyId"]})).json()
        assert other["keys"] == []
        assert [point["total"] for point in other["data"]] == [0, 0, 0]

    async def test_a_longer_time_has_longer_buckets(self, house: House, acme: Client, portal_id: str) -> None:
        inside = await enter(house, acme)
        start_ms = START_MS - START_MS % DAY_MS
        for window_ms, bucket_ms, points in (
            (6 * HOUR_MS, MINUTE_MS, 360),
            (6 * HOUR_MS + 1, HOUR_MS, 7),
            (7 * DAY_MS, HOUR_MS, 168),
            (7 * DAY_MS + 1, DAY_MS, 8),
        ):
            window = {"startTime": start_ms, "endTime": start_ms + window_ms}
            answer = (await inside.post("getVerifications", window)).json()
            assert (answer["bucketMillis"], len(answer["data"])) == (bucket_ms, points)

    async def test_a_time_that_makes_no_sense_is_named(
        self, house: House, acme: Client, portal_id: str
    ) -> None:
        inside = await enter(house, acme)
        for window in ({"startTime": 2, "endTime": 2}, {"startTime": 3, "endTime": 2}):
            error = await inside.error("getVerifications", window, 400)
            assert "`startTime`" in error["detail"]
        long = {"startTime": START_MS - 91 * DAY_MS, "endTime": START_MS}
        error = await inside.error("getVerifications", long, 400)
        assert error["type"].endswith("/user/bad_request/query_range_exceeds_retention")
        assert "90 days" in error["detail"]


class TestAudit:
    async def test_whatever_changes_is_written_down(self, house: House, acme: Client, portal_id: str) -> None:
        await enter(house, acme)
        await acme.data("portal.updatePortal", {"portal": portal_id, "displayName": "x"})
        await acme.data("portal.revokeSession", {"portal": portal_id, "externalId": "user_1"})
        await acme.data("portal.deletePortal", {"portal": portal_id})
        workspace = (await house.platform.workspaces.all())[0]
        rows = await house.platform.db.read(_portal_rows, ALL_WORKSPACES)
        assert [event for event, _ in rows] == [
            "portal.create",
            "portalSession.create",
            "portalSession.open",
            "portal.update",
            "portalSession.revoke",
            "portal.delete",
        ]
        assert '"portalSession"' in rows[2][1] and "user_1" in rows[2][1]
        assert (
            await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None
        )


def _portal_rows(connection: Connection) -> list[tuple[str, str]]:
    sql = "SELECT event, actor FROM audit_log WHERE event LIKE 'portal%%' ORDER BY seq"
    return [(row.event, row.actor) for row in connection.exec_driver_sql(sql)]
