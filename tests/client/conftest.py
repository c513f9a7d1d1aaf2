"""One real server for the tests of the client, and both clients by one name."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from latchwork.client import AsyncLatchwork, Latchwork
from tests.cli.processes import Running, latchwork, serving
from tests.client.faulty import Faulty, faulty

ROOT_KEY = "lw_root_only_for_the_tests_of_the_client"


@dataclass
class Real:
    """A real server with an API."""

    server: Running
    directory: Path
    url: str
    api_id: str

    def client(self, **settings: Any) -> Latchwork:
        return Latchwork(self.url, ROOT_KEY, **settings)

    def awaited(self, **settings: Any) -> AsyncLatchwork:
        return AsyncLatchwork(self.url, ROOT_KEY, **settings)

    def key(self, **wanted: Any) -> str:
        """The text of a new key of the API."""
        with self.client(deadline_s=20) as client:
            return client.create_key(self.api_id, **wanted).key


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    directory = tmp_path_factory.mktemp("client")
    with serving(
        directory, LATCHWORK_BOOTSTRAP_ROOT_KEY=ROOT_KEY, LATCHWORK_TRUSTED_PROXIES="127.0.0.0/8"
    ) as server:
        api = server.post("apis.createApi", {"name": "for clients"}, ROOT_KEY)
        yield Real(server, directory, server.ready["url"], api["apiId"])


@pytest.fixture(scope="session")
def hasty_root_key(real: Real) -> str:
    """A root key of a workspace that may make one call a minute."""
    made = latchwork(
        real.directory, "workspace", "create", "hasty", "--requests-per-minute", "1", "--json"
    ).json
    key = latchwork(
        real.directory,
        "root-key",
        "create",
        "--workspace",
        made["workspaceId"],
        "--permission",
        "*",
        "--json",
    ).json
    return str(key["key"])


@pytest.fixture
def bad() -> Iterator[Faulty]:
    with faulty() as server:
        yield server


Do = Callable[[Any], Any]


class Blocking:
    """Runs calls on a `Latchwork`."""

    def __call__(self, url: str, *calls: Do, root_key: str = ROOT_KEY, **settings: Any) -> list[Any]:
        """What each call came to: its answer, or what it raised."""
        with Latchwork(url, root_key, **settings) as client:
            return [self._outcome(call, client) for call in calls]

    def _outcome(self, call: Do, client: Latchwork) -> Any:
        try:
            return call(client)
        except Exception as error:
            return error


class Awaited:
    """Runs calls on an `AsyncLatchwork`, in an event loop of its own."""

    def __call__(self, url: str, *calls: Do, root_key: str = ROOT_KEY, **settings: Any) -> list[Any]:
        return asyncio.run(self._run(url, calls, root_key, settings))

    async def _run(self, url: str, calls: tuple[Do, ...], root_key: str, settings: Any) -> list[Any]:
        async with AsyncLatchwork(url, root_key, **settings) as client:
            return [await self._outcome(call(client)) for call in calls]

    async def _outcome(self, asked: Awaitable[Any]) -> Any:
        try:
            return await asked
        except Exception as error:
            return error


Run = Blocking | Awaited


@pytest.fixture(params=[Blocking(), Awaited()], ids=["blocking", "awaited"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both clients, one after the other: `run(url, lambda client: client.verify_key("k"))`."""
    client: Run = request.param
    return client
