"""S5: what a verification costs in a cluster, on PostgreSQL and Redis, with limits that are exact for all nodes.

Against the embedded server of S1, in the same run, and with two processes against one. CPU is that of Latchwork's
processes; PostgreSQL and Redis run on the load's core. Events are recorded and spooled for a ClickHouse that
is not there, so that what it costs to send them away is not measured.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.figures import Figure
from benchmarks.harness import cores, scratch
from benchmarks.latchwork import Latchwork
from benchmarks.rounds import Contender, alternate
from tests.engines.postgres import cluster
from tests.engines.redis import redis_server

KEYS = 500
_NOWHERE = "http://127.0.0.1:9/latchwork"


def run() -> Iterator[Figure]:
    with ExitStack() as stack:
        with _on_the_loads_core():
            postgres = stack.enter_context(cluster())
            redis = stack.enter_context(redis_server())
        folder = stack.enter_context(scratch("cluster"))
        contenders = {}
        for name, workers in {"embedded": 1, "one": 1, "two": 2}.items():
            settings = {"LATCHWORK_CLICKHOUSE_URL": _NOWHERE}
            if name != "embedded":
                settings |= {
                    "LATCHWORK_DATABASE_URL": postgres.url(postgres.create()),
                    "LATCHWORK_REDIS_URL": redis.url.replace("/0", f"/{workers}"),
                }
            server = Latchwork(folder / name, workers=workers, settings=settings)
            stack.enter_context(server)
            contenders[name] = Contender(server, server.verifying(server.create_keys(KEYS)))
        found = alternate(contenders)
    embedded, one, two = (found[name] for name in contenders)
    beside = one.beside() | {"embedded_us": round(embedded.cpu_us, 2)}
    yield Figure(
        "S5", "of S1, on PostgreSQL and Redis", embedded.cpu_us / one.cpu_us, "least", 0.5, "×", beside
    )
    share = two.cpu_us / one.cpu_us
    yield Figure("S5", "CPU of two processes against one", share, "most", 1.1, "×", two.beside())


@contextmanager
def _on_the_loads_core() -> Iterator[None]:
    """What is started within runs beside the load."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
