"""What must be true at the end, when nothing is wrong any more: what was accepted is done, and everything adds up."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from latchwork.domains.credits.tables import balances, holds
from latchwork.domains.jobs.tables import jobs
from latchwork.domains.ratelimits import Counter
from latchwork.kernel.sql.outbox import outbox
from tests.simulator.clients import verify
from tests.simulator.furniture import LONG, SLOW, VERIFIED
from tests.simulator.violation import Violation

if TYPE_CHECKING:
    from tests.simulator.world import World

_ANSWERED_WITHIN_S = 5.0
_REFILLED_WITHIN_S = 5.0
_ENDED_WITHIN_S = 30.0
_RETURNED_WITHIN_S = 70.0
"""A hold of which only the database knows is found by the sweep that is made once a minute at least."""
_DONE_WITHIN_S = 400.0


async def settle(world: "World") -> None:
    """Wait until all is done and look at it; raises `Violation`."""
    for node in world.nodes:
        for digest in VERIFIED:
            verify(world, node, digest)
    if not await world.until(lambda: not world.asks, _ANSWERED_WITHIN_S):
        raise Violation(f"{len(world.asks)} verifications were never answered")
    if not await world.until(world.is_quiet, _ENDED_WITHIN_S):
        raise Violation("what was asked of nodes is never ended")
    if not world.are_together():
        raise Violation("nodes leave each other though nothing is wrong")
    if not await world.until(lambda: _are_refilled(world), _REFILLED_WITHIN_S):
        raise Violation("a refill was lost")
    if not await world.until(lambda: not _are_any(world, "jobs WHERE state != 'done'"), _DONE_WITHIN_S):
        raise Violation("jobs are not done though nothing is wrong")
    if not await world.until(lambda: not _are_any(world, "credit_holds"), _RETURNED_WITHIN_S):
        raise Violation("holds are never given back")
    _jobs_were_done_once(world)
    _credits_add_up(world)
    for counter in (LONG, SLOW):
        _limits_add_up(world, counter)


def _are_any(world: "World", rows: str) -> bool:
    question = f"SELECT 1 FROM {rows} LIMIT 1"
    return world.postgres.store.raw.execute(question).fetchone() is not None


def _are_refilled(world: "World") -> bool:
    return all(purse.refills for purse in world.truth.purses.values())


def _jobs_were_done_once(world: "World") -> None:
    def unit(connection: Connection) -> dict[str, list[int]]:
        told: dict[str, list[int]] = {
            job_id: [] for job_id in connection.execute(select(jobs.c.id)).scalars()
        }
        for data in connection.execute(select(outbox.c.data).order_by(outbox.c.seq)).scalars():
            told[data["job"]].append(data["item"])
        return told

    told = world.postgres.query(unit)
    for items in told.values():
        if len(set(items)) != len(items):
            raise Violation(f"items of a job were done more than once: {items}")
    for job_id, total in world.truth.jobs.items():
        if sorted(told.get(job_id, ())) != list(range(total)):
            raise Violation(f"of a job of {total} only these were done: {told.get(job_id)}")


def _credits_add_up(world: "World") -> None:
    held = select(func.coalesce(func.sum(holds.c.amount), 0)).where(holds.c.payer_id == balances.c.subject_id)
    question = select(balances.c.subject_id, balances.c.remaining + held.scalar_subquery())
    rows = world.postgres.query(lambda connection: connection.execute(question).all())
    for subject_id, left in rows:
        purse = world.truth.purses[subject_id.encode()]
        least = purse.least - purse.given - purse.unknown
        if not max(0, least) <= left <= purse.most - purse.given:
            raise Violation(f"{left} credits are left or held of {purse}")


def _limits_add_up(world: "World", counter: Counter) -> None:
    truth, redis = world.truth, world.redis
    count, told = redis.count_of(counter), truth.told[counter]
    alone = {node: cost for (node, each), cost in truth.alone.items() if each == counter}
    taken = sum(took.get(counter, 0) for took in redis.untold.values())
    if count > told + taken:
        raise Violation(f"{count} of {counter} are counted of {told} that were admitted, {taken} untold")
    if redis.losses:
        return
    # What ran though nobody heard of it was answered by the nodes alone, and is owed to nobody.
    ran = taken - sum(truth.doubted[call][counter] for call in redis.untold if call in truth.doubted)
    gone = sum(cost for node, cost in alone.items() if not node.host.is_alive)
    if not told + ran - gone <= count <= told + ran:
        raise Violation(
            f"{count} of {counter} are counted of {told} that were admitted, and {ran} ({gone} gone)"
        )
    if told > world.limit + sum(alone.values()):
        raise Violation(
            f"{told} were admitted of {world.limit}, {sum(alone.values())} of them by nodes alone"
        )
