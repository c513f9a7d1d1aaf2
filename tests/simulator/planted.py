"""Faults planted into the program, one at a time: a simulator that does not find each of them proves nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import delete, update

from latchwork.adapters.memory import windows
from latchwork.adapters.redis.keeper import Keeper
from latchwork.domains.credits import Refills
from latchwork.domains.credits import store as credits_store
from latchwork.domains.credits.tables import balances, holds
from latchwork.domains.jobs import store as jobs_store
from latchwork.domains.ratelimits import TOKEN_BUCKET, LimitCheck, standby
from latchwork.domains.ratelimits.standby import Debts, Standby
from latchwork.domains.ratelimits.token_bucket import Bucket
from latchwork.domains.verification import SnapshotCache
from latchwork.kernel.leases import Lease
from latchwork.kernel.sql.follower import Follower
from latchwork.kernel.sql.lane import Lane, Lost


async def _believed_to_be_done(self: Lane, error: Exception) -> list[Any]:
    raise Lost from error


def _looks_and_says_nothing(self: Follower, rows: list[Any]) -> None:
    self._horizon = rows[0]["horizon"]


def _advance_by_whom_ever(connection: Any, job: Any, portion: Any, now_ms: int) -> Any:
    found = jobs_store._get(connection, job.id)
    if found.state != "running":
        return found
    values = {"position": portion.position, "succeeded": portion.position}
    if portion.position >= job.total:
        values |= {"state": "done", "finished_at_ms": now_ms}
    connection.execute(jobs_store._running(job).values(values))
    return jobs_store._get(connection, job.id)


_held = Bucket.held
_add = Debts.add


def _leaks_twice(self: Bucket, limit: int, now_ms: int) -> int:
    return max(0, _held(self, limit, now_ms) - limit * max(0, now_ms - self._at_ms))


def _weighs_windows_only(checks: Any, nodes: int) -> Any:
    return [c if c.algorithm == TOKEN_BUCKET else standby._weigh(c, nodes) for c in checks]


def _owes_no_tokens(self: Debts, check: LimitCheck, now_ms: int) -> None:
    if check.algorithm != TOKEN_BUCKET:
        _add(self, check, now_ms)


def _ends_a_hold_whatever_it_was(connection: Any, held: Any, spent: int, unfolded: Any) -> Any:
    connection.execute(delete(holds).where(holds.c.id == held.id))
    rests = {}
    for payer in credits_store.metered(connection, held.workspace_id, held.payers):
        available = credits_store._available(connection, held.workspace_id, payer, unfolded[payer])
        rests[payer] = available + held.amount - spent
        credits_store._set_available(connection, payer, rests[payer], unfolded[payer])
    return rests


def _gives_nothing_back(connection: Any, held: Any, spent: int, unfolded: Any) -> Any:
    gone = connection.execute(delete(holds).where(holds.c.id == held.id)).rowcount
    return dict.fromkeys(held.payers) if gone and not spent else _settle(connection, held, spent, unfolded)


_settle = credits_store.settle


def _refills_whoever_is_named(connection: Any, unfolded: Any, now_ms: int) -> Any:
    those = balances.c.subject_id.in_(list(unfolded))
    connection.execute(update(balances).where(those).values(refill_due_at_ms=now_ms))
    return _refill(connection, unfolded, now_ms)


_refill = credits_store.refill


async def _begins_with_the_next(self: Refills) -> None:
    self._swept_ms = self._clock.now_ms()
    self._keeping._task = asyncio.get_running_loop().create_task(self._keeping._keep())


_Plant = tuple[object, str, Any]
PLANTED: dict[str, _Plant] = {
    "a lease is not looked at": (Lease, "check", lambda self: None),
    "a late fill is kept": (SnapshotCache, "_changed_since", lambda *_: False),
    "a look renews the lease and says nothing": (Follower, "_hear", _looks_and_says_nothing),
    "a spend whose answer is lost is taken for done": (Lane, "_settle", _believed_to_be_done),
    "each node gives out all of a limit alone": (standby, "_weighed", lambda checks, nodes: checks),
    "what was admitted alone is not told": (Standby, "owe", lambda self, checks, now_ms: None),
    "what may have been counted is counted again": (
        Keeper,
        "doubt",
        lambda self, number, did_not_run: did_not_run(),
    ),
    "a bucket leaks twice": (Bucket, "held", _leaks_twice),
    "a window forgets the one before it": (windows, "weight", lambda *_: 0.0),
    "each node gives out all of a bucket alone": (standby, "_weighed", _weighs_windows_only),
    "what a bucket gave out alone is not told": (Debts, "add", _owes_no_tokens),
    "a hold is settled twice": (credits_store, "settle", _ends_a_hold_whatever_it_was),
    "what a hold gives back is lost": (credits_store, "settle", _gives_nothing_back),
    "a refill does not look whether it is due": (credits_store, "refill", _refills_whoever_is_named),
    "a refill of a time when nobody ran is left out": (Refills, "open", _begins_with_the_next),
    "a portion does not look how far its job has come": (jobs_store, "advance", _advance_by_whom_ever),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The program with that fault in it."""
    where, attribute, wrong = PLANTED[name]
    with patch.object(where, attribute, wrong):
        yield
