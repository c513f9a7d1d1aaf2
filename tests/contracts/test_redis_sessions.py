"""A session with Redis that ends at an awkward moment is noticed, and nobody waits for it."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import RedisCounters
from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Held,
    LimitCheck,
    LimitState,
    Standby,
)
from latchwork.kernel.clock import SteadyClock
from tests.engines.fault_proxy import FaultProxy, fault_proxy
from tests.engines.redis import Redis


class Settling(Standby):
    """Says when a node that comes back begins to wait for the others."""

    def __init__(self) -> None:
        super().__init__(MemoryCounters(), lambda: 1)
        self.begun = asyncio.Event()

    def debts(self) -> list[Held]:
        self.begun.set()
        return super().debts()


class Knowing(Standby):
    """Loses its connection when it begins to tell Redis again what that knew, the first time."""

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__(MemoryCounters(), lambda: 1)
        self.told = 1
        self._proxy = proxy

    def known(self) -> Iterator[Held]:
        self.told += 1
        if self.told == 1:
            self._proxy.cut()
        return super().known()


async def test_a_session_that_ends_while_the_others_are_waited_for_is_not_served(redis: Redis) -> None:
    standby = Settling()
    async with fault_proxy(redis.port) as proxy, asyncio.timeout(20):
        counters = RedisCounters(
            redis.url.replace(f":{redis.port}", f":{proxy.port}"), standby, SteadyClock()
        )
        await counters.open()
        assert not counters.sharing.reason
        standby.begun.clear()
        proxy.cut()
        await standby.begun.wait()
        connected, proxy.refuses = proxy.connections, True
        proxy.cut()
        while proxy.connections == connected:
            await asyncio.sleep(0.01)
        states: asyncio.Future[list[LimitState]] = asyncio.get_running_loop().create_future()
        counters.ask([LimitCheck("ws_1:id_1:settling", 5, 60_000)], states.set_result)
        assert [state.remaining for state in await states] == [4]
        assert counters.sharing.mode == "degraded"
        await counters.close()


@pytest.mark.parametrize("algorithm", [SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET])
async def test_what_redis_forgets_is_told_to_it_again_moment_for_moment(
    redis: Redis, algorithm: Algorithm
) -> None:
    counters = RedisCounters(redis.url, Standby(MemoryCounters(), lambda: 1), SteadyClock())
    check = LimitCheck(f"ws_1:id_1:{uuid4()}", 5, 3_600_000, 1, algorithm)
    await counters.open()
    async with asyncio.timeout(20):
        for left in (4, 3, 2, 1):
            assert [state.remaining for state in await _taken(counters, check)] == [left]
            await asyncio.sleep(0.002)
        redis.command("FLUSHALL")
        while counters.sharing.mode == "shared":
            await asyncio.sleep(0.01)
        while counters.sharing.mode == "degraded":
            await asyncio.sleep(0.01)
        assert [state.remaining for state in await _taken(counters, check)] == [0]
    await counters.close()


async def test_what_a_session_could_not_tell_redis_again_the_next_one_tells(redis: Redis) -> None:
    async with fault_proxy(redis.port) as proxy, asyncio.timeout(20):
        standby = Knowing(proxy)
        url = redis.url.replace(f":{redis.port}", f":{proxy.port}")
        counters = RedisCounters(url, standby, SteadyClock())
        check = LimitCheck(f"ws_1:id_1:{uuid4()}", 5, 3_600_000)
        await counters.open()
        for left in (4, 3, 2, 1):
            assert [state.remaining for state in await _taken(counters, check)] == [left]
        standby.told = 0
        redis.command("FLUSHALL")
        while counters.sharing.mode == "shared" or not standby.told:
            await asyncio.sleep(0.01)
        while counters.sharing.mode == "degraded":
            await asyncio.sleep(0.01)
        assert [state.remaining for state in await _taken(counters, check)] == [0]
        await counters.close()


async def _taken(counters: RedisCounters, check: LimitCheck) -> list[LimitState]:
    states: asyncio.Future[list[LimitState]] = asyncio.get_running_loop().create_future()
    counters.ask([check], states.set_result)
    return await states
