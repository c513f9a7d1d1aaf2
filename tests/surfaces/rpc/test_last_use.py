"""`lastUsedAt`, through the outermost door."""

from typing import Any

import pytest

from tests.surfaces.rpc.conftest import START_MS, Client, House


@pytest.mark.parametrize("analytics", ["full", "sampled", "off"])
async def test_every_use_is_told_however_much_is_recorded(
    house: House, acme: Client, api_id: str, analytics: str
) -> None:
    await acme.data("apis.updateApi", {"apiId": api_id, "analytics": analytics})
    made = await acme.data("keys.createKey", {"apiId": api_id})
    assert "lastUsedAt" not in await acme.data("keys.getKey", {"keyId": made["keyId"]})
    house.clock.advance(5)
    for _ in range(3):
        await acme.data("keys.verifyKey", {"key": made["key"]})
    await house.platform.analytics.flush()
    for _ in range(2):
        assert await _told(acme, api_id, made) == [START_MS + 5] * 3
        await house.platform.services.keys.last_use.save()


async def _told(acme: Client, api_id: str, made: dict[str, Any]) -> list[int]:
    got = await acme.data("keys.getKey", {"keyId": made["keyId"]})
    same = await acme.data("keys.whoami", {"key": made["key"]})
    (listed,) = await acme.data("apis.listKeys", {"apiId": api_id})
    return [key["lastUsedAt"] for key in (got, same, listed)]
