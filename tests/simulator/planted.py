"""Faults planted into the program, one at a time: a simulator that does not find each of them proves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from latchwork.adapters.redis.keeper import Keeper
from latchwork.domains.jobs import store as jobs_store
from latchwork.domains.ratelimits import standby
from latchwork.domains.ratelimits.standby import Standby
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
    "a portion does not look how far its job has come": (jobs_store, "advance", _advance_by_whom_ever),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The program with that fault in it."""
    where, attribute, wrong = PLANTED[name]
    with patch.object(where, attribute, wrong):
        yield
