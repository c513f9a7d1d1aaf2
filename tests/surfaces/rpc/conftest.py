"""The whole platform behind its own application, on both databases, with a hand-moved clock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchwork.asgi import Application
from latchwork.compose.platform import Platform, opened
from latchwork.compose.surfaces import surfaces_of
from latchwork.domains.workspaces import operator
from latchwork.kernel.clock import ManualClock
from latchwork.settings import AnalyticsSettings, EncryptionSettings, Secret, Settings

START_MS = 1_800_000_000_000


@dataclass
class Client:
    """One root key's way in; `door` is `hot` (hot handlers first) or `ordinary` (the surface alone)."""

    http: httpx.AsyncClient
    key: str

    async def post(self, procedure: str, body: Any, **headers: str) -> httpx.Response:
        """POST a procedure of `/v2`."""
        sent = {"authorization": f"Bearer {self.key}"} | headers
        return await self.http.post(f"/v2/{procedure}", json=body, headers=sent)

    async def data(self, procedure: str, body: Any, **headers: str) -> Any:
        """The `data` of a success."""
        answer = await self.post(procedure, body, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def error(self, procedure: str, body: Any, status: int, **headers: str) -> dict[str, Any]:
        """The `error` of a failure with that status."""
        answer = await self.post(procedure, body, **headers)
        assert answer.status_code == status, answer.text
        error: dict[str, Any] = answer.json()["error"]
        assert error["status"] == status
        return error


class House:
    """A running platform and ways to call it."""

    def __init__(self, platform: Platform, http: httpx.AsyncClient, clock: ManualClock) -> None:
        self.platform = platform
        self.http = http
        self.clock = clock

    async def tenant(self, name: str = "acme", quota: int | None = None) -> Client:
        """A new workspace with a root key that may do everything."""
        workspace = await self.platform.workspaces.create(name, quota)
        return await self.root_key(workspace.id, "*")

    async def root_key(self, workspace_id: str, *permissions: str) -> Client:
        """A root key of a workspace with just these permissions."""
        minted = await self.platform.services.root_keys.create(
            operator(workspace_id), permissions=permissions
        )
        return Client(self.http, minted.key)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_MS)


@pytest.fixture
def encryption() -> EncryptionSettings:
    """What recoverable keys are encrypted with: nothing, where a module does not say otherwise."""
    return EncryptionSettings()


@pytest.fixture
def analytics_settings() -> AnalyticsSettings:
    """How analytics are kept: as usual, where nobody says otherwise."""
    return AnalyticsSettings()


EVERYWHERE = pytest.mark.everywhere
"""For tests of what is decided otherwise in a cluster: they run on one more house, a node of one."""


@pytest.fixture
async def house(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: ManualClock,
    encryption: EncryptionSettings,
    analytics_settings: AnalyticsSettings,
) -> AsyncIterator[House]:
    place = request.getfixturevalue("sqlite_path" if request.param == "sqlite" else "postgres_url")
    url = None if request.param == "sqlite" else Secret(place)
    redis_url = Secret(request.getfixturevalue("redis_url")) if request.param == "cluster" else None
    (tmp_path / "spool").mkdir()
    settings = Settings(
        data_dir=tmp_path,
        database_url=url,
        redis_url=redis_url,
        test_clock=True,
        encryption=encryption,
        analytics=analytics_settings,
    )
    async with opened(settings, clock) as platform:
        surfaces = surfaces_of(platform)
        application = Application(
            surfaces.mounts,
            fallback=surfaces.fallback,
            hot=surfaces.hot,
            trusted=surfaces.trusted,
            another_way=surfaces.unhot_headers,
        )
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
            yield House(platform, http, clock)


@pytest.fixture
async def acme(house: House) -> Client:
    return await house.tenant("acme")


@pytest.fixture
async def api_id(acme: Client) -> str:
    created: dict[str, str] = await acme.data("apis.createApi", {"name": "payments"})
    return created["apiId"]
