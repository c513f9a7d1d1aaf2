"""What the command line can ask, on a platform of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from latchwork.compose.control import Refusal, call
from latchwork.compose.platform import Platform, opened
from latchwork.compose.verbs import VERBS
from latchwork.domains.audit.tables import audit_heads
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.kernel.sql.migrate import HEAD
from latchwork.settings import AnalyticsSettings, Settings

Ask = Callable[..., Awaitable[Any]]
LIMIT = {"name": "calls", "limit": 2, "duration": 60_000, "autoApply": True}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    settings = Settings(data_dir=tmp_path, analytics=AnalyticsSettings(enabled=False))
    async with opened(settings, ManualClock()) as platform:
        yield platform


@pytest.fixture
def ask(platform: Platform) -> Ask:
    """`await ask(verb, **arguments)`."""
    return lambda verb, **arguments: call(VERBS, platform, verb, arguments)


@pytest.fixture
async def in_weather(ask: Ask) -> Ask:
    """The same, with a workspace `acme` and an API `weather` in it."""
    await ask("workspace.create", name="acme")
    await ask("api.create", name="weather")
    return ask


async def _refusal(asked: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asked
    return caught.value


async def test_a_workspace_is_created_with_its_limit(ask: Ask) -> None:
    made = await ask("workspace.create", name="acme", requests_per_minute=60)
    assert made["workspaceId"].startswith("ws_")
    assert (made["name"], made["requestsPerMinute"]) == ("acme", 60)


async def test_a_workspace_needs_a_name(ask: Ask) -> None:
    refusal = await _refusal(ask("workspace.create", name=""))
    assert (refusal.status, refusal.detail) == (400, "A workspace's name has 1 to 256 characters.")


async def test_without_a_workspace_nothing_else_can_be_made_and_the_way_out_is_told(ask: Ask) -> None:
    refusal = await _refusal(ask("api.create", name="weather"))
    assert refusal.status == 404
    assert "latchwork workspace create NAME" in refusal.detail


async def test_the_first_workspace_is_meant_unless_another_is_named(ask: Ask) -> None:
    acme = await ask("workspace.create", name="acme")
    zeta = await ask("workspace.create", name="zeta")
    own = await ask("root_key.create", permissions=["*"])
    by_name = await ask("root_key.create", permissions=["*"], workspace="zeta")
    by_id = await ask("root_key.create", permissions=["*"], workspace=zeta["workspaceId"])
    assert own["workspaceId"] == acme["workspaceId"]
    assert by_name["workspaceId"] == by_id["workspaceId"] == zeta["workspaceId"]


async def test_a_workspace_that_is_not_there_is_refused(ask: Ask) -> None:
    await ask("workspace.create", name="acme")
    refusal = await _refusal(ask("api.create", name="weather", workspace="omega"))
    assert (refusal.status, refusal.detail) == (404, "There is no workspace omega.")


async def test_a_name_that_several_workspaces_have_is_refused(ask: Ask) -> None:
    for _ in range(2):
        await ask("workspace.create", name="acme")
    refusal = await _refusal(ask("api.create", name="weather", workspace="acme"))
    assert (refusal.status, refusal.detail) == (400, "2 workspaces are called acme; name one by its id.")


async def test_a_root_key_lets_its_holder_in(ask: Ask, platform: Platform) -> None:
    acme = await ask("workspace.create", name="acme")
    made = await ask("root_key.create", permissions=["api.*.create_api"], name="gateway")
    caller = await platform.services.callers.authenticate(made["key"].encode())
    assert caller.workspace_id == acme["workspaceId"]
    assert caller.permissions == {"api.*.create_api"}


async def test_a_root_key_that_has_expired_already_is_refused(ask: Ask) -> None:
    await ask("workspace.create", name="acme")
    refusal = await _refusal(ask("root_key.create", permissions=["*"], expires_ms=1))
    assert refusal.status == 400


async def test_what_the_api_would_refuse_is_refused_with_what_would_be_right(in_weather: Ask) -> None:
    refusal = await _refusal(in_weather("key.create", api="weather", wanted={"prefix": "a b"}))
    assert refusal.status == 400
    assert "`prefix`" in refusal.detail


async def test_a_key_is_made_in_an_api_by_name_or_by_id(ask: Ask) -> None:
    await ask("workspace.create", name="acme")
    api = await ask("api.create", name="weather")
    for named in ("weather", api["apiId"]):
        made = await ask("key.create", api=named, wanted={"prefix": "prod"})
        assert made["keyId"].startswith("key_")
        assert made["key"].startswith("prod_")


async def test_an_api_that_is_not_there_or_not_the_only_one_of_its_name_is_refused(in_weather: Ask) -> None:
    absent = await _refusal(in_weather("key.create", api="traffic", wanted={}))
    assert (absent.status, absent.detail) == (404, "There is no API traffic in this workspace.")
    await in_weather("api.create", name="weather")
    several = await _refusal(in_weather("key.create", api="weather", wanted={}))
    assert (several.status, several.detail) == (400, "2 APIs are called weather; name one by its id.")


async def test_an_api_is_found_however_many_there_are(in_weather: Ask) -> None:
    for number in range(101):
        await in_weather("api.create", name=f"api-{number}")
    assert (await in_weather("key.create", api="api-100", wanted={}))["keyId"]


async def test_a_key_is_verified_at_its_cost_and_explained_for_nothing(in_weather: Ask) -> None:
    wanted = {"credits": {"remaining": 5}, "ratelimits": [LIMIT], "permissions": ["read"]}
    key = (await in_weather("key.create", api="weather", wanted=wanted))["key"]
    claim = {"key": key, "credits": {"cost": 3}, "permissions": "read"}
    explained = await in_weather("key.explain", claim=claim)
    assert (explained["valid"], explained["code"], explained["remedies"]) == (True, "VALID", [])
    first = await in_weather("key.verify", claim=claim)
    assert (first["valid"], first["credits"], first["ratelimits"][0]["remaining"]) == (True, 2, 1)
    second = await in_weather("key.verify", claim=claim)
    assert (second["valid"], second["code"], second["credits"]) == (False, "USAGE_EXCEEDED", 2)
    why = await in_weather("key.explain", claim=claim)
    assert why["code"] in ("RATE_LIMITED", "USAGE_EXCEEDED")
    assert any("credits" in remedy for remedy in why["remedies"])


async def test_an_unknown_key_is_an_answer_and_no_refusal(in_weather: Ask) -> None:
    assert await in_weather("key.verify", claim={"key": "nobody"}) == {"valid": False, "code": "NOT_FOUND"}


async def test_a_malformed_permission_query_is_refused(in_weather: Ask) -> None:
    key = (await in_weather("key.create", api="weather", wanted={}))["key"]
    refusal = await _refusal(in_weather("key.verify", claim={"key": key, "permissions": "a AND"}))
    assert refusal.status == 400


async def test_migrating_tells_the_schema(ask: Ask) -> None:
    assert await ask("migrate") == {"schema": HEAD, "finished": True}


async def test_the_audit_log_is_verified_for_one_workspace_or_all(ask: Ask, platform: Platform) -> None:
    made = [await ask("workspace.create", name=name) for name in ("acme", "other")]
    found = await ask("audit.verify")
    assert [(each["name"], each["rows"], len(each["digest"])) for each in found] == [
        ("acme", 1, 64),
        ("other", 1, 64),
    ]
    assert not any("broken" in each for each in found)
    await platform.db.write(_tamper, ALL_WORKSPACES)
    (found,) = await ask("audit.verify", workspace="other")
    assert found["workspaceId"] == made[1]["workspaceId"]
    assert found["broken"] == {"seq": 2, "reason": "the log ends at row 1, its head says 7"}
    refusal = await _refusal(ask("audit.verify", workspace="nobody"))
    assert refusal.status == 404


def _tamper(connection: Connection) -> None:
    connection.execute(update(audit_heads).values(seq=7))
