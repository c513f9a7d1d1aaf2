"""S3: the slowest answers at 60 % of the peak, over 64 connections.

The peak is measured first, with the load as fast as answers come; then requests are due at even
intervals. `core_lost_ms` is how long the server was ready to run while something else had its core:
a pause that long is the machine's, not the server's.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figures import Figure
from benchmarks.latchwork import fresh
from benchmarks.rounds import Contender, Rounds, one_round

KEYS = 500
SHARE = 0.6


def run() -> Iterator[Figure]:
    with fresh() as server:
        load = server.verifying(server.create_keys(KEYS))
        peak = Rounds(tuple(one_round(Contender(server, load)) for _ in range(4))[1:]).per_s
        paced = Contender(server, replace(load, rate=peak * SHARE))
        rounds = Rounds(tuple(one_round(paced, seconds=4) for _ in range(6))[1:])
    beside = {
        "peak_per_s": round(peak),
        "paced_per_s": round(rounds.per_s),
        "p50_ms": round(rounds.median("p50_ms"), 3),
        "core_lost_ms": round(max(r.waited_ms for r in rounds.each), 1),
    }
    yield Figure("S3", "p99 at 60 % of the peak", rounds.median("p99_ms"), "most", 5, "ms", beside)
    yield Figure("S3", "worst pause", rounds.worst_ms, "most", 50, "ms", beside)
