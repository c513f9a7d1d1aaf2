"""Recoverable keys through the outermost door: who may make and read them, and what stays sealed."""

import logging
from typing import Any

import pytest
from sqlalchemy import func, select, update

from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.domains.encryption import Keyring
from latchwork.domains.keys.tables import recoverable_keys
from latchwork.kernel.sealing import SealingKey
from latchwork.kernel.sql import ALL_WORKSPACES, Connection
from latchwork.settings import EncryptionSettings, Secret
from tests.surfaces.rpc.conftest import Client, House

KEY = SealingKey.fresh()
READING = ("api.*.read_key", "api.*.read_api")


@pytest.fixture
def encryption() -> EncryptionSettings:
    return EncryptionSettings(key=Secret(KEY.reveal()))


@pytest.fixture
async def api_id(acme: Client) -> str:
    """An API that stores recoverable keys."""
    made: str = (await acme.data("apis.createApi", {"name": "payments"}))["apiId"]
    await acme.data("apis.updateApi", {"apiId": made, "storeEncryptedKeys": True})
    return made


async def _recoverable(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    body = {"apiId": api_id, "recoverable": True} | wanted
    made: dict[str, str] = await acme.data("keys.createKey", body)
    return made


async def _limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def test_a_recoverable_key_can_be_read_again(acme: Client, api_id: str) -> None:
    made = await _recoverable(acme, api_id, prefix="prod")
    other = await acme.data("keys.createKey", {"apiId": api_id})
    found = await acme.data("keys.getKey", {"keyId": made["keyId"], "decrypt": True})
    assert found["plaintext"] == made["key"]
    plain = await acme.data("keys.getKey", {"keyId": other["keyId"], "decrypt": True})
    assert "plaintext" not in plain, "it was not made recoverable"
    assert "plaintext" not in await acme.data("keys.getKey", {"keyId": made["keyId"]})
    assert "plaintext" not in await acme.data("keys.whoami", {"key": made["key"]})
    assert (await acme.data("keys.verifyKey", {"key": made["key"]}))["valid"] is True


async def test_a_list_shows_the_texts_of_its_page_alone(house: House, acme: Client, api_id: str) -> None:
    made = [await _recoverable(acme, api_id) for _ in range(3)]
    body = {"apiId": api_id, "decrypt": True, "limit": 2}
    page = (await acme.post("apis.listKeys", body)).json()
    assert [key["plaintext"] for key in page["data"]] == [each["key"] for each in made[:2]]
    body["cursor"] = page["pagination"]["cursor"]
    assert [key["plaintext"] for key in await acme.data("apis.listKeys", body)] == [made[2]["key"]]
    assert all("plaintext" not in key for key in await acme.data("apis.listKeys", {"apiId": api_id}))
    told = await _decryptions(house)
    assert told == [[each["keyId"] for each in made[:2]], [made[2]["keyId"]]]


async def _decryptions(house: House) -> list[list[str]]:
    """The ids of the keys that each audit row says were decrypted."""
    question = select(audit_log.c.resources).where(audit_log.c.event == "key.decrypt")
    rows = await house.platform.db.read(
        lambda c: c.execute(question.order_by(audit_log.c.seq)).scalars().all(), ALL_WORKSPACES
    )
    return [[resource["id"] for resource in row] for row in rows]


async def test_reading_a_text_stands_in_the_audit_log_and_reading_none_does_not(
    house: House, acme: Client, api_id: str
) -> None:
    made = await _recoverable(acme, api_id)
    other = await acme.data("keys.createKey", {"apiId": api_id})
    for key_id in (made["keyId"], other["keyId"]):
        await acme.data("keys.getKey", {"keyId": key_id, "decrypt": True})
    assert await _decryptions(house) == [[made["keyId"]]]
    workspace = (await house.platform.workspaces.all())[0]
    assert await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None


async def test_making_one_needs_a_permission_of_its_own(house: House, acme: Client, api_id: str) -> None:
    body = {"apiId": api_id, "recoverable": True}
    unknown = await acme.error("keys.createKey", body | {"apiId": "api_unknown1"}, 404)
    creator = await _limited(house, "api.*.create_key")
    assert await creator.error("keys.createKey", body, 404) == unknown
    await creator.data("keys.createKey", {"apiId": api_id})
    both = await _limited(house, f"api.{api_id}.create_key", f"api.{api_id}.encrypt_key")
    assert (await both.data("keys.createKey", body))["keyId"]


async def test_reading_one_needs_a_permission_of_its_own(house: House, acme: Client, api_id: str) -> None:
    made = await _recoverable(acme, api_id)
    get, page = {"keyId": made["keyId"], "decrypt": True}, {"apiId": api_id, "decrypt": True}
    reader = await _limited(house, *READING)
    for procedure, body in (("keys.getKey", get), ("apis.listKeys", page)):
        error = await reader.error(procedure, body, 403)
        assert f"api.{api_id}.decrypt_key" in error["detail"]
        await reader.data(procedure, body | {"decrypt": False})
    decryptor = await _limited(house, *READING, f"api.{api_id}.decrypt_key")
    assert (await decryptor.data("keys.getKey", get))["plaintext"] == made["key"]
    assert [key["plaintext"] for key in await decryptor.data("apis.listKeys", page)] == [made["key"]]
    nobody = await _limited(house, "api.*.decrypt_key")
    await nobody.error("keys.getKey", get, 403)
    await nobody.error("apis.listKeys", page, 404)
    await decryptor.error("keys.getKey", get | {"keyId": "key_unknown1"}, 404)
    other = await house.tenant("other")
    await other.error("keys.getKey", get, 404)


async def test_an_api_must_be_told_to_store_them(house: House, acme: Client) -> None:
    api_id = (await acme.data("apis.createApi", {"name": "plain"}))["apiId"]
    key = await acme.data("keys.createKey", {"apiId": api_id})
    for procedure, body in (
        ("keys.createKey", {"apiId": api_id, "recoverable": True}),
        ("keys.getKey", {"keyId": key["keyId"], "decrypt": True}),
        ("apis.listKeys", {"apiId": api_id, "decrypt": True}),
    ):
        error = await acme.error(procedure, body, 412)
        assert "storeEncryptedKeys" in error["detail"]
    reader = await _limited(house, *READING)
    await reader.error("keys.getKey", {"keyId": key["keyId"], "decrypt": True}, 403)
    assert [found["keyId"] for found in await acme.data("apis.listKeys", {"apiId": api_id})] == [key["keyId"]]


class TestWithoutAKey:
    @pytest.fixture
    def encryption(self) -> EncryptionSettings:
        return EncryptionSettings()

    async def test_nothing_is_made_recoverable_and_nothing_read(self, acme: Client, api_id: str) -> None:
        key = await acme.data("keys.createKey", {"apiId": api_id})
        for procedure, body in (
            ("keys.createKey", {"apiId": api_id, "recoverable": True}),
            ("keys.getKey", {"keyId": key["keyId"], "decrypt": True}),
            ("apis.listKeys", {"apiId": api_id, "decrypt": True}),
        ):
            error = await acme.error(procedure, body, 412)
            assert "encryption key" in error["detail"]
        assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 1


async def test_a_text_moved_to_another_key_or_workspace_is_not_read(
    house: House, acme: Client, api_id: str
) -> None:
    one, two = await _recoverable(acme, api_id), await _recoverable(acme, api_id)
    await _copy_text(house, one["keyId"], two["keyId"])
    other = await house.tenant("other")
    foreign_api = (await other.data("apis.createApi", {"name": "foreign"}))["apiId"]
    await other.data("apis.updateApi", {"apiId": foreign_api, "storeEncryptedKeys": True})
    three = await _recoverable(other, foreign_api)
    await _copy_text(house, one["keyId"], three["keyId"])
    await acme.error("keys.getKey", {"keyId": two["keyId"], "decrypt": True}, 500)
    await other.error("keys.getKey", {"keyId": three["keyId"], "decrypt": True}, 500)
    await acme.error("apis.listKeys", {"apiId": api_id, "decrypt": True}, 500)
    found = await acme.data("keys.getKey", {"keyId": one["keyId"], "decrypt": True})
    assert found["plaintext"] == one["key"]
    assert await _decryptions(house) == [[one["keyId"]]]


async def _copy_text(house: House, source: str, target: str) -> None:
    sealed = select(recoverable_keys.c.sealed).where(recoverable_keys.c.key_id == source).scalar_subquery()
    change = update(recoverable_keys).where(recoverable_keys.c.key_id == target).values(sealed=sealed)

    def unit(connection: Connection) -> None:
        connection.execute(change)

    await house.platform.db.write(unit, ALL_WORKSPACES)


async def test_deleting_a_key_permanently_deletes_its_text(house: House, acme: Client, api_id: str) -> None:
    soft, hard = await _recoverable(acme, api_id), await _recoverable(acme, api_id)
    await acme.data("keys.deleteKey", {"keyId": soft["keyId"]})
    await acme.data("keys.deleteKey", {"keyId": hard["keyId"], "permanent": True})
    count = select(func.count()).select_from(recoverable_keys)
    assert await house.platform.db.read(lambda c: c.execute(count).scalar(), ALL_WORKSPACES) == 1
    await acme.error("keys.getKey", {"keyId": soft["keyId"], "decrypt": True}, 404)
    await _recoverable(acme, api_id)
    await acme.data("apis.deleteKeys", {"apiId": api_id, "permanent": True})
    assert await house.platform.db.read(lambda c: c.execute(count).scalar(), ALL_WORKSPACES) == 0


async def test_no_text_and_no_key_stands_in_a_table_or_in_the_log(
    house: House, acme: Client, api_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = [await _recoverable(acme, api_id) for _ in range(5)]
        await _copy_text(house, made[0]["keyId"], made[1]["keyId"])
        for each in made:
            await acme.post("keys.getKey", {"keyId": each["keyId"], "decrypt": True})
        await house.platform.vault.rotate(Keyring(SealingKey.fresh(), (KEY,)))
    tables = await house.platform.db.read(_everything, ALL_WORKSPACES)
    for secret in [KEY.reveal(), KEY.reveal()[-20:], *(each["key"] for each in made)]:
        assert secret not in caplog.text
        assert secret not in tables


def _everything(connection: Any) -> str:
    from latchwork.kernel.sql import metadata

    return "\n".join(
        repr(row) for table in metadata.sorted_tables for row in connection.execute(table.select())
    )
