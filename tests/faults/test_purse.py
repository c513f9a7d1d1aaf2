"""One purse for all nodes, through the loss of each thing it depends on."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.engines.postgres import Postgres
from tests.engines.postgres import cluster as postgres_server
from tests.engines.redis import Redis
from tests.faults.hammer import Cluster, Hammer, make
from tests.faults.nodes import ROUNDS, SPENDS, cluster_of

PLENTY = 10_000_000
# A commit that was acknowledged must outlive the server.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
Fault = Callable[[Cluster, Postgres, Redis], Awaitable[None]]


async def _kill_node(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    await cluster[0][2].end(signal.SIGKILL)
    await cluster[0][2].start()


async def _kill_postgres(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    await asyncio.to_thread(postgres.stop, signal.SIGKILL)
    await asyncio.to_thread(postgres.start)


async def _kill_redis(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    await asyncio.to_thread(redis.stop, signal.SIGKILL)
    await asyncio.to_thread(redis.start)


async def _flush_redis(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    await asyncio.to_thread(redis.command, "FLUSHALL")


async def _silence_database(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    way = cluster[0][1].to_database
    way.stall()
    await asyncio.sleep(1)
    way.cut()
    way.flow()


async def _stop_node(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    cluster[0][0].send(signal.SIGSTOP)
    await asyncio.sleep(1)
    cluster[0][0].send(signal.SIGCONT)


FAULTS: tuple[Fault, ...] = (
    _kill_node,
    _kill_postgres,
    _kill_redis,
    _flush_redis,
    _silence_database,
    _stop_node,
)


async def test_what_was_spent_is_what_was_told_through_every_loss(
    tmp_path: Path, redis: Redis, redis_url: str
) -> None:
    with postgres_server(DURABLE) as postgres:
        async with cluster_of(
            3, tmp_path, postgres, await asyncio.to_thread(_database, postgres), redis
        ) as cluster:
            await _go_through(cluster, postgres, redis)


def _database(postgres: Postgres) -> str:
    return postgres.url(postgres.create())


def _name(fault: Fault) -> str:
    return fault.__name__.strip("_").replace("_", " ")


async def _go_through(cluster: Cluster, postgres: Postgres, redis: Redis) -> None:
    nodes, caller = cluster
    made = await make(cluster, credits={"remaining": PLENTY})
    hammer = Hammer(cluster, made["key"], at_once=100)
    rounds = 0
    while rounds < ROUNDS or hammer.codes["VALID"] < SPENDS:
        rounds += 1
        for fault in FAULTS:
            await fault(cluster, postgres, redis)
            ended_s, before = time.monotonic(), hammer.by_node()
            await hammer.until(lambda before=before: hammer.grew(before, 20))  # type: ignore[misc]
            recovered_s = time.monotonic() - ended_s
            print(f"R5: after {_name(fault)} every node spent again within {recovered_s:.1f} s")
    await hammer.stop()
    key = await caller.data(nodes[0], "keys.getKey", {"keyId": made["keyId"]})
    taken, told = PLENTY - key["credits"]["remaining"], hammer.codes["VALID"]
    unknown = hammer.codes["GONE"] + hammer.codes["503"]
    print(f"R1: {told} spends told of, {taken} taken, {unknown} without an answer or refused one")
    assert told <= taken <= told + unknown
    assert set(hammer.codes) <= {"VALID", "GONE", "503"}
