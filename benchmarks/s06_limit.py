"""S6: `ratelimit.limit` is at least as fast as a verification; 500 identifiers of one namespace."""

import json
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.latchwork import PLENTY, fresh
from benchmarks.load import Load
from benchmarks.rounds import Contender, alternate

IDENTIFIERS = 500


def run() -> Iterator[Figure]:
    with fresh() as server:
        verifying = server.verifying(server.create_keys(IDENTIFIERS))
        asked = {"namespace": "benchmark", "limit": PLENTY, "duration": 60_000}
        bodies = [json.dumps(asked | {"identifier": f"user_{n}"}) for n in range(IDENTIFIERS)]
        server.call("ratelimit.limit", json.loads(bodies[0]))
        limiting = Load("/v2/ratelimit.limit", bodies, headers=server.headers)
        found = alternate({"verify": Contender(server, verifying), "limit": Contender(server, limiting)})
    beside = found["limit"].beside() | {"verify_us": round(found["verify"].cpu_us, 2)}
    yield Figure(
        "S6", "ratelimit.limit of S1", found["verify"].cpu_us / found["limit"].cpu_us, "least", 1, "×", beside
    )
