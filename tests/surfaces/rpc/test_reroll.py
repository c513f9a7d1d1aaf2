"""`keys.rerollKey` through the outermost door: what is copied, when the old key ends, every status."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.audit.tables import audit_log
from latchwork.domains.keys.rules import ending, prefix_of
from latchwork.domains.permissions import store as permissions_store
from latchwork.domains.permissions.tables import role_permissions, roles
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import ALL_WORKSPACES, Connection
from latchwork.settings import EncryptionSettings, Secret
from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House
from tests.surfaces.rpc.test_management import NOBODY, create, limited

pytestmark = EVERYWHERE

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def encryption() -> EncryptionSettings:
    return EncryptionSettings(key=Secret(SealingKey.fresh().reveal()))


async def reroll(client: Client, key_id: str, expiration: int | None = 0) -> dict[str, str]:
    made: dict[str, str] = await client.data("keys.rerollKey", {"keyId": key_id, "expiration": expiration})
    return made


async def code(client: Client, key: str) -> str:
    verdict = await client.data("keys.verifyKey", {"key": key})
    return str(verdict["code"])


class TestWhatIsCopied:
    async def test_the_new_key_has_everything_the_old_one_has(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        role = await _role(house)
        old = await create(
            acme,
            api_id,
            prefix="my_live_app",
            byteLength=40,
            name="n",
            externalId="user_1",
            meta={"a": [1, {"b": None}]},
            roles=[role],
            permissions=["read", "write"],
            expires=START_MS + HOUR_MS,
            credits={"remaining": 7, "refill": {"interval": "monthly", "amount": 9, "refillDay": 31}},
            ratelimits=[{"name": "requests", "limit": 5, "duration": 60_000, "autoApply": True}],
            ipWhitelist=["10.0.0.0/8"],
        )
        before = await acme.data("keys.getKey", {"keyId": old["keyId"]})
        made = await reroll(acme, old["keyId"], None)
        after = await acme.data("keys.getKey", {"keyId": made["keyId"]})
        assert made["key"].startswith("my_live_app_")
        assert abs(len(made["key"]) - len(old["key"])) <= 2  # Base58 of as many bytes
        own = {"keyId", "start", "createdAt", "ratelimits"}
        assert {n: v for n, v in after.items() if n not in own} == {
            n: v for n, v in before.items() if n not in own
        }
        assert after["start"] == made["key"][: len("my_live_app_") + 4]
        (limit,), (old_limit,) = after["ratelimits"], before["ratelimits"]
        assert limit["id"] != old_limit["id"]
        assert limit | {"id": ""} == old_limit | {"id": ""}
        assert before == await acme.data("keys.getKey", {"keyId": old["keyId"]})

    async def test_a_disabled_key_has_a_disabled_successor(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id, enabled=False)
        made = await reroll(acme, old["keyId"])
        assert await code(acme, made["key"]) == "DISABLED"

    async def test_without_a_prefix_the_apis_default_counts(self, acme: Client, api_id: str) -> None:
        plain, own = await create(acme, api_id), await create(acme, api_id, prefix="own")
        await acme.data("apis.updateApi", {"apiId": api_id, "defaultPrefix": "api", "defaultByteLength": 64})
        made = await reroll(acme, plain["keyId"])
        assert made["key"].startswith("api_")
        assert len(made["key"]) < 30  # as long as the old one, whatever the API's default is now
        assert (await reroll(acme, own["keyId"]))["key"].startswith("own_")

    async def test_a_key_of_unknown_length_gets_the_apis(self, acme: Client, api_id: str) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "defaultByteLength": 64})
        migration = await acme.data("migrations.createMigration", {"algorithm": "sha256"})
        imported = {"hash": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}
        body = {"migrationId": migration["migrationId"], "apiId": api_id, "keys": [imported]}
        taken = await acme.data("keys.migrateKeys", body)
        made = await reroll(acme, taken["migrated"][0]["keyId"])
        assert len(made["key"]) > 80

    async def test_the_lineage_outlives_every_reroll(self, acme: Client, api_id: str) -> None:
        first = await create(acme, api_id)
        second = await reroll(acme, first["keyId"])
        third = await reroll(acme, second["keyId"])
        told = [await acme.data("keys.whoami", {"key": made["key"]}) for made in (first, second, third)]
        told += await acme.data("apis.listKeys", {"apiId": api_id})
        assert {key["lineageId"] for key in told} == {first["keyId"]}

    async def test_the_counters_of_the_new_key_are_its_own(self, acme: Client, api_id: str) -> None:
        limit = {"name": "requests", "limit": 1, "duration": 60_000, "autoApply": True}
        old = await create(acme, api_id, ratelimits=[limit])
        assert [await code(acme, old["key"]) for _ in range(2)] == ["VALID", "RATE_LIMITED"]
        made = await reroll(acme, old["keyId"], HOUR_MS)
        assert [await code(acme, made["key"]) for _ in range(2)] == ["VALID", "RATE_LIMITED"]


class TestCredits:
    async def test_what_remains_is_copied_as_it_is_in_memory(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id, credits={"remaining": 10})
        for _ in range(3):
            await code(acme, old["key"])
        made = await reroll(acme, old["keyId"], HOUR_MS)
        assert (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["credits"] == {"remaining": 7}
        await code(acme, made["key"])
        both = await acme.data("apis.listKeys", {"apiId": api_id})
        assert [key["credits"]["remaining"] for key in both] == [7, 6]

    async def test_spends_at_the_same_time_are_counted_before_or_after_but_never_lost(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        old = await create(acme, api_id, credits={"remaining": 1_000})
        made: list[dict[str, str]] = []
        copied_at: list[int] = []

        async def spend() -> int:
            return int((await acme.data("keys.verifyKey", {"key": old["key"]}))["credits"])

        async def renew() -> None:
            made.append(await reroll(acme, old["keyId"], HOUR_MS))
            key = await acme.data("keys.getKey", {"keyId": made[-1]["keyId"]})
            copied_at.append(key["credits"]["remaining"])

        acknowledged = 1_000 - min(await asyncio.gather(*(spend() for _ in range(20))))
        left = await asyncio.gather(
            *(spend() for _ in range(40)), renew(), renew(), *(spend() for _ in range(40))
        )
        assert sorted(n for n in left if n is not None) == list(range(900, 980))  # each spend counted once
        await house.platform.ledger.fold()
        assert all(1_000 - 100 <= copied <= 1_000 - acknowledged for copied in copied_at)
        old_key = await acme.data("keys.getKey", {"keyId": old["keyId"]})
        assert old_key["credits"]["remaining"] == 900
        for minted, copied in zip(made, copied_at, strict=True):
            verdict = await acme.data("keys.verifyKey", {"key": minted["key"], "credits": {"cost": 1}})
            assert verdict["credits"] == copied - 1


class TestTheOldKey:
    async def test_without_grace_it_is_refused_from_the_answer_on(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id)
        assert await code(acme, old["key"]) == "VALID"
        made = await reroll(acme, old["keyId"], 0)
        assert await code(acme, old["key"]) == "EXPIRED"
        assert await code(acme, made["key"]) == "VALID"

    async def test_it_ends_at_the_full_minute_after_its_grace(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        house.clock.set(START_MS + 1)  # START_MS is a full minute
        old = await create(acme, api_id)
        made = await reroll(acme, old["keyId"], MINUTE_MS)
        key = await acme.data("keys.getKey", {"keyId": old["keyId"]})
        assert key["expires"] == START_MS + 2 * MINUTE_MS
        house.clock.set(key["expires"])
        assert await code(acme, old["key"]) == "VALID"
        house.clock.advance(1)
        assert await code(acme, old["key"]) == "EXPIRED"
        assert await code(acme, made["key"]) == "VALID"

    async def test_grace_never_prolongs_it(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id, expires=START_MS + 5)
        await reroll(acme, old["keyId"], HOUR_MS)
        assert (await acme.data("keys.getKey", {"keyId": old["keyId"]}))["expires"] == START_MS + 5

    @pytest.mark.parametrize("expires", [None, START_MS + 5])
    async def test_null_leaves_its_own_expiry(self, acme: Client, api_id: str, expires: int | None) -> None:
        old = await create(acme, api_id, **({} if expires is None else {"expires": expires}))
        await reroll(acme, old["keyId"], None)
        key = await acme.data("keys.getKey", {"keyId": old["keyId"]})
        assert key.get("expires") == expires
        assert await code(acme, old["key"]) == "VALID"

    @given(
        now_ms=st.integers(0, 2**42),
        grace_ms=st.integers(0, 2**42),
        expires_ms=st.none() | st.integers(0, 2**42),
    )
    def test_its_end_is_a_full_minute_or_what_it_was(
        self, now_ms: int, grace_ms: int, expires_ms: int | None
    ) -> None:
        end_ms = ending(now_ms, grace_ms, expires_ms)
        if expires_ms is not None and end_ms == expires_ms:
            return
        assert expires_ms is None or end_ms < expires_ms
        if grace_ms == 0:
            assert end_ms == now_ms - 1
        else:
            assert end_ms % MINUTE_MS == 0
            assert 0 <= end_ms - (now_ms + grace_ms) < MINUTE_MS


@pytest.mark.parametrize(
    ("start", "prefix"),
    [
        ("prod_2aFx", "prod"),
        ("my_live_app_2aFx", "my_live_app"),
        ("a__2aFx", "a_"),
        ("2aFx", None),
        ("", None),
        ("_2aFx", None),
        ("much_too_long_for_us_2aFx", None),
        ("with space_2aFx", None),
    ],
)
def test_the_last_underscore_ends_the_prefix(start: str, prefix: str | None) -> None:
    assert prefix_of(start) == prefix


class TestRecoverable:
    @pytest.fixture
    async def recoverable(self, acme: Client, api_id: str) -> dict[str, str]:
        await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
        return await create(acme, api_id, recoverable=True)

    async def test_the_successor_is_recoverable_too(self, acme: Client, recoverable: dict[str, str]) -> None:
        made = await reroll(acme, recoverable["keyId"], HOUR_MS)
        key = await acme.data("keys.getKey", {"keyId": made["keyId"], "decrypt": True})
        assert key["plaintext"] == made["key"]

    async def test_it_takes_the_permission_to_encrypt(
        self, house: House, recoverable: dict[str, str]
    ) -> None:
        poor = await limited(house, "api.*.create_key")
        body = {"keyId": recoverable["keyId"], "expiration": 0}
        error = await poor.error("keys.rerollKey", body, 403)
        assert "encrypt_key" in error["detail"]
        assert await code(await limited(house, "*"), recoverable["key"]) == "VALID"

    async def test_an_api_that_stopped_storing_keys_is_a_412(
        self, acme: Client, api_id: str, recoverable: dict[str, str]
    ) -> None:
        await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": False})
        body = {"keyId": recoverable["keyId"], "expiration": 0}
        error = await acme.error("keys.rerollKey", body, 412)
        assert "storeEncryptedKeys" in error["detail"]


class TestRefusals:
    async def test_lookup_comes_before_permission_and_foreign_keys_are_unknown(
        self, house: House, acme: Client, api_id: str
    ) -> None:
        old = await create(acme, api_id)
        nobody, other = await limited(house, "api.*.update_key"), await house.tenant("other")
        body = {"keyId": old["keyId"], "expiration": 0}
        error = await nobody.error("keys.rerollKey", body, 403)
        assert error["detail"].startswith("Missing one of these permissions: api.*.create_key")
        unknown = await nobody.error("keys.rerollKey", body | {"keyId": NOBODY}, 404)
        assert unknown["type"].endswith("key_not_found")
        assert unknown == await other.error("keys.rerollKey", body, 404)
        assert await code(acme, old["key"]) == "VALID"
        one = await limited(house, f"api.{api_id}.create_key")
        await reroll(one, old["keyId"])

    async def test_a_deleted_key_cannot_be_rerolled(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id)
        await acme.data("keys.deleteKey", {"keyId": old["keyId"]})
        await acme.error("keys.rerollKey", {"keyId": old["keyId"], "expiration": 0}, 404)

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"keyId": "key_1"}, "expiration"),
            ({"keyId": "key_1", "expiration": -1}, "expiration"),
            ({"keyId": "key_1", "expiration": 4_102_444_800_001}, "expiration"),
            ({"keyId": "key_1", "expiration": "1"}, "expiration"),
            ({"expiration": 1}, "keyId"),
            ({"keyId": "k!", "expiration": 1}, "keyId"),
        ],
    )
    async def test_what_makes_no_sense_is_named(self, acme: Client, body: dict[str, Any], named: str) -> None:
        error = await acme.error("keys.rerollKey", body, 400)
        assert any(named in entry["location"] + entry["message"] for entry in error["errors"])

    async def test_unknown_members_are_passed_over(self, acme: Client, api_id: str) -> None:
        old = await create(acme, api_id)
        await acme.data("keys.rerollKey", {"keyId": old["keyId"], "expiration": 0, "x": 1})


async def test_a_reroll_stands_in_the_audit_log(house: House, acme: Client, api_id: str) -> None:
    old = await create(acme, api_id)
    made = await reroll(acme, old["keyId"])
    rows = await house.platform.db.read(_audited, ALL_WORKSPACES)
    (row,) = [row for row in rows if row.event == "key.reroll"]
    assert [resource["id"] for resource in row.resources] == [old["keyId"], made["keyId"], api_id]


def _audited(connection: Connection) -> Any:
    return connection.execute(audit_log.select()).all()


async def _role(house: House) -> str:
    """The name of a role of the first workspace, with a permission of its own."""
    workspace = (await house.platform.workspaces.all())[0]

    def unit(connection: Connection) -> None:
        ids, _ = permissions_store.ensure(connection, workspace.id, ["through_role"], START_MS)
        row = {"id": "role_1", "workspace_id": workspace.id, "name": "admin", "name_folded": "admin"}
        connection.execute(roles.insert(), row | {"created_at_ms": START_MS})
        held = {"role_id": "role_1", "permission_id": ids["through_role"], "workspace_id": workspace.id}
        connection.execute(role_permissions.insert(), held)

    await house.platform.db.write(unit, ALL_WORKSPACES)
    return "admin"


async def test_credits_move_to_the_successor_of_a_key_that_ends_at_once(acme: Client, api_id: str) -> None:
    made = await acme.data("keys.createKey", {"apiId": api_id, "credits": {"remaining": 7}})
    fresh = await acme.data("keys.rerollKey", {"keyId": made["keyId"], "expiration": 0})
    assert (await acme.data("keys.getKey", {"keyId": fresh["keyId"]}))["credits"]["remaining"] == 7
    assert (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["credits"]["remaining"] == 0
