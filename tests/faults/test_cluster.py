"""Three nodes are as right as one, whatever is cut, killed, stopped or forgotten."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.engines.fault_proxy import FaultProxy
from tests.engines.postgres import Postgres
from tests.engines.redis import Redis
from tests.faults.hammer import Cluster, Hammer, make
from tests.faults.nodes import Node, cluster_of

REVOKED_WITHIN_S = 1.0


@pytest.fixture
async def cluster(
    tmp_path: Path, postgres: Postgres, postgres_url: str, redis: Redis, redis_url: str
) -> AsyncIterator[Cluster]:
    async with cluster_of(3, tmp_path, postgres, postgres_url, redis) as opened:
        yield opened


async def test_a_limit_is_one_for_all_nodes(cluster: Cluster) -> None:
    limit = {"name": "all", "limit": 300, "duration": 600_000, "autoApply": True}
    made = await make(cluster, ratelimits=[limit])
    hammer = Hammer(cluster, made["key"])
    await hammer.until(lambda: hammer.codes["RATE_LIMITED"] > 100)
    await hammer.stop()
    print(f"R2: {hammer.codes['VALID']} of 300 admitted by three nodes")
    # A machine that is busy with other things may keep Redis from answering a node in time. That node then gives out
    # its third of what is left, and the others go on sharing all of it.
    was_slow = [await cluster[1].has_counted_alone(node) for node in cluster[0]]
    assert hammer.codes["VALID"] == 300 or (any(was_slow) and 200 <= hammer.codes["VALID"] <= 400)


async def test_credits_are_one_purse_for_all_nodes_through_the_end_of_one(cluster: Cluster) -> None:
    nodes, caller = cluster
    made = await make(cluster, credits={"remaining": 2_000})
    hammer = Hammer(cluster, made["key"])
    await hammer.until(lambda: hammer.codes["VALID"] > 200)
    await nodes[2].end(signal.SIGKILL)
    before = hammer.codes["VALID"]
    await hammer.until(lambda: hammer.codes["VALID"] > before + 200)
    await nodes[2].start()
    await hammer.until(lambda: hammer.codes["USAGE_EXCEEDED"] > 50)
    await hammer.stop()
    lost = hammer.codes["GONE"] + hammer.codes["503"]
    assert 2_000 - lost <= hammer.codes["VALID"] <= 2_000
    key = await caller.data(nodes[2], "keys.getKey", {"keyId": made["keyId"]})
    assert key["credits"]["remaining"] == 0


def _nothing(node: Node) -> None:
    """All is well."""


def _refuse(way: FaultProxy) -> None:
    way.refuses = True
    way.cut()


def _silence(node: Node) -> None:
    node.to_database.stall()
    node.to_redis.stall()


FAULTS: dict[str, Callable[[Node], None]] = {
    "nothing": _nothing,
    "bus cut": lambda node: _refuse(node.to_redis),
    "bus silent": lambda node: node.to_redis.stall(),
    "database cut": lambda node: _refuse(node.to_database),
    "database silent": lambda node: node.to_database.stall(),
    "both silent": _silence,
}


async def test_a_revoked_key_is_refused_everywhere_within_a_second_whatever_is_cut(cluster: Cluster) -> None:
    nodes, caller = cluster
    for name, spoil in FAULTS.items():
        made = await make(cluster)
        hammer = Hammer(cluster, made["key"], each=2)
        await hammer.until(lambda hammer=hammer: len({n.url for _, n in hammer.accepted}) == 3)  # type: ignore[misc]
        async with asyncio.timeout(20):
            while not await caller.is_well(nodes[1]):
                await asyncio.sleep(0.05)
        spoil(nodes[1])
        await caller.data(nodes[0], "keys.updateKey", {"keyId": made["keyId"], "enabled": False})
        revoked_s = time.monotonic()
        await hammer.until(lambda: time.monotonic() > revoked_s + 2.5)  # noqa: B023
        nodes[1].to_database.refuses = nodes[1].to_redis.refuses = False
        for way in (nodes[1].to_database, nodes[1].to_redis):
            way.cut()
            way.flow()
        await hammer.until(lambda hammer=hammer, at=hammer.codes["DISABLED"]: hammer.codes["DISABLED"] > at)  # type: ignore[misc]
        await hammer.stop()
        late = [sent_s - revoked_s for sent_s, _ in hammer.accepted if sent_s > revoked_s]
        print(f"R3, {name}: last accepted {1000 * max(late, default=0):.0f} ms after the revocation")
        assert max(late, default=0) <= REVOKED_WITHIN_S, name
        assert await caller.code(nodes[0], made["key"]) == "DISABLED"


async def test_a_node_that_was_stopped_does_not_decide_by_what_it_remembers(cluster: Cluster) -> None:
    nodes, caller = cluster
    made = await make(cluster)
    assert [await caller.code(node, made["key"]) for node in nodes] == ["VALID"] * 3
    nodes[1].send(signal.SIGSTOP)
    await caller.data(nodes[0], "keys.updateKey", {"keyId": made["keyId"], "enabled": False})
    await asyncio.sleep(REVOKED_WITHIN_S)
    asked = [asyncio.ensure_future(caller.code(nodes[1], made["key"])) for _ in range(20)]
    await asyncio.sleep(0.1)
    nodes[1].send(signal.SIGCONT)
    assert set(await asyncio.gather(*asked)) == {"DISABLED"}


async def test_without_redis_a_limit_is_shared_out_and_counts_again_afterwards(
    cluster: Cluster, redis: Redis
) -> None:
    limit = {"name": "all", "limit": 300, "duration": 600_000, "autoApply": True}
    made = await make(cluster, ratelimits=[limit])
    hammer = Hammer(cluster, made["key"])
    await hammer.until(lambda: hammer.codes["VALID"] > 60)
    redis.stop(signal.SIGKILL)
    try:
        await hammer.until(lambda: hammer.codes["RATE_LIMITED"] > 100)
    finally:
        redis.start()
    await asyncio.sleep(1)
    await hammer.stop()
    print(f"R2: {hammer.codes['VALID']} of 300 admitted through the loss of Redis")
    assert 285 <= hammer.codes["VALID"] <= 400
    assert hammer.codes["503"] == hammer.codes["GONE"] == 0


async def test_a_restart_of_the_database_is_survived(cluster: Cluster, postgres: Postgres) -> None:
    nodes, caller = cluster
    made = await make(cluster)
    stale = await make(cluster)
    await caller.data(nodes[0], "apis.updateApi", {"apiId": stale["apiId"], "staleOkSeconds": 600})
    hammer = Hammer(cluster, made["key"], each=2)
    changed_s = (
        time.monotonic()
    )  # a change is heard of by the bus, and in the database a moment later once more
    await hammer.until(lambda: hammer.codes["VALID"] > 50 and time.monotonic() > changed_s + 1)
    assert [await caller.code(node, stale["key"]) for node in nodes] == ["VALID"] * 3
    for node in nodes:
        node.to_database.stall()
    await hammer.until(lambda: hammer.codes["503"] > 20)
    assert [await caller.code(node, stale["key"]) for node in nodes] == ["VALID"] * 3
    for node in nodes:
        node.to_database.cut()
        node.to_database.flow()
    before = hammer.codes["VALID"]
    await hammer.until(lambda: hammer.codes["VALID"] > before + 50)
    await hammer.stop()
    assert set(hammer.codes) <= {"VALID", "503"}


async def test_a_monthly_quota_is_one_for_all_nodes(cluster: Cluster) -> None:
    nodes, caller = cluster
    made = await make(cluster)
    await caller.data(nodes[0], "workspace.updateLimits", {"apiBillableOperationsCountMaxPerMonth": 50})
    await asyncio.sleep(REVOKED_WITHIN_S)  # until all have heard of it
    codes: Counter[str] = Counter()
    for _ in range(30):
        codes.update(await asyncio.gather(*(caller.code(node, made["key"]) for node in nodes)))
    was_slow = [await caller.has_counted_alone(node) for node in nodes]
    assert codes == {"VALID": 50, "429": 40} or (any(was_slow) and 33 <= codes["VALID"] <= 67)
    answer = await caller.answer(nodes[1], "keys.verifyKeys", {"requests": [{"key": made["key"]}] * 2})
    assert answer.status_code == 429
