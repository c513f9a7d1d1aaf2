"""Taking keys over by their hashes, through the outermost door."""

import asyncio
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest

from latchwork.domains import audit
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import START_MS, Client, House

PREFIXED = "github.com/seamapi/prefixed-api-key"
NOT_FOUND = {"valid": False, "code": "NOT_FOUND"}


def hashed(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def last_part_hashed(text: str) -> str:
    return sha256(text.rpartition("_")[2].encode()).hexdigest()


async def migration(client: Client, algorithm: str = "sha256") -> str:
    made: dict[str, str] = await client.data("migrations.createMigration", {"algorithm": algorithm})
    return made["migrationId"]


async def migrate(client: Client, api_id: str, *keys: dict[str, Any], into: str | None = None) -> Any:
    body = {"migrationId": into or await migration(client), "apiId": api_id, "keys": keys}
    return await client.data("keys.migrateKeys", body)


async def events(house: House) -> list[str]:
    from latchwork.domains.audit.tables import audit_log

    def question(connection: Any) -> list[str]:
        rows = connection.execute(audit_log.select().order_by(audit_log.c.workspace_id, audit_log.c.seq))
        for workspace_id in {row.workspace_id for row in rows}:
            assert audit.first_break(connection, workspace_id) is None
        rows = connection.execute(audit_log.select().order_by(audit_log.c.workspace_id, audit_log.c.seq))
        return [row.event for row in rows]

    return await house.platform.db.read(question, ALL_WORKSPACES)


class TestMigrationRecords:
    async def test_migrations_are_created_and_listed_by_their_own_workspace(
        self, house: House, acme: Client
    ) -> None:
        made = [await migration(acme), await migration(acme, PREFIXED)]
        page = (await acme.post("migrations.listMigrations", {"limit": 1})).json()
        assert page["data"] == [{"migrationId": made[0], "algorithm": "sha256", "createdAt": START_MS}]
        assert page["pagination"] == {"hasMore": True, "cursor": made[1]}
        (rest,) = await acme.data("migrations.listMigrations", {"cursor": made[1]})
        assert (rest["migrationId"], rest["algorithm"]) == (made[1], PREFIXED)
        assert await (await house.tenant("other")).data("migrations.listMigrations", {}) == []
        assert (await events(house)).count("migration.create") == 2

    async def test_they_need_the_right_to_create_keys_of_every_api(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        workspace = (await house.platform.workspaces.all())[0]
        nobody = await house.root_key(workspace.id, f"api.{api_id}.create_key")
        for procedure, body in (("createMigration", {"algorithm": "sha256"}), ("listMigrations", {})):
            error = await nobody.error(f"migrations.{procedure}", body, 403)
            assert error["detail"] == "Missing permission: 'api.*.create_key'"

    async def test_an_algorithm_that_nobody_knows_is_named(self, acme: Client) -> None:
        error = await acme.error("migrations.createMigration", {"algorithm": "md5"}, 400)
        assert error["errors"][0]["location"].startswith("/properties/algorithm")


class TestMigrateKeys:
    @pytest.mark.parametrize(
        "hash_",
        [
            hashed("old_key_1"),
            hashed("old_key_1").rstrip("="),
            urlsafe_b64encode(sha256(b"old_key_1").digest()).decode(),
            sha256(b"old_key_1").hexdigest(),
            sha256(b"old_key_1").hexdigest().upper(),
        ],
    )
    async def test_a_key_verifies_under_its_old_text_at_once(
        self, acme: Client, api_id: str, hash_: str
    ) -> None:
        assert await acme.data("keys.verifyKey", {"key": "old_key_1"}) == NOT_FOUND
        done = await migrate(acme, api_id, {"hash": hash_})
        (migrated,) = done["migrated"]
        assert migrated["hash"] == hash_
        assert done["failed"] == []
        verdict = await acme.data("keys.verifyKey", {"key": "old_key_1"})
        assert (verdict["code"], verdict["keyId"]) == ("VALID", migrated["keyId"])

    async def test_everything_that_belongs_to_a_key_comes_with_it(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        limit = {"name": "requests", "limit": 5, "duration": 60_000, "autoApply": True}
        wanted = {
            "hash": hashed("a"),
            "name": "n",
            "externalId": "user 1 / ünïcode",
            "meta": {"plan": "pro"},
            "roles": ["admin", "Admin"],
            "permissions": ["docs.read", "docs.write", "docs.read"],
            "expires": START_MS + 1000,
            "enabled": False,
            "credits": {
                "remaining": 7,
                "refill": {"interval": "monthly", "amount": 9, "refillDay": 31},
            },
            "ratelimits": [limit | {"limit": 1}, limit],
            "ipWhitelist": ["10.0.0.0/8"],
        }
        (migrated,) = (await migrate(acme, api_id, wanted))["migrated"]
        key = await acme.data("keys.getKey", {"keyId": migrated["keyId"]})
        assert key["start"] == ""
        assert (key["name"], key["meta"], key["enabled"]) == ("n", {"plan": "pro"}, False)
        assert key["identity"]["externalId"] == "user 1 / ünïcode"
        assert key["permissions"] == ["docs.read", "docs.write"]
        assert [role.casefold() for role in key["roles"]] == ["admin"]
        assert key["expires"] == START_MS + 1000
        assert key["credits"] == wanted["credits"]
        assert [(rule["name"], rule["limit"]) for rule in key["ratelimits"]] == [("requests", 5)]
        assert key["ipWhitelist"] == ["10.0.0.0/8"]
        written = await events(house)
        for event in ("identity.create", "role.create", "key.create", "authorization.connect_role_and_key"):
            assert event in written
        assert written.count("permission.create") == written.count("authorization.connect_permission_and_key")

    async def test_what_exists_already_is_used_and_not_made_again(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        belongings = {"externalId": "user_1", "permissions": ["read"], "roles": ["admin"]}
        first = await migrate(acme, api_id, {"hash": hashed("a")} | belongings)
        second = await migrate(acme, api_id, {"hash": hashed("b")} | belongings, {"hash": hashed("c")})
        keys = [
            await acme.data("keys.getKey", {"keyId": each["keyId"]})
            for each in (*first["migrated"], *second["migrated"])
        ]
        assert keys[0]["identity"] == keys[1]["identity"]
        assert "identity" not in keys[2]
        written = await events(house)
        assert [written.count(f"{noun}.create") for noun in ("identity", "permission", "role")] == [1, 1, 1]

    async def test_a_hash_that_any_key_has_fails_by_itself(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        theirs = await house.tenant("other")
        their_api = (await theirs.data("apis.createApi", {"name": "theirs"}))["apiId"]
        foreign = await theirs.data("keys.createKey", {"apiId": their_api})
        deleted = await acme.data("keys.createKey", {"apiId": api_id})
        await acme.data("keys.deleteKey", {"keyId": deleted["keyId"]})
        taken = [hashed(foreign["key"]), hashed(deleted["key"]), hashed(acme.key)]
        done = await migrate(acme, api_id, *({"hash": each} for each in [*taken, hashed("new")]))
        assert done["failed"] == taken
        assert [each["hash"] for each in done["migrated"]] == [hashed("new")]
        assert (await theirs.data("keys.verifyKey", {"key": foreign["key"]}))["valid"] is True
        assert await acme.data("keys.verifyKey", {"key": foreign["key"]}) == NOT_FOUND
        again = await migrate(acme, api_id, {"hash": taken[0]})
        assert again == {"migrated": [], "failed": [taken[0]]}

    async def test_of_the_same_hash_the_last_one_is_taken_once(self, acme: Client, api_id: str) -> None:
        twice = [{"hash": hashed("a"), "name": "first"}, {"hash": sha256(b"a").hexdigest(), "name": "last"}]
        done = await migrate(acme, api_id, *twice)
        (migrated,) = done["migrated"]
        assert (migrated["hash"], done["failed"]) == (twice[1]["hash"], [])
        assert (await acme.data("keys.getKey", {"keyId": migrated["keyId"]}))["name"] == "last"

    async def test_many_keys_are_taken_in_their_order(self, acme: Client, api_id: str) -> None:
        texts = [f"many_{n}" for n in range(1200)]
        done = await migrate(acme, api_id, *({"hash": hashed(text)} for text in texts))
        assert [each["hash"] for each in done["migrated"]] == [hashed(text) for text in texts]
        assert (await acme.data("keys.verifyKey", {"key": texts[-1]}))["valid"] is True

    async def test_null_credits_are_unlimited(self, acme: Client, api_id: str) -> None:
        done = await migrate(acme, api_id, {"hash": hashed("a"), "credits": {"remaining": None}})
        key = await acme.data("keys.getKey", {"keyId": done["migrated"][0]["keyId"]})
        assert "credits" not in key

    async def test_permission_comes_first_then_the_api_then_the_migration(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        workspace = (await house.platform.workspaces.all())[0]
        nobody = await house.root_key(workspace.id, "api.*.read_key")
        somebody = await house.root_key(workspace.id, f"api.{api_id}.create_key")
        known = await migration(acme)
        keys = [{"hash": hashed("a")}]

        def body(migration_id: str, api: str) -> dict[str, Any]:
            return {"migrationId": migration_id, "apiId": api, "keys": keys}

        await nobody.error("keys.migrateKeys", body("mig_none", "api_unknown1"), 403)
        error = await acme.error("keys.migrateKeys", body("mig_none", "api_unknown1"), 404)
        assert error["type"].endswith("data/api_not_found")
        error = await acme.error("keys.migrateKeys", body("mig_none", api_id), 404)
        assert error["type"].endswith("data/migration_not_found")
        assert (await somebody.data("keys.migrateKeys", body(known, api_id)))["failed"] == []
        other = await house.tenant("other")
        their_api = (await other.data("apis.createApi", {"name": "theirs"}))["apiId"]
        foreign = await other.error("keys.migrateKeys", body(known, their_api), 404)
        assert foreign == await other.error("keys.migrateKeys", body("mig_none", their_api), 404)
        await other.error("keys.migrateKeys", body(known, api_id), 404)

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"hash": "not a hash at all"}, "`hash`"),
            ({"hash": "-_" * 10}, "`hash`"),
            ({"hash": "é" * 64}, "`hash`"),
            (
                {"credits": {"remaining": None, "refill": {"interval": "daily", "amount": 1}}},
                "credits.remaining",
            ),
            ({"credits": {"remaining": 1, "refill": {"interval": "monthly", "amount": 1}}}, "refillDay"),
            ({"ipWhitelist": ["nowhere"]}, "ipWhitelist"),
        ],
    )
    async def test_what_makes_no_sense_is_named_and_nothing_is_taken(
        self, acme: Client, api_id: str, wrong: dict[str, Any], named: str
    ) -> None:
        keys = [{"hash": hashed("a")}, {"hash": hashed("b")} | wrong]
        body = {"migrationId": await migration(acme), "apiId": api_id, "keys": keys}
        error = await acme.error("keys.migrateKeys", body, 400)
        assert "keys[1]" in error["detail"] and named in error["detail"]
        assert await acme.data("apis.listKeys", {"apiId": api_id}) == []

    async def test_the_schema_bounds_the_list_and_the_hash(self, acme: Client, api_id: str) -> None:
        body = {"migrationId": await migration(acme), "apiId": api_id}
        for keys in ([], [{"hash": "ab"}], [{"hash": hashed("a"), "other": 1}]):
            await acme.error("keys.migrateKeys", body | {"keys": keys}, 400)

    async def test_two_requests_with_the_same_hashes_take_each_once(self, acme: Client, api_id: str) -> None:
        into = await migration(acme)
        keys = [{"hash": hashed(f"k{n}")} for n in range(20)]
        both = await asyncio.gather(
            migrate(acme, api_id, *keys, into=into), migrate(acme, api_id, *reversed(keys), into=into)
        )
        assert sorted(each["hash"] for done in both for each in done["migrated"]) == sorted(
            key["hash"] for key in keys
        )
        assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 20


class TestFirstUse:
    KEY = "my_company_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG"

    async def pending(self, acme: Client, api_id: str, **more: Any) -> str:
        into = await migration(acme, PREFIXED)
        done = await migrate(acme, api_id, {"hash": last_part_hashed(self.KEY)} | more, into=into)
        assert len(done["migrated"]) == 1
        return into

    async def test_a_prefixed_key_is_recognised_by_its_last_part_and_known_from_then_on(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        into = await self.pending(acme, api_id, credits={"remaining": 5})
        for unknown in (self.KEY, self.KEY.rpartition("_")[2]):
            assert await acme.data("keys.verifyKey", {"key": unknown}) == NOT_FOUND
        first = await acme.data("keys.verifyKey", {"key": self.KEY, "migrationId": into})
        assert (first["code"], first["credits"]) == ("VALID", 4)
        second = await acme.data("keys.verifyKey", {"key": self.KEY})
        assert (second["keyId"], second["credits"]) == (first["keyId"], 3)
        third = await acme.data("keys.verifyKey", {"key": self.KEY, "migrationId": into})
        assert third["credits"] == 2
        key = await acme.data("keys.whoami", {"key": self.KEY})
        assert key["start"] == "my_company_BRTR"
        assert (await events(house)).count("key.update") == 1
        again = await migrate(acme, api_id, {"hash": last_part_hashed(self.KEY)}, into=into)
        assert again["failed"] == [], "the hash of the part is free again"

    async def test_the_last_part_alone_is_no_key(self, acme: Client, api_id: str) -> None:
        into = await self.pending(acme, api_id)
        part = self.KEY.rpartition("_")[2]
        assert await acme.data("keys.verifyKey", {"key": part}) == NOT_FOUND
        await acme.error("keys.whoami", {"key": part}, 404)
        error = await acme.error("keys.verifyKey", {"key": part, "migrationId": into}, 400)
        assert "three parts" in error["detail"]

    async def test_many_first_uses_at_once_all_pass_and_spend_once_each(
        self, acme: Client, api_id: str
    ) -> None:
        into = await self.pending(acme, api_id, credits={"remaining": 100})
        asked = {"key": self.KEY, "migrationId": into}
        verdicts = await asyncio.gather(*(acme.data("keys.verifyKey", asked) for _ in range(20)))
        assert {verdict["code"] for verdict in verdicts} == {"VALID"}
        assert sorted(verdict["credits"] for verdict in verdicts) == list(range(80, 100))

    async def test_a_bulk_verification_recognises_keys_too(self, acme: Client, api_id: str) -> None:
        into = await self.pending(acme, api_id)
        asked = [{"key": self.KEY, "migrationId": into}, {"key": self.KEY}, {"key": "unknown"}]
        verdicts = await acme.data("keys.verifyKeys", {"requests": asked})
        assert [verdict["code"] for verdict in verdicts] == ["VALID", "VALID", "NOT_FOUND"]

    async def test_another_migration_workspace_or_caller_does_not_recognise_it(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        into = await self.pending(acme, api_id)
        others = [await migration(acme, PREFIXED), await migration(acme), "mig_unknown"]
        for other in others:
            asked = {"key": self.KEY, "migrationId": other}
            assert await acme.data("keys.verifyKey", asked) == NOT_FOUND
        asked = {"key": self.KEY, "migrationId": into}
        stranger = await house.tenant("other")
        assert await stranger.data("keys.verifyKey", asked) == NOT_FOUND
        workspace = (await house.platform.workspaces.all())[0]
        nobody = await house.root_key(workspace.id, "api.*.read_key")
        assert await nobody.data("keys.verifyKey", asked) == NOT_FOUND
        assert (await acme.data("keys.verifyKey", asked))["code"] == "VALID"
        assert await stranger.data("keys.verifyKey", asked) == NOT_FOUND

    async def test_explaining_takes_nothing_over(self, acme: Client, api_id: str) -> None:
        asked = {"key": self.KEY, "migrationId": await self.pending(acme, api_id)}
        assert (await acme.data("keys.explainKey", asked))["code"] == "NOT_FOUND"
        assert await acme.data("keys.verifyKey", {"key": self.KEY}) == NOT_FOUND
        assert (await acme.data("keys.verifyKey", asked))["code"] == "VALID"

    async def test_a_deleted_key_or_api_is_not_recognised(self, acme: Client, api_id: str) -> None:
        into = await self.pending(acme, api_id)
        (key,) = await acme.data("apis.listKeys", {"apiId": api_id})
        await acme.data("keys.deleteKey", {"keyId": key["keyId"]})
        assert await acme.data("keys.verifyKey", {"key": self.KEY, "migrationId": into}) == NOT_FOUND

    async def test_a_text_that_another_key_has_already_stays_that_keys(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other = await house.tenant("other")
        their_api = (await other.data("apis.createApi", {"name": "theirs"}))["apiId"]
        await migrate(other, their_api, {"hash": hashed(self.KEY)})
        into = await self.pending(acme, api_id)
        assert await acme.data("keys.verifyKey", {"key": self.KEY, "migrationId": into}) == NOT_FOUND
        assert (await other.data("keys.verifyKey", {"key": self.KEY}))["valid"] is True

    async def test_the_first_use_of_a_whole_hash_tells_what_may_be_shown(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        texts = ["prod_2aFxQv7p1M5jZ8cR4kTnYe", "sk-abcdefghijklmnop", "tiny"]
        await migrate(acme, api_id, *({"hash": hashed(text)} for text in texts))
        for text in texts:
            assert (await acme.data("keys.verifyKey", {"key": text}))["valid"] is True
            assert (await acme.data("keys.verifyKeys", {"requests": [{"key": text}]}))[0]["valid"] is True
        shown = [(await acme.data("keys.whoami", {"key": text}))["start"] for text in texts]
        assert shown == ["prod_2aFx", "sk-a", "t"]
        assert (await events(house)).count("key.update") == 3
        assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 3

    async def test_two_first_uses_of_a_whole_hash_at_once_tell_it_once(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await migrate(acme, api_id, {"hash": hashed("abc")}, {"hash": hashed("abcdefgh")})
        await asyncio.gather(*(acme.data("keys.verifyKey", {"key": "abcdefgh"}) for _ in range(5)))
        assert (await acme.data("keys.verifyKey", {"key": "abc"}))["valid"] is True
        assert (await acme.data("keys.whoami", {"key": "abc"}))["start"] == ""
        assert (await events(house)).count("key.update") == 1
