"""Nodes of a cluster: the program itself, three times, each with its own way to PostgreSQL and to Redis."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.engines.fault_proxy import FaultProxy, fault_proxy
from tests.engines.postgres import Postgres
from tests.engines.redis import Redis

PROGRAM = (sys.executable, "-c", "from latchwork.cli import main; main()")
ROOT_KEY = "rk_0f3c9a7e5b1d8264f0a1c2e3d4b5a697"
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
"""How often a suite of faults goes through all it does; `make chaos` sets it."""
SPENDS = int(os.environ.get("CHAOS_SPENDS", "0"))
"""How many credits are spent at least while that goes on."""
_PATIENCE_S = 60


class Node:
    """One of the nodes. `to_database` and `to_redis` are its ways there, which tests spoil."""

    def __init__(
        self, home: Path, database_url: str, redis_url: str, to_database: FaultProxy, to_redis: FaultProxy
    ) -> None:
        self.home = home
        self.to_database = to_database
        self.to_redis = to_redis
        self.url = ""
        self._database_url = database_url
        self._redis_url = redis_url
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LATCHWORK_")}
        given = {
            "LATCHWORK_DATABASE_URL": self._database_url,
            "LATCHWORK_REDIS_URL": self._redis_url,
            "LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY,
        }
        port = urlsplit(self.url).port or 0
        self._process = subprocess.Popen(
            [*PROGRAM, "serve", "--json", "--port", str(port), "--data-dir", str(self.home)],
            env=own | given,
            stdout=subprocess.PIPE,
            stderr=(self.home.parent / f"{self.home.name}.log").open("a"),
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self.home.parent / f"{self.home.name}.log").read_text()
        self.url = json.loads(line)["url"]

    def send(self, what: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(what)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        return await asyncio.to_thread(process.wait, _PATIENCE_S)


class Caller:
    """Calls nodes with the root key, over a connection of its own to each."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {ROOT_KEY}"},
            timeout=10,
            limits=httpx.Limits(max_connections=None),
        )

    async def answer(self, node: Node, procedure: str, body: dict[str, Any]) -> httpx.Response:
        """The answer of a procedure."""
        return await self._http.post(f"{node.url}/v2/{procedure}", json=body)

    async def data(self, node: Node, procedure: str, body: dict[str, Any]) -> Any:
        """The `data` of a success."""
        answer = await self.answer(node, procedure, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def code(self, node: Node, key: str, **asked: Any) -> str:
        """The verdict on a key, the status where it is refused one, or `GONE` where nobody answers."""
        return (await self._codes(node, "keys.verifyKey", {"key": key} | asked))[0]

    async def codes(self, node: Node, key: str, count: int) -> list[str]:
        """The verdicts on a key that is verified so many times in one request; see `code`."""
        if count == 1:
            return [await self.code(node, key)]
        return await self._codes(node, "keys.verifyKeys", {"requests": [{"key": key}] * count})

    async def _codes(self, node: Node, procedure: str, body: dict[str, Any]) -> list[str]:
        count = len(body.get("requests", "1"))
        try:
            answer = await self.answer(node, procedure, body)
        except httpx.HTTPError:
            return ["GONE"] * count
        if answer.status_code != 200:
            return [str(answer.status_code)] * count
        data = answer.json()["data"]
        return [verdict["code"] for verdict in (data if isinstance(data, list) else [data])]

    async def health(self, node: Node) -> dict[str, Any]:
        """How the node says it fares, by part."""
        parts: dict[str, Any] = (await self._http.get(f"{node.url}/health")).json()["parts"]
        return parts

    async def is_well(self, node: Node) -> bool:
        """Whether the node says that nothing is wrong with any part."""
        return all(part["status"] != "failing" for part in (await self.health(node)).values())

    async def has_counted_alone(self, node: Node) -> bool:
        """Whether the node has lost its way to Redis since it was started."""
        return "no longer" in (node.home.parent / f"{node.home.name}.log").read_text()

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def cluster_of(
    count: int, home: Path, postgres: Postgres, database_url: str, redis: Redis
) -> AsyncIterator[tuple[list[Node], Caller]]:
    """So many nodes that are ready, and a caller."""
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(count):
            to_database = await stack.enter_async_context(fault_proxy(postgres.port))
            to_redis = await stack.enter_async_context(fault_proxy(redis.port))
            node = Node(
                home / f"node{number}",
                database_url.replace(f":{postgres.port}/", f":{to_database.port}/"),
                redis.url.replace(f":{redis.port}/", f":{to_redis.port}/"),
                to_database,
                to_redis,
            )
            stack.push_async_callback(node.end)
            nodes.append(node)
        await nodes[0].start()
        await asyncio.gather(*(node.start() for node in nodes[1:]))
        caller = Caller()
        stack.push_async_callback(caller.close)
        yield nodes, caller
