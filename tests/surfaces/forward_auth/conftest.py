"""A proxy's way in: the whole platform, asked at `/forward-auth`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from latchwork.asgi import Application
from latchwork.compose.surfaces import surfaces_of
from latchwork.settings import ForwardAuthSettings, Settings
from tests.surfaces.rpc.conftest import *  # noqa: F403 - its fixtures, however many they become
from tests.surfaces.rpc.conftest import Client, House


@dataclass
class Proxy:
    """Asks about requests of clients."""

    http: httpx.AsyncClient
    api_id: str

    async def ask(
        self, key: str | None = None, *, method: str = "GET", headers: Any = None, **question: Any
    ) -> httpx.Response:
        """The answer about a request with that key; the API is the proxy's own unless named."""
        sent = list(httpx.Headers(headers or {}).multi_items())
        if key is not None:
            sent.append(("authorization", f"Bearer {key}"))
        asked = {"api": self.api_id} | question
        return await self.http.request(method, "/forward-auth", params=asked, headers=sent)

    async def raw(self, query: str, key: str | None = None) -> httpx.Response:
        """The answer to a query string as it stands."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return await self.http.get(f"/forward-auth?{query}", headers=headers)


def front_of(house: House, **changes: Any) -> httpx.AsyncClient:
    """A client of the house's platform under other settings."""
    settings: Settings = replace(house.platform.settings, **changes)
    surfaces = surfaces_of(replace(house.platform, settings=settings))
    application = Application(surfaces.mounts, fallback=surfaces.fallback, trusted=surfaces.trusted)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://latchwork")


def with_settings(house: House, api_id: str, **changes: Any) -> Proxy:
    """A proxy before a server with these settings of the group `forward_auth`."""
    return Proxy(front_of(house, forward_auth=ForwardAuthSettings(**changes)), api_id)


@pytest.fixture
def proxy(house: House, api_id: str) -> Proxy:
    return Proxy(house.http, api_id)


Make = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
def make(acme: Client, api_id: str) -> Make:
    """Makes keys of the API: `keyId` and `key`."""

    async def make(**wanted: Any) -> dict[str, str]:
        made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
        return made

    return make
