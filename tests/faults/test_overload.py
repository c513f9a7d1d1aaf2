"""More than can be served: administration waits and is refused, verification goes on, and it passes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from latchwork.compose.data_dir import DataDir
from latchwork.compose.platform import Platform, opened
from latchwork.domains.workspaces import operator
from latchwork.server.doors import doors_of
from latchwork.server.run import GracefulServer, bind
from latchwork.settings import Secret, ServerSettings, Settings
from tests.engines.fault_proxy import FaultProxy, fault_proxy
from tests.engines.postgres import Postgres
from tests.server.wire import PATIENCE_S

PLACES, QUEUE = 4, 4
LIMITS = ServerSettings(
    administration_in_flight=PLACES, administration_queue=QUEUE, verifications_in_flight=3
)


class Busy:
    """A server whose database can be held up."""

    def __init__(self, platform: Platform, url: str, held: Callable[[], Any]) -> None:
        self.platform = platform
        self.held = held
        self._http = httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=httpx.Limits())

    async def root_key(self, name: str) -> str:
        """A root key of a new workspace."""
        workspace = await self.platform.workspaces.create(name)
        minted = await self.platform.services.root_keys.create(operator(workspace.id), permissions=("*",))
        await self.data(minted.key, "apis.createApi", {"name": "first"})
        return minted.key

    async def post(self, root: str, procedure: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {root}"}
        return await self._http.post(f"/v2/{procedure}", json=body, headers=headers)

    async def data(self, root: str, procedure: str, body: dict[str, Any]) -> Any:
        answer = await self.post(root, procedure, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def flood(self, root: str, count: int) -> list["asyncio.Task[httpx.Response]"]:
        """So many writes at once."""
        calls = (self.post(root, "apis.createApi", {"name": f"name {at}"}) for at in range(count))
        return [asyncio.create_task(call) for call in calls]

    async def close(self) -> None:
        await self._http.aclose()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def _stalled(proxy: FaultProxy) -> Iterator[None]:
    proxy.stall()
    try:
        yield
    finally:
        proxy.flow()


@pytest.fixture(params=["sqlite", "postgres"])
async def busy(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Busy]:
    async with AsyncExitStack() as stack:
        held: Callable[[], Any]
        if request.param == "sqlite":
            settings = Settings(data_dir=tmp_path, server=LIMITS)
            held = partial(_locked, DataDir(tmp_path).database)
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            proxy = await stack.enter_async_context(fault_proxy(postgres.port))
            url = request.getfixturevalue("postgres_url").replace(f":{postgres.port}/", f":{proxy.port}/")
            settings = Settings(data_dir=tmp_path, server=LIMITS, database_url=Secret(url))
            held = partial(_stalled, proxy)
        (tmp_path / "spool").mkdir()
        platform = await stack.enter_async_context(opened(settings))
        url = await stack.enter_async_context(_served(platform))
        server = Busy(platform, url, held)
        stack.push_async_callback(server.close)
        yield server


@asynccontextmanager
async def _served(platform: Platform) -> AsyncIterator[str]:
    doors, ready, sock = doors_of(platform), asyncio.Event(), bind("127.0.0.1", 0)
    server = GracefulServer(doors.application, http=doors.protocol, on_ready=ready.set)
    task = asyncio.create_task(server._serve([sock]))
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.stop()
        await task


def refusals(answers: list["asyncio.Task[httpx.Response]"]) -> list[httpx.Response]:
    """Those that have come and are refusals."""
    return [task.result() for task in answers if task.done() and task.result().status_code != 200]


async def until(holds: Callable[[], bool]) -> None:
    """Let the server go on until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_flood_of_administration_is_refused_and_verification_goes_on(busy: Busy) -> None:
    root, other = await busy.root_key("acme"), await busy.root_key("other")
    api_id = (await busy.data(root, "apis.createApi", {"name": "payments"}))["apiId"]
    made = await busy.data(root, "keys.createKey", {"apiId": api_id})
    assert (await busy.data(root, "keys.verifyKey", {"key": made["key"]}))["valid"]
    with busy.held():
        served = PLACES - PLACES // 4
        flood = busy.flood(root, served + QUEUE + 20)
        await until(lambda: len(refusals(flood)) == 20)
        for refusal in refusals(flood):
            assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "1")
            assert refusal.json()["error"]["type"].endswith("/unkey/application/overloaded")
        for _ in range(10):
            assert (await busy.data(root, "keys.verifyKey", {"key": made["key"]}))["valid"]
        newcomers = busy.flood(other, 1 + QUEUE // 2)
        await until(lambda: len(refusals(flood)) == 20 + QUEUE // 2)
        assert refusals(newcomers) == []
    answers = await asyncio.gather(*flood, *newcomers)
    assert [a.status_code for a in answers].count(200) == served + QUEUE + 1
    assert {a.status_code for a in await asyncio.gather(*newcomers)} == {200}


async def test_verifications_that_wait_for_the_database_are_bounded_and_cached_ones_are_not(
    busy: Busy,
) -> None:
    root = await busy.root_key("acme")
    api_id = (await busy.data(root, "apis.createApi", {"name": "payments"}))["apiId"]
    free, metered = [
        (await busy.data(root, "keys.createKey", {"apiId": api_id, **more}))["key"]
        for more in ({}, {"credits": {"remaining": 50}})
    ]
    for key in (free, metered):
        assert (await busy.data(root, "keys.verifyKey", {"key": key}))["valid"]
    with busy.held():
        calls = [
            asyncio.create_task(busy.post(root, "keys.verifyKey", {"key": metered})) for _ in range(3 + 5)
        ]
        await until(lambda: len(refusals(calls)) == 5)
        for refusal in refusals(calls):
            assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "1")
        assert (await busy.data(root, "keys.verifyKey", {"key": free}))["valid"]
    answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in answers].count(200) == 3
    verdict = await busy.data(root, "keys.verifyKey", {"key": metered})
    assert verdict["credits"] == 50 - 1 - 3 - 1
