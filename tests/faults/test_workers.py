"""Several workers of one host: one cluster behind one port, renewed without a failed request."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.nodes import PROGRAM, ROOT_KEY

PATIENCE_S = 60


class Host:
    """A host's program with two workers, in its own directory."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]", told: dict[str, Any]) -> None:
        self.home = home
        self.process = process
        self.told = told

    def pids(self) -> set[int]:
        """The processes that serve."""
        locks = (self.home / "data" / "workers").glob("*/latchwork.lock")
        return {int(lock.read_text() or 0) for lock in locks}


@pytest.fixture
def host(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Host]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("LATCHWORK_")}
    given = {
        "LATCHWORK_DATABASE_URL": postgres_url,
        "LATCHWORK_REDIS_URL": redis_url,
        "LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY,
    }
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--json", "--port", "0", "--workers", "2", "--data-dir", str(tmp_path / "data")],
        env=own | given,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Host(tmp_path, process, json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


class Load:
    """Verifies a key over kept connections and counts what comes back."""

    def __init__(self, url: str, key: str) -> None:
        self.answers: list[str] = []
        self._url = url
        self._key = key
        self._over = False
        self._tasks = [asyncio.ensure_future(self._keep()) for _ in range(8)]

    async def _keep(self) -> None:
        async with httpx.AsyncClient(
            headers={"Authorization": f"Bearer {ROOT_KEY}"}, timeout=PATIENCE_S
        ) as http:
            while not self._over:
                try:
                    answer = await http.post(f"{self._url}/v2/keys.verifyKey", json={"key": self._key})
                    self.answers.append(answer.json()["data"]["code"])
                except (httpx.HTTPError, KeyError) as error:
                    self.answers.append(repr(error))

    async def stop(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)


async def _made(url: str, **options: Any) -> str:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ROOT_KEY}"}, timeout=PATIENCE_S) as http:
        api = (await http.post(f"{url}/v2/apis.createApi", json={"name": "workers"})).json()["data"]["apiId"]
        made = await http.post(f"{url}/v2/keys.createKey", json={"apiId": api, **options})
        key: str = made.json()["data"]["key"]
        return key


async def test_workers_are_renewed_under_load_without_a_failed_request(host: Host) -> None:
    assert host.told["workers"] == 2 and host.told["pid"] == host.process.pid
    before = host.pids()
    assert len(before) == 2
    load = Load(host.told["url"], await _made(host.told["url"], credits={"remaining": 1_000_000}))
    host.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + PATIENCE_S
    while host.pids() & before or len(host.pids() - {0}) < 2:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    answered = len(load.answers)
    while len(load.answers) < answered + 100:
        await asyncio.sleep(0.05)
    await load.stop()
    print(f"R9: {len(load.answers)} requests through the renewal of all workers, all answered")
    assert set(load.answers) == {"VALID"}


async def test_workers_share_a_limit_and_one_that_is_killed_comes_back(host: Host) -> None:
    limit = {"name": "all", "limit": 200, "duration": 600_000, "autoApply": True}
    load = Load(host.told["url"], await _made(host.told["url"], ratelimits=[limit]))
    while load.answers.count("RATE_LIMITED") < 50:
        await asyncio.sleep(0.01)
    await load.stop()
    print(f"R2: {load.answers.count('VALID')} of 200 admitted by two workers")
    before = host.pids()
    os.kill(next(iter(before)), signal.SIGKILL)
    end = time.monotonic() + PATIENCE_S
    while len(host.pids() - before - {0}) < 1:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
