"""What clients ask of a cluster; what they are told is held against the truth."""

import asyncio
from typing import TYPE_CHECKING

from latchwork.domains.credits import HoldNotFound, TooFewCredits
from latchwork.kernel.faults import Unavailable
from tests.simulator.furniture import FREE, LIMITED, METERED, VERIFIED, WITH_CREDITS, WORKSPACES
from tests.simulator.node import Node
from tests.simulator.truth import Ask, Standing

if TYPE_CHECKING:
    from tests.simulator.world import World

_USUAL = (*VERIFIED, METERED, LIMITED)


def ask_something(world: "World") -> None:
    """Have some client ask some node for something."""
    chance = world.chance
    node = chance.choice(world.nodes)
    if not node.is_serving:
        return
    kind = chance.random()
    if kind < 0.84:
        verify(world, node, chance.choice(_USUAL))
    elif kind < 0.90:
        world.spawn(node, switch, world, node)
    elif kind < 0.93:
        world.spawn(node, _grant, world, node, chance.randint(1, 20))
    elif kind < 0.97:
        world.spawn(node, _reserve, world, node)
    else:
        world.spawn(node, queue, world, node, chance.choice(WORKSPACES), chance.randint(1, 12))


def verify(world: "World", node: Node, digest: bytes) -> None:
    """Have a client verify a key."""
    ask = Ask(world.loop.time(), node, digest, node.heard.get(digest, 1), node.host_clock.now_ms())
    world.asks[ask] = None
    world.spawn(node, _verify, world, ask)


async def _verify(world: "World", ask: Ask) -> None:
    try:
        verdict = await ask.node.verify(ask.digest)
    except Unavailable:
        world.note(ask.node.host.name, "cannot verify", ask.digest[:4].decode())
        world.truth.unanswered(ask)
    else:
        world.note(ask.node.host.name, ask.digest[:4].decode(), verdict.outcome)
        world.truth.answered(ask, verdict)
    del world.asks[ask]


async def switch(world: "World", node: Node) -> None:
    """Enable or disable the free key."""
    try:
        version = await node.switch(FREE, world.chance.random() < 0.5)
    except Unavailable:
        return
    world.note(node.host.name, "made version", version)
    world.truth.keys[FREE].acknowledged.append((world.loop.time(), version, node))


async def _grant(world: "World", node: Node, amount: int) -> None:
    purse = world.truth.purses[METERED]
    purse.most += amount
    try:
        await node.grant(METERED.decode(), amount)
    except Unavailable:
        return
    purse.least += amount
    world.note(node.host.name, "granted", amount)


async def queue(world: "World", node: Node, workspace: str, total: int) -> None:
    """Queue a job of that many items."""
    try:
        job_id = await node.queue(workspace, total)
    except Unavailable:
        return
    world.note(node.host.name, "queued", total)
    world.truth.jobs[job_id] = total


# Holds


async def _reserve(world: "World", node: Node) -> None:
    chance = world.chance
    digest, amount = chance.choice(WITH_CREDITS), chance.randint(1, 8)
    try:
        held = await node.reserve(digest.decode(), amount, chance.choice((200, 800, 2_500)))
    except (Unavailable, TooFewCredits):
        return
    world.note(node.host.name, "reserved", amount)
    hold = Standing(held.id, digest, amount, held.expires_ms)
    world.loop.spawn(None, _use(world, hold))


async def _use(world: "World", hold: Standing) -> None:
    """Settle a hold after a while: not at all, once, or twice as by who did not hear of the first time."""
    chance = world.chance
    await asyncio.sleep(chance.random() ** 2 * 1.5)
    for _ in range(chance.choice((0, 1, 1, 2))):
        node = chance.choice(world.nodes)
        if node.is_serving:
            world.spawn(node, _settle, world, node, hold, chance.choice((0, hold.amount, hold.amount // 2)))


async def _settle(world: "World", node: Node, hold: Standing, spent: int) -> None:
    purse = world.truth.purses[hold.digest]
    purse.unknown += spent
    hold.tries += 1
    try:
        await node.settle(hold.id, spent)
    except HoldNotFound:
        world.truth.missed(hold, world.latest_ms())
    except Unavailable:
        return
    else:
        world.note(node.host.name, "settled", spent, "of", hold.amount)
        world.truth.settled(hold, spent)
    purse.unknown -= spent
