"""What makes many processes one: shared counters, news from node to node, and the lease on what is remembered."""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic

import msgspec

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import Bus, RedisCounters
from latchwork.domains.ratelimits import LocalTally, SharedTally, Standby
from latchwork.kernel.clock import Clock
from latchwork.kernel.leases import Lease
from latchwork.kernel.sql import PostgresDatabase
from latchwork.kernel.sql.changes import message_of, news_of
from latchwork.kernel.sql.follower import Follower
from latchwork.settings import Settings
from latchwork.surfaces.agent_service.health import Part

_TEST_WINDOWS = 1000  # a test clock may be set back and forth


@dataclass(frozen=True, slots=True)
class Cluster:
    """This node's part in a cluster; every part is open."""

    node: str
    lease: Lease
    bus: Bus
    counters: RedisCounters
    tally: SharedTally


async def joined(
    settings: Settings,
    db: PostgresDatabase,
    clock: Clock,
    stack: AsyncExitStack,
    now_s: Callable[[], float] = monotonic,
) -> Cluster | None:
    """This node's part in the cluster that the settings describe; `None` where there is none.

    `now_s` is the time that leases go by.
    """
    if settings.redis_url is None:
        return None
    url, node = settings.redis_url.reveal(), token_hex(8)

    def hear(message: bytes) -> None:
        with suppress(msgspec.DecodeError):  # of another version: the next look hears of it
            follower.hear(news_of(message))

    lease = Lease(now_s)
    bus = Bus(url, node, hear)
    follower = Follower(db, lease, node, bus.is_silent)
    await bus.open()
    stack.push_async_callback(bus.close)
    db.share(node, lambda news: bus.publish(message_of(news)))
    await follower.open()
    stack.push_async_callback(follower.close)

    def nodes() -> int:
        return max(bus.known_nodes(), follower.nodes) if bus.is_silent() else bus.known_nodes()

    standby = Standby(_memory(settings), nodes)
    windows = _windows(settings)
    counters = RedisCounters(url, standby, clock, windows_kept=windows)
    await counters.open()
    stack.push_async_callback(counters.close)
    return Cluster(node, lease, bus, counters, SharedTally(counters, is_timed=settings.test_clock))


def cluster_parts(cluster: Cluster | None) -> dict[str, Callable[[], Part]]:
    """How a node fares in its cluster, for the health surface; nothing where there is none."""
    if cluster is None:
        return {}
    return {
        "limits": lambda: _limits(cluster),
        "caches": lambda: _caches(cluster),
        "bus": lambda: _bus(cluster),
    }


def _limits(cluster: Cluster) -> Part:
    """In degraded mode each node enforces its part of every limit."""
    sharing = cluster.counters.sharing
    facts = {"mode": sharing.mode, "sinceMs": sharing.since_ms, "reason": sharing.reason}
    return Part("ok" if sharing.mode == "shared" else "failing", facts)


def _caches(cluster: Cluster) -> Part:
    """What is remembered may be believed, has to be read again, or can be neither."""
    lease = cluster.lease
    mode = "believed" if not lease.is_over else "out of reach" if lease.is_cut else "read again"
    return Part("failing" if lease.is_over else "ok", {"mode": mode})


def _bus(cluster: Cluster) -> Part:
    return Part("failing" if cluster.bus.is_silent() else "ok", {"nodes": cluster.bus.known_nodes()})


def local_tally(settings: Settings) -> LocalTally:
    """Counters of this process alone."""
    return LocalTally(_memory(settings))


def _memory(settings: Settings) -> MemoryCounters:
    return MemoryCounters(windows_kept=_windows(settings))


def _windows(settings: Settings) -> int:
    return _TEST_WINDOWS if settings.test_clock else 2
