"""Portals of APIs whose keys are recoverable."""

import pytest

from latchwork.kernel.sealing import SealingKey
from latchwork.settings import EncryptionSettings, Secret
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_portal import enter, keyspace_of


@pytest.fixture
def encryption() -> EncryptionSettings:
    return EncryptionSettings(key=Secret(SealingKey.fresh().reveal()))


async def recoverable_key(acme: Client, api_id: str) -> dict[str, str]:
    wanted = {"apiId": api_id, "externalId": "user_1", "recoverable": True}
    made: dict[str, str] = await acme.data("keys.createKey", wanted)
    return made


async def test_a_recoverable_key_stays_so_when_its_end_user_rerolls_it(
    house: House, acme: Client, api_id: str
) -> None:
    await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
    wanted = {"slug": "acme-keys", "displayName": "x", "keyspaceId": await keyspace_of(acme, api_id)}
    await acme.data("portal.createPortal", wanted)
    old = await recoverable_key(acme, api_id)
    inside = await enter(house, acme, scopes=["keys:reroll"])
    new = (await inside.post("rerollKey", {"keyId": old["keyId"], "expiration": 0})).json()["data"]
    read = await acme.data("keys.getKey", {"keyId": new["keyId"], "decrypt": True})
    assert read["plaintext"] == new["key"]


async def test_a_session_from_before_keys_were_recoverable_does_not_reroll_them(
    house: House, acme: Client, api_id: str
) -> None:
    wanted = {"slug": "acme-keys", "displayName": "x", "keyspaceId": await keyspace_of(acme, api_id)}
    await acme.data("portal.createPortal", wanted)
    inside = await enter(house, acme)
    await acme.data("apis.updateApi", {"apiId": api_id, "storeEncryptedKeys": True})
    old = await recoverable_key(acme, api_id)
    error = await inside.error("rerollKey", {"keyId": old["keyId"], "expiration": 0}, 403)
    assert f"api.{api_id}.encrypt_key" in error["detail"]
