"""S10: from start to ready, with an empty data directory and with one that has been used; idle memory."""

import statistics
import time
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.harness import scratch
from benchmarks.latchwork import Latchwork

STARTS = 5
IDLE_S = 2


def run() -> Iterator[Figure]:
    first, again, idle = [], [], []
    for _ in range(STARTS):
        with scratch("start") as folder:
            server = Latchwork(folder / "data")
            with server:
                first.append(server.ready_after_s)
                time.sleep(IDLE_S)
                idle.append(server.memory_bytes() / 1e6)
            with server:
                again.append(server.ready_after_s)
    yield Figure(
        "S10", "first start to ready", statistics.median(first), "most", 2, "s", {"worst": max(first)}
    )
    yield Figure("S10", "start to ready", statistics.median(again), "most", 2, "s", {"worst": max(again)})
    yield Figure("S10", "idle memory", statistics.median(idle), "most", 150, "MB")
