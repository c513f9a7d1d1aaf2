"""R10: memory while identifiers keep coming that were never seen before, and while the same is asked for long.

Each identifier of `ratelimit.limit` is counted once. IDENTIFIERS and SOAK_S make it long: 10000000 and 3600 are
the goal's; without them it takes half a minute, and a slope over so short a time says little.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figures import Figure
from benchmarks.harness import BenchError
from benchmarks.latchwork import Latchwork, fresh
from benchmarks.load import Load, send

IDENTIFIERS = int(os.environ.get("IDENTIFIERS", "500000"))
SOAK_S = int(os.environ.get("SOAK_S", "10"))
AT_ONCE = 500_000
LIMIT = "/v2/ratelimit.limit"
_A_SECOND = 20_000  # at least
_EVERY_S = 30


def run() -> Iterator[Figure]:
    with fresh() as server:
        keys = server.create_keys(500)
        verify = replace(server.verifying(keys), rate=5_000)
        _known(server, 0, 1_000)
        before = server.memory_bytes()
        peaks = [_known(server, start, AT_ONCE) for start in range(0, IDENTIFIERS, AT_ONCE)]
        time.sleep(2)
        beside = {
            "before_MB": before / 1e6,
            "peak_MB": max(peaks) / 1e6,
            "in_the_middle_MB": peaks[len(peaks) // 2] / 1e6,
        }
        yield Figure(
            "R10",
            f"memory of {IDENTIFIERS:,} distinct identifiers",
            (max(peaks) - before) / 1e6,
            "most",
            1_000,
            "MB",
            beside,
        )
        yield Figure("R10", f"growth of memory, {SOAK_S} s", _slope(server, verify), "most", 1, "MB/h")


def _known(server: Latchwork, start: int, count: int) -> int:
    """Count so many identifiers for the first time; the bytes of memory afterwards."""
    bodies = [
        json.dumps(
            {"namespace": "soak", "identifier": f"somebody-{start + at:09d}", "limit": 10, "duration": 60_000}
        )
        for at in range(count)
    ]
    sent = send(server.port, Load(LIMIT, bodies, headers=server.headers, most=count), 1 + count // _A_SECOND)
    if sent.requests < count * 0.9:
        raise BenchError(f"only {sent.requests} of {count} identifiers were asked for")
    return server.memory_bytes()


def _slope(server: Latchwork, load: Load) -> float:
    """Megabytes an hour, by least squares over the second half of the time; the first warms up."""
    found: list[tuple[float, float]] = []
    began = time.monotonic()
    while (now := time.monotonic() - began) < SOAK_S:
        send(server.port, load, max(1, min(_EVERY_S, int(SOAK_S - now))))
        found.append((time.monotonic() - began, server.memory_bytes() / 1e6))
    half = found[len(found) // 2 :]
    middle_s, middle_mb = (sum(values) / len(half) for values in zip(*half, strict=True))
    spread = sum((at - middle_s) ** 2 for at, _ in half)
    return 3600 * sum((at - middle_s) * (mb - middle_mb) for at, mb in half) / spread if spread else 0.0
