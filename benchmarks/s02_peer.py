"""S2: how much cheaper a verification is than in the service that a team would write itself.

The peer is `peers/fastapi_sqlalchemy.py`: the same requests, keys and check.
"""

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.harness import scratch
from benchmarks.latchwork import fresh
from benchmarks.peers.start import fastapi_sqlalchemy
from benchmarks.rounds import Contender, alternate

KEYS = 500


def run() -> Iterator[Figure]:
    with scratch("peer") as folder, fresh() as server:
        keys = server.create_keys(KEYS)
        load = server.verifying(keys)
        with fastapi_sqlalchemy(keys, server.root_key, folder) as peer:
            found = alternate({"latchwork": Contender(server, load), "peer": Contender(peer, load)})
    ours, theirs = found["latchwork"], found["peer"]
    beside = ours.beside() | {"peer_us": round(theirs.cpu_us), "peer_per_s": round(theirs.per_s)}
    yield Figure(
        "S2", "of FastAPI + SQLAlchemy + slowapi", theirs.cpu_us / ours.cpu_us, "least", 20, "×", beside
    )
