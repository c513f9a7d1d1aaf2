"""Keys made from their texts or hashes, at once or in the background, through the outermost door."""

import asyncio
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import Table

from latchwork.domains.jobs.tables import jobs
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, metadata
from latchwork.settings import EncryptionSettings, Secret
from tests.surfaces.rpc.conftest import START_MS, Client, House
from tests.surfaces.rpc.test_migrations import (
    NOT_FOUND,
    PREFIXED,
    events,
    hashed,
    last_part_hashed,
    migrate,
    migration,
)

KEY = SealingKey.fresh()


@pytest.fixture
def encryption() -> EncryptionSettings:
    return EncryptionSettings(key=Secret(KEY.reveal()))


def by_hash(text: str, **more: Any) -> dict[str, Any]:
    return {"hash": {"value": hashed(text), "variant": "sha256_base64"}} | more


def without(body: dict[str, Any], *members: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in members}


async def made(client: Client, *keys: dict[str, Any]) -> list[str]:
    ids: list[str] = (await client.data("migrations.createKeys", list(keys)))["keyIds"]
    return ids


async def enqueue(
    house: House, client: Client, api_id: str, *keys: dict[str, Any], into: str | None = None
) -> dict[str, Any]:
    """What a job has come to when it is over."""
    body = {"migrationId": into or await migration(client), "apiId": api_id, "keys": keys}
    answer = await client.post("migrations.enqueueKeys", body)
    assert answer.status_code == 202, answer.text
    await house.platform.runner.settled()
    job: dict[str, Any] = await client.data("migrations.getJob", answer.json()["data"])
    return job


def rows_of(connection: Connection, table: Table) -> list[Any]:
    return list(connection.execute(table.select()))


async def limited(house: House, *permissions: str) -> Client:
    return await house.root_key((await house.platform.workspaces.all())[0].id, *permissions)


async def roles(house: House, acme: Client, api_id: str, *names: str) -> None:
    """See to it that roles exist."""
    await migrate(acme, api_id, {"hash": hashed("\n".join(names)), "roles": list(names)})


