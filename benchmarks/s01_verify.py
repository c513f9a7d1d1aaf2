"""S1: how close a verification comes to the speed of the server itself.

Against (a) a bare httptools protocol and (b) a raw ASGI callable on uvicorn, both answering a fixed
body of the same size to the same requests. 500 keys, one auto-applied limit each, analytics on.
"""

from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.harness import scratch
from benchmarks.latchwork import fresh
from benchmarks.peers.start import floor
from benchmarks.rounds import Contender, alternate

KEYS = 500


def run() -> Iterator[Figure]:
    with scratch("floors") as folder, fresh() as server:
        keys = server.create_keys(KEYS)
        load = server.verifying(keys)
        size = server.answer_bytes("keys.verifyKey", {"key": keys[0]})
        with floor("bare", size, folder) as bare, floor("asgi", size, folder) as asgi:
            found = alternate(
                {
                    "latchwork": Contender(server, load),
                    "bare": Contender(bare, load),
                    "asgi": Contender(asgi, load),
                }
            )
    ours, bare_us, asgi_us = found["latchwork"], found["bare"].cpu_us, found["asgi"].cpu_us
    beside = ours.beside() | {"answer_bytes": size}
    yield Figure(
        "S1a",
        "of a bare protocol",
        bare_us / ours.cpu_us,
        "least",
        0.5,
        "×",
        beside | {"bare_us": round(bare_us, 2)},
    )
    yield Figure(
        "S1b",
        "of raw ASGI",
        asgi_us / ours.cpu_us,
        "least",
        1.5,
        "×",
        beside | {"asgi_us": round(asgi_us, 2)},
    )
