"""A load on all nodes of a cluster at once."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from tests.faults.nodes import Caller, Node

Cluster = tuple[list[Node], Caller]


async def make(cluster: Cluster, **options: object) -> dict[str, str]:
    """A key of a new API."""
    nodes, caller = cluster
    api_id = (await caller.data(nodes[0], "apis.createApi", {"name": "faults"}))["apiId"]
    made: dict[str, str] = await caller.data(nodes[0], "keys.createKey", {"apiId": api_id, **options})
    return made | {"apiId": api_id}


class Hammer:
    """Verifies one key on all nodes at once, until told to stop."""

    def __init__(self, cluster: Cluster, key: str, each: int = 4) -> None:
        self.codes: Counter[str] = Counter()
        self.accepted: list[
            tuple[float, Node]
        ] = []  # when the question was sent that was answered VALID, and whom
        self._over = False
        self._cluster = cluster
        self._key = key
        self._tasks = [asyncio.ensure_future(self._keep(node)) for node in cluster[0] for _ in range(each)]

    async def _keep(self, node: Node) -> None:
        while not self._over:
            sent_s = time.monotonic()
            try:
                code = await self._cluster[1].code(node, self._key)
            except RuntimeError:  # the test is over
                return
            self.codes[code] += 1
            if code == "VALID":
                self.accepted.append((sent_s, node))
            if code in ("GONE", "503"):
                await asyncio.sleep(0.02)

    def by_node(self) -> Counter[str]:
        """How often each node has answered VALID."""
        return Counter(node.url for _, node in self.accepted)

    def grew(self, before: Counter[str], by: int) -> bool:
        """Whether every node has answered VALID so many times since then."""
        now = self.by_node()
        return all(now[node.url] >= before[node.url] + by for node in self._cluster[0])

    async def until(self, holds: Callable[[], bool]) -> None:
        """Go on until something holds."""
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)