class TestCreateKeys:
    async def test_keys_verify_at_once_under_their_old_texts(self, acme: Client, api_id: str) -> None:
        keys = [
            by_hash("old_1", apiId=api_id),
            {"plaintext": "old_2", "apiId": api_id},
            {
                "hash": {"value": sha256(b"old_3").hexdigest(), "variant": "sha256_hex"},
                "apiId": api_id,
            },
        ]
        ids = await made(acme, *keys)
        for key_id, text in zip(ids, ("old_1", "old_2", "old_3"), strict=True):
            verdict = await acme.data("keys.verifyKey", {"key": text})
            assert (verdict["code"], verdict["keyId"]) == ("VALID", key_id)

    async def test_everything_that_belongs_to_a_key_comes_with_it(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await roles(house, acme, api_id, "admin")
        await acme.data("keys.createKey", {"apiId": api_id, "permissions": ["read"]})
        wanted = by_hash(
            "a",
            apiId=api_id,
            start="prod_2aFx",
            prefix="prod",
            name="n",
            ownerId="user_1",
            meta={"a": 1},
            roles=["Admin"],
            permissions=["read"],
            expires=START_MS + 5,
            remaining=7,
            refill={"interval": "monthly", "amount": 9},
            ratelimit={"async": True, "type": "fast", "limit": 5, "duration": 60_000},
            enabled=False,
            environment="test",
        )
        (key_id,) = await made(acme, wanted)
        key = await acme.data("keys.getKey", {"keyId": key_id})
        assert (key["start"], key["name"], key["meta"], key["enabled"]) == ("prod_2aFx", "n", {"a": 1}, False)
        assert key["identity"]["externalId"] == "user_1"
        assert (key["roles"], key["permissions"], key["expires"]) == (["admin"], ["read"], START_MS + 5)
        assert key["credits"] == {
            "remaining": 7,
            "refill": {"interval": "monthly", "amount": 9, "refillDay": 1},
        }
        (rule,) = key["ratelimits"]
        assert (rule["name"], rule["limit"], rule["duration"]) == ("default", 5, 60_000)
        assert rule["autoApply"] is True

    async def test_the_newer_names_win_over_the_older_ones(self, acme: Client, api_id: str) -> None:
        older = {
            "ownerId": "older",
            "externalId": "newer",
            "ratelimit": {"refillRate": 3, "refillInterval": 2000},
            "remaining": 1,
            "refill": {"interval": "daily", "amount": 9},
        }
        (key_id,) = await made(acme, by_hash("a", apiId=api_id) | older)
        key = await acme.data("keys.getKey", {"keyId": key_id})
        assert key["identity"]["externalId"] == "newer"
        assert (key["ratelimits"][0]["limit"], key["ratelimits"][0]["duration"]) == (3, 2000)
        assert key["credits"]["refill"] == {"interval": "daily", "amount": 9}

    async def test_what_is_shown_of_a_text_needs_its_prefix(self, acme: Client, api_id: str) -> None:
        texts = ["prod_2aFxQv7p1M5jZ8cR", "test_2aFxQv7p1M5jZ8cR", "2aFxQv7p1M5jZ8cR"]
        ids = await made(
            acme,
            *({"plaintext": text, "prefix": "prod", "apiId": api_id} for text in texts[:2]),
            {"plaintext": texts[2], "apiId": api_id},
        )
        shown = [(await acme.data("keys.getKey", {"keyId": key_id}))["start"] for key_id in ids]
        assert shown == ["prod_2aFx", "", ""]

    async def test_keys_of_several_apis_are_made_together(self, acme: Client, api_id: str) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        await made(acme, *(by_hash(f"k{n}", apiId=[api_id, other][n % 2]) for n in range(100)))
        for each in (api_id, other):
            assert len(await acme.data("apis.listKeys", {"apiId": each})) == 50

    async def test_a_plaintext_is_kept_only_where_the_api_stores_it_and_then_sealed(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        recovering = (await acme.data("apis.createApi", {"name": "recovering"}))["apiId"]
        await acme.data("apis.updateApi", {"apiId": recovering, "storeEncryptedKeys": True})
        ids = await made(
            acme,
            {"plaintext": "my_text_one", "apiId": recovering},
            {"plaintext": "my_text_two", "apiId": api_id},
        )
        kept = await acme.data("keys.getKey", {"keyId": ids[0], "decrypt": True})
        assert kept["plaintext"] == "my_text_one"
        await acme.error("keys.getKey", {"keyId": ids[1], "decrypt": True}, 412)
        for table in metadata.tables.values():
            rows = await house.platform.db.read(partial(rows_of, table=table), ALL_WORKSPACES)
            assert "my_text_" not in repr(rows)

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"plaintext": "both"}, "either"),
            ({"hash": None}, "either"),
            ({"refill": {"interval": "daily", "amount": 1}}, "`remaining`"),
            ({"remaining": 1, "refill": {"interval": "daily", "amount": 1, "refillDay": 3}}, "refillDay"),
            ({"ratelimit": {"limit": 3}}, "ratelimit"),
            ({"hash": {"value": "nonsense"}}, "hash.value"),
        ],
    )
    async def test_what_makes_no_sense_is_named_and_nothing_is_made(
        self, acme: Client, api_id: str, wrong: dict[str, Any], named: str
    ) -> None:
        second = by_hash("b", apiId=api_id) | wrong
        second = without(second, *(name for name, value in wrong.items() if value is None))
        error = await acme.error("migrations.createKeys", [by_hash("a", apiId=api_id), second], 400)
        assert "[1]" in error["detail"] and named in error["detail"]
        assert await acme.data("apis.listKeys", {"apiId": api_id}) == []

    @pytest.mark.parametrize(
        "body", [[], {}, [{}], [{"remaining": 0}], [{"prefix": "ninechars"}], [{"unknown": 1}]]
    )
    async def test_the_schema_bounds_it(self, acme: Client, api_id: str, body: Any) -> None:
        if body and isinstance(body, list) and body[0]:
            body = [by_hash("a", apiId=api_id) | body[0]]
        await acme.error("migrations.createKeys", body, 400)
        await acme.error("migrations.createKeys", [by_hash(f"{n}", apiId=api_id) for n in range(101)], 400)

    async def test_missing_roles_and_permissions_are_listed(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await roles(house, acme, api_id, "admin")
        keys = [
            by_hash("a", apiId=api_id, roles=["admin", "nobody"]),
            by_hash("b", apiId=api_id, permissions=["none", "nothing"]),
        ]
        error = await acme.error("migrations.createKeys", keys, 412)
        assert error["type"].endswith("application/precondition_failed")
        for missing in ("role 'nobody'", "permission 'none'", "permission 'nothing'"):
            assert missing in error["detail"]
        assert "admin" not in error["detail"]
        many = by_hash("c", apiId=api_id, permissions=[f"p{n}" for n in range(1000)])
        assert "and more" in (await acme.error("migrations.createKeys", [many], 412))["detail"]

    async def test_a_hash_that_any_key_has_lets_none_be_made(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        theirs = await house.tenant("other")
        their_api = (await theirs.data("apis.createApi", {"name": "theirs"}))["apiId"]
        await made(theirs, by_hash("theirs", apiId=their_api))
        for second in ("theirs", "first"):
            keys = [by_hash("first", apiId=api_id), by_hash(second, apiId=api_id)]
            error = await acme.error("migrations.createKeys", keys, 409)
            assert error["type"].endswith("data/key_already_exists")
            assert "position 1" in error["detail"]
        assert await acme.data("apis.listKeys", {"apiId": api_id}) == []

    async def test_of_two_requests_with_the_same_hashes_one_makes_them_all(
        self, acme: Client, api_id: str
    ) -> None:
        keys = [by_hash(f"k{n}", apiId=api_id) for n in range(20)]
        answers = await asyncio.gather(
            acme.post("migrations.createKeys", keys), acme.post("migrations.createKeys", keys[::-1])
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 20

    async def test_permission_comes_before_existence_for_every_api(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other = (await acme.data("apis.createApi", {"name": "other"}))["apiId"]
        somebody = await limited(house, f"api.{api_id}.create_key")
        await made(somebody, by_hash("a", apiId=api_id))
        both = [by_hash("b", apiId=api_id), by_hash("c", apiId=other)]
        error = await somebody.error("migrations.createKeys", both, 403)
        assert f"api.{other}.create_key" in error["detail"]
        error = await somebody.error("migrations.createKeys", [{"plaintext": "d", "apiId": api_id}], 403)
        assert "encrypt_key" in error["detail"]
        await somebody.error("migrations.createKeys", [by_hash("e", apiId="api_unknown1")], 403)
        error = await acme.error("migrations.createKeys", [by_hash("e", apiId="api_unknown1")], 404)
        assert error["type"].endswith("data/api_not_found")
        stranger = await house.tenant("stranger")
        assert error == await stranger.error("migrations.createKeys", [by_hash("e", apiId=api_id)], 404)


class TestWithoutEncryption:
    @pytest.fixture
    def encryption(self) -> EncryptionSettings:
        return EncryptionSettings()

    async def test_a_text_for_an_api_that_stores_them_is_refused(self, acme: Client, api_id: str) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
        await acme.error("migrations.createKeys", [{"plaintext": "a", "apiId": api_id}], 412)
        body = {"migrationId": await migration(acme), "apiId": api_id, "keys": [{"plaintext": "a"}]}
        await acme.error("migrations.enqueueKeys", body, 412)
        await made(acme, by_hash("a", apiId=api_id))


class TestEnqueueKeys:
    async def test_keys_are_made_in_the_background_and_the_job_tells_how_it_went(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await migrate(acme, api_id, {"hash": hashed("taken")})
        keys = [
            by_hash("a", name="first"),
            by_hash("taken"),
            by_hash("b", permissions=["nothing"]),
            by_hash("c", roles=["nobody"]),
            by_hash("a", name="again"),
            {"plaintext": "d"},
        ]
        job = await enqueue(house, acme, api_id, *keys)
        assert job["state"] == "done"
        assert job["counts"] == {"total": 6, "succeeded": 2, "failed": 4, "pending": 0}
        assert [(each["index"], each["code"].rpartition("/")[2]) for each in job["failures"]] == [
            (1, "key_already_exists"),
            (2, "permission_not_found"),
            (3, "role_not_found"),
            (4, "key_already_exists"),
        ]
        assert "'nobody'" in job["failures"][2]["detail"]
        assert job["createdAt"] == job["startedAt"] == job["finishedAt"] == START_MS
        assert "error" not in job
        verdict = await acme.data("keys.verifyKey", {"key": "a"})
        assert (verdict["valid"], verdict["name"]) == (True, "first")
        assert (await acme.data("keys.verifyKey", {"key": "d"}))["valid"] is True
        assert (await events(house)).count("key.create") == 3

    async def test_a_key_that_was_unknown_is_valid_when_its_job_is_done(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        assert await acme.data("keys.verifyKey", {"key": "a"}) == NOT_FOUND
        await enqueue(house, acme, api_id, by_hash("a"))
        assert (await acme.data("keys.verifyKey", {"key": "a"}))["valid"] is True

    async def test_hashes_are_of_what_the_migration_says_and_texts_are_whole(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        into = await migration(acme, PREFIXED)
        key = {"hash": {"value": last_part_hashed("p_short_long"), "variant": "sha256_hex"}}
        job = await enqueue(house, acme, api_id, key, {"plaintext": "q_short_long2"}, into=into)
        assert job["counts"]["succeeded"] == 2
        assert (await acme.data("keys.verifyKey", {"key": "q_short_long2"}))["valid"] is True
        assert await acme.data("keys.verifyKey", {"key": "p_short_long"}) == NOT_FOUND
        first = await acme.data("keys.verifyKey", {"key": "p_short_long", "migrationId": into})
        assert first["valid"] is True

    async def test_a_recoverable_text_waits_sealed(self, house: House, acme: Client, api_id: str) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
        body = {
            "migrationId": await migration(acme),
            "apiId": api_id,
            "keys": [{"plaintext": "my_secret_text"}],
        }
        await house.platform.runner.stop()
        await acme.post("migrations.enqueueKeys", body)
        rows = await house.platform.db.read(partial(rows_of, table=jobs), ALL_WORKSPACES)
        assert "sealed" in repr(rows) and "my_secret_text" not in repr(rows)
        house.platform.runner.start()
        await house.platform.runner.settled()
        (key,) = await acme.data("apis.listKeys", {"apiId": api_id, "decrypt": True})
        assert key["plaintext"] == "my_secret_text"

    async def test_a_large_job_is_done_in_portions(self, house: House, acme: Client, api_id: str) -> None:
        await acme.data("keys.createKey", {"apiId": api_id, "permissions": [f"p{n}" for n in range(300)]})
        slugs = [f"p{n}" for n in range(300)]
        job = await enqueue(house, acme, api_id, *(by_hash(f"k{n}", permissions=slugs) for n in range(20)))
        assert job["counts"] == {"total": 20, "succeeded": 20, "failed": 0, "pending": 0}
        assert job["failures"] == []

    async def test_a_job_whose_api_is_deleted_meanwhile_is_given_up(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        other = await house.tenant("other")
        body = {"migrationId": await migration(acme), "apiId": api_id, "keys": [by_hash("a")]}
        await house.platform.runner.stop()
        queued = (await acme.post("migrations.enqueueKeys", body)).json()["data"]
        waiting = await acme.data("migrations.getJob", queued)
        assert (waiting["state"], waiting["counts"]["pending"]) == ("queued", 1)
        assert "startedAt" not in waiting and "finishedAt" not in waiting
        await acme.data("apis.deleteApi", {"apiId": api_id})
        house.platform.runner.start()
        await house.platform.runner.settled()
        job = await acme.data("migrations.getJob", queued)
        assert (job["state"], job["counts"]["succeeded"]) == ("failed", 0)
        assert job["error"] == "The requested API does not exist or has been deleted."
        assert await other.data("keys.verifyKey", {"key": "a"}) == NOT_FOUND

    async def test_permission_comes_first_then_the_api_then_the_migration(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        somebody = await limited(house, f"api.{api_id}.create_key")
        known = await migration(acme)
        keys = [by_hash("a")]

        async def error(client: Client, status: int, migration_id: str, api: str, *more: Any) -> str:
            body = {"migrationId": migration_id, "apiId": api, "keys": [*keys, *more]}
            return str((await client.error("migrations.enqueueKeys", body, status))["type"])

        await error(somebody, 403, "mig_none", "api_unknown1")
        await error(somebody, 403, known, api_id, {"plaintext": "b"})
        assert (await error(acme, 404, "mig_none", "api_unknown1")).endswith("api_not_found")
        assert (await error(acme, 404, "mig_none", api_id)).endswith("migration_not_found")
        other = await house.tenant("other")
        their_api = (await other.data("apis.createApi", {"name": "theirs"}))["apiId"]
        assert (await error(other, 404, known, their_api)).endswith("migration_not_found")

    async def test_bad_input_names_the_key_and_the_member(self, acme: Client, api_id: str) -> None:
        body = {"migrationId": await migration(acme), "apiId": api_id, "keys": [{}]}
        assert "keys[0]" in (await acme.error("migrations.enqueueKeys", body, 400))["detail"]
        await acme.error("migrations.enqueueKeys", body | {"keys": []}, 400)

    async def test_a_workspace_may_have_so_many_unfinished_jobs(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        await house.platform.runner.stop()
        body = {"migrationId": await migration(acme), "apiId": api_id, "keys": [by_hash("a")]}
        for _ in range(100):
            assert (await acme.post("migrations.enqueueKeys", body)).status_code == 202
        refused = await acme.post("migrations.enqueueKeys", body)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1


class TestGetJob:
    async def test_a_foreign_job_reads_as_an_unknown_one(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        job = await enqueue(house, acme, api_id, by_hash("a"))
        other = await house.tenant("other")
        foreign = await other.error("migrations.getJob", {"jobId": job["jobId"]}, 404)
        assert foreign["type"].endswith("data/job_not_found")
        assert foreign == await acme.error("migrations.getJob", {"jobId": "job_unknown1"}, 404)

    async def test_look_up_comes_before_permission(self, house: House, acme: Client, api_id: str) -> None:
        job = await enqueue(house, acme, api_id, by_hash("a"))
        nobody = await limited(house, "api.*.read_key")
        await nobody.error("migrations.getJob", {"jobId": "job_unknown1"}, 404)
        await nobody.error("migrations.getJob", {"jobId": job["jobId"]}, 403)
        somebody = await limited(house, f"api.{api_id}.create_key")
        assert (await somebody.data("migrations.getJob", {"jobId": job["jobId"]}))["state"] == "done"

    async def test_it_needs_an_id(self, acme: Client) -> None:
        await acme.error("migrations.getJob", {}, 400)
