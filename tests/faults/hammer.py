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
    """Verifies one key on all nodes at once, until told to stop; also many times in one request, where asked to."""

    def __init__(self, cluster: Cluster, key: str, each: int = 4, at_once: int = 1) -> None:
        self.codes: Counter[str] = Counter()
        self._valid: Counter[str] = Counter()
        self.accepted: list[
            tuple[float, Node]
        ] = []  # when the question was sent that was answered VALID, and whom
        self._over = False
        self._cluster = cluster
        self._key = key
        counts = ([1, at_once] * each)[:each]
        self._tasks = [
            asyncio.ensure_future(self._keep(node, count)) for node in cluster[0] for count in counts
        ]

    async def _keep(self, node: Node, count: int) -> None:
        while not self._over:
            sent_s = time.monotonic()
            try:
                codes = await self._cluster[1].codes(node, self._key, count)
            except RuntimeError:  # the test is over
                return
            self.codes.update(codes)
            if "VALID" in codes:
                self.accepted.append((sent_s, node))
                self._valid[node.url] += 1
            if codes[0] in ("GONE", "503"):
                await asyncio.sleep(0.02)

    def by_node(self) -> Counter[str]:
        """How many requests each node has answered with VALID."""
        return Counter(self._valid)

    def grew(self, before: Counter[str], by: int) -> bool:
        """Whether every node has answered VALID so many times since then."""
        now = self._valid
        return all(now[node.url] >= before[node.url] + by for node in self._cluster[0])

    async def until(self, holds: Callable[[], bool]) -> None:
        """Go on until something holds."""
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)
