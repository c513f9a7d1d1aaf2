"""A session with Redis that ends at an awkward moment is noticed, and nobody waits for it."""

import asyncio

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import RedisCounters
from latchwork.domains.ratelimits import Held, LimitCheck, LimitState, Standby
from latchwork.kernel.clock import SteadyClock
from tests.engines.fault_proxy import fault_proxy
from tests.engines.redis import Redis


class Settling(Standby):
    """Says when a node that comes back begins to wait for the others."""

    def __init__(self) -> None:
        super().__init__(MemoryCounters(), lambda: 1)
        self.begun = asyncio.Event()

    def debts(self) -> list[Held]:
        self.begun.set()
        return super().debts()


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
