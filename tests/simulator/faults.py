"""What can befall a cluster. Each fault draws what it needs from the world's seed, and ends by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.simulator.clients import queue, switch, verify
from tests.simulator.furniture import FREE, MIDNIGHT_MS, WORKSPACES
from tests.simulator.network import Way
from tests.simulator.postgres_model import SERVICE

if TYPE_CHECKING:
    from tests.simulator.world import World

Fault = Callable[["World"], Awaitable[None]]


def _way(world: "World") -> Way:
    node = world.chance.choice(world.nodes)
    return world.network.way(node.host, world.chance.choice(("redis", SERVICE)))


async def _a_while(world: "World", longest_s: float) -> None:
    await asyncio.sleep(0.02 + world.chance.random() * longest_s)


async def silence(world: "World") -> None:
    """Nothing comes through, in one direction or both; then it arrives late, or is lost."""
    way = _way(world)
    way.stall(*world.chance.choice((("up",), ("down",), ("up", "down"))))
    await _a_while(world, 3.0)
    if world.chance.random() < 0.5:
        way.cut()
    way.flow()


async def isolation(world: "World") -> None:
    """A node hears of nobody."""
    node = world.chance.choice(world.nodes)
    ways = [world.network.way(node.host, service) for service in ("redis", SERVICE)]
    for way in ways:
        way.stall("up", "down")
    await _a_while(world, 3.0)
    for way in ways:
        way.flow()


async def hiccup(world: "World") -> None:
    """One direction is late by some dozen milliseconds."""
    way = _way(world)
    way.stall(world.chance.choice(("up", "down")))
    await _a_while(world, 0.1)
    way.flow()


async def cut(world: "World") -> None:
    """Connections break, and new ones are refused for a while."""
    way = _way(world)
    way.refuses = world.chance.random() < 0.5
    way.cut()
    await _a_while(world, 2.0)
    way.refuses = False


async def crash(world: "World") -> None:
    """A node ends, and another process takes its place."""
    number = world.chance.randrange(len(world.nodes))
    node = world.nodes[number]
    if not node.host.is_alive or node.host.is_stopped:
        return
    world.crash(number)
    await _a_while(world, 2.0)
    world.nodes[number] = world.begin(number)


async def blackout(world: "World") -> None:
    """All nodes end at once, often over midnight, and come back one after the other."""
    if world.chance.random() < 0.7:
        await asyncio.sleep(max(0, MIDNIGHT_MS - 700 - world.now_ms()) / 1000)
    ended = [number for number, node in enumerate(world.nodes) if node.host.is_running]
    for number in ended:
        world.crash(number)
    await _a_while(world, 2.0)
    for number in ended:
        await _a_while(world, 0.2)
        world.nodes[number] = world.begin(number)


async def overtaken(world: "World") -> None:
    """The node that works on jobs stands still in the midst of one, and another takes over what it has in hand."""
    for _ in range(400):
        leader = next((node for node in world.nodes if node.is_serving and node.leader.is_leading), None)
        if leader is not None and not leader.telling.is_preparing and world.chance.random() < 0.02:
            world.spawn(leader, queue, world, leader, world.chance.choice(WORKSPACES), 12)
        if leader is not None and leader.telling.is_preparing and leader.host.is_running:
            break
        await asyncio.sleep(0.002)
    else:
        return
    leader.host.is_stopped = True
    world.network.way(leader.host, SERVICE).cut()
    await asyncio.sleep(1.0 + world.chance.random() * 1.5)
    world.loop.wake(leader.host)


async def stop(world: "World") -> None:
    """A node's process stands still, as by `kill -STOP`, with questions coming in."""
    node = world.chance.choice(world.nodes)
    if not node.host.is_alive or node.host.is_stopped:
        return
    node.host.is_stopped = True
    others = [other for other in world.nodes if other.is_serving and other is not node]
    for other in others[:1]:
        world.spawn(other, switch, world, other)
    await _a_while(world, 3.0)
    if node.is_serving:
        verify(world, node, FREE)
    world.loop.wake(node.host)


async def redis_restart(world: "World") -> None:
    """Redis goes away and comes back, with what it counted or without."""
    if "redis" in world.network.down:
        return
    world.network.down.add("redis")
    world.redis.restart()
    if world.chance.random() < 0.5:
        world.redis.forget()
    await _a_while(world, 2.0)
    world.network.down.discard("redis")


async def postgres_restart(world: "World") -> None:
    """PostgreSQL goes away, with what was not committed, and comes back."""
    world.network.down.add(SERVICE)
    world.postgres.restart()
    await _a_while(world, 1.5)
    world.network.down.discard(SERVICE)


async def clock_step(world: "World") -> None:
    """A node's clock is set forward."""
    world.chance.choice(world.clocks).ahead_ms += world.chance.randint(1, 1_000)


FAULTS: tuple[Fault, ...] = (
    silence, silence, isolation, hiccup, hiccup, cut, crash, stop, redis_restart, postgres_restart, clock_step,
    blackout, overtaken,
)  # fmt: skip
