"""S7: what a million keys cost: warm, cold, and in memory.

Two servers, with 1,000 and with 1,000,000 keys. Warm: 1,000 keys of each, once the large one also
holds `SETS` times `CACHED` others. Cold: keys drawn uniformly that nobody asked for since the start, at a
low even rate, so that the latency is the lookup's and not a queue's. Memory: growth per key while `CACHED`
keys are asked for once each, the median of sets of keys; the first set is not counted, as with it the
database's own caches fill up, which are bounded.
"""

import statistics
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.figures import Figure
from benchmarks.harness import scratch
from benchmarks.latchwork import Latchwork
from benchmarks.load import Sent, send
from benchmarks.rounds import Contender, Rounds, alternate, one_round
from benchmarks.seed import add_keys, some

FEW = 1_000
MANY = 1_000_000
CACHED = 30_000
SETS = 4
COLD_RATE = 200
COLD_SECONDS = 10


def run() -> Iterator[Figure]:
    with (
        scratch("few") as few,
        scratch("many") as many,
        Latchwork(few / "data") as small,
        Latchwork(many / "data") as large,
    ):
        few_keys = add_keys(small, FEW)
        drawn = some(add_keys(large, MANY), SETS * CACHED + FEW + COLD_RATE * COLD_SECONDS)
        hot, cold = drawn[:FEW], drawn[FEW : -SETS * CACHED]
        sets = [drawn[-at * CACHED :][:CACHED] for at in range(SETS, 0, -1)]
        alternate({"few": Contender(small, small.verifying(few_keys))}, rounds=1)
        slow = _cold(large, cold).p99_ms - _warm_p99(small, few_keys)
        one_round(Contender(large, large.verifying(hot)))  # fills what grows with requests rather than keys
        per_key = statistics.median([_memory_per_key(large, keys) for keys in sets][1:])
        found = alternate(
            {
                "few": Contender(small, small.verifying(few_keys)),
                "many": Contender(large, large.verifying(hot)),
                "spread": Contender(large, large.verifying(sets[0])),
            }
        )
    ratio = found["few"].cpu_us / found["many"].cpu_us
    beside = found["many"].beside() | {
        "few_us": round(found["few"].cpu_us, 2),
        f"over_{CACHED}_us": round(found["spread"].cpu_us, 2),
    }
    yield Figure("S7", "warm, of 1,000 keys' speed", ratio, "least", 0.95, "×", beside)
    yield Figure("S7", "cold p99, beyond warm", max(slow, 0.0), "most", 1, "ms")
    yield Figure("S7", "memory per cached key", per_key, "most", 1536, "bytes")


def _warm_p99(server: Latchwork, keys: list[str]) -> float:
    load = replace(server.verifying(keys), connections=4, rate=COLD_RATE)
    return Rounds((one_round(Contender(server, load), COLD_SECONDS),)).median("p99_ms")


def _cold(server: Latchwork, keys: list[str]) -> Sent:
    load = replace(server.verifying(keys), connections=4, rate=COLD_RATE, most=len(keys))
    return send(server.port, load, COLD_SECONDS)


def _memory_per_key(server: Latchwork, keys: list[str]) -> float:
    """Growth of the resident memory for each of `keys`, which nobody asked for so far."""
    before = server.memory_bytes()
    server.warm(keys)
    return (server.memory_bytes() - before) / len(keys)
