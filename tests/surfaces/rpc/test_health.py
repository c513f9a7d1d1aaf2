"""`GET /health`: how the parts fare, in a word for everybody and in numbers for administrators."""

from typing import Any

import pytest

from latchwork.settings import AnalyticsSettings
from tests.surfaces.rpc.conftest import Client, House


async def _health(house: House, key: str | None = None) -> Any:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    answer = await house.http.get("/health", headers=headers)
    assert answer.status_code == 200
    return answer.json()


async def test_everybody_sees_a_word_for_each_part(house: House) -> None:
    words = {"status": "ok", "parts": {part: {"status": "ok"} for part in ("database", "analytics", "seals")}}
    assert await _health(house) == words
    workspace = await house.platform.workspaces.create("acme", None)
    lesser = await house.root_key(workspace.id, "api.*.read_api")
    for key in (lesser.key, "lw_nobody"):
        assert await _health(house, key) == words


async def test_administrators_see_how_much_waits_and_how_much_was_lost(house: House, acme: Client) -> None:
    told = (await _health(house, acme.key))["parts"]["analytics"]
    assert told == {"status": "ok", "buffered": 0, "lost": 0, "spooledBytes": 0}


async def test_other_paths_and_methods_are_refused(house: House) -> None:
    assert (await house.http.get("/health/everything")).status_code == 404
    assert (await house.http.post("/health")).status_code == 405


class TestSwitchedOff:
    @pytest.fixture
    def analytics_settings(self) -> AnalyticsSettings:
        """No analytics."""
        return AnalyticsSettings(enabled=False)

    async def test_what_is_off_says_why_and_degrades_nothing(self, house: House, acme: Client) -> None:
        assert (await _health(house))["parts"]["analytics"] == {"status": "off"}
        told = await _health(house, acme.key)
        assert told["status"] == "ok"
        assert told["parts"]["analytics"]["reason"] == "LATCHWORK_ANALYTICS__ENABLED is false."
