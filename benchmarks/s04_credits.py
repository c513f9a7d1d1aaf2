"""S4: what it costs to spend a credit durably before the answer, over 1, 500 and 100,000 keys.

The share of S1's speed that is left: the unmetered keys are measured in the same run.
"""

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.latchwork import PLENTY, fresh
from benchmarks.rounds import Contender, alternate
from benchmarks.seed import add_keys, some

METERED = (1, 500, 100_000)


def run() -> Iterator[Figure]:
    with fresh() as server:
        unmetered = server.create_keys(500)
        metered = some(add_keys(server, max(METERED), credits=PLENTY), max(METERED))
        server.warm(metered)
        contenders = {0: Contender(server, server.verifying(unmetered))}
        for count in METERED:
            contenders[count] = Contender(server, server.verifying(metered[:count]))
        found = alternate({str(count): contender for count, contender in contenders.items()})
    plain = found["0"]
    for count in METERED:
        ours = found[str(count)]
        beside = ours.beside() | {"unmetered_us": round(plain.cpu_us, 2)}
        yield Figure("S4", f"of S1, {count:,} metered", plain.cpu_us / ours.cpu_us, "least", 0.6, "×", beside)
