"""A node of the cluster, made of the program's own classes; only its connections are the network's."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, bindparam, select

from latchwork.compose.cluster import Cluster, joined
from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Change, Hold, Holds, Refills, SharedLedger
from latchwork.domains.credits import store as credits_store
from latchwork.domains.jobs import Job, Jobs, Portion, Runner, Wanted
from latchwork.domains.keys.tables import keys
from latchwork.domains.ratelimits import LimitCheck, LimitState, SharedTally
from latchwork.domains.verification import KeySnapshot, SharedVerifier, SnapshotCache, load_key
from latchwork.domains.verification.records import Claim, Verdict
from latchwork.domains.verification.snapshots import Grant
from latchwork.kernel.clock import Clock
from latchwork.kernel.events import Event
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.leases import LeasedClock
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.sql.leading import Leader
from latchwork.kernel.sql.outbox import tell
from latchwork.kernel.sql.statements import OF, updating
from latchwork.settings import Settings
from latchwork.settings.kinds import Secret
from tests.simulator.loop import Host
from tests.simulator.network import Network
from tests.simulator.postgres_driver import VirtualPostgres

WORKSPACE = "ws_0"
KIND = "simulator.telling"
_PORTION = 3
_SETTINGS = Settings(redis_url=Secret("redis://redis:6379"))
_ANYBODY = Grant(WORKSPACE, True, frozenset())
_VERSION = select(keys.c.name).where(keys.c.digest == bindparam(OF))
_SWITCH = updating(keys.c.digest, ("name", "enabled"))
Counted = Callable[["Node", Sequence[LimitCheck], list[LimitState]], None]


class _Watched(SharedTally):
    """The shared tally, with somebody who looks at every answer as it comes."""

    def __init__(
        self, tally: SharedTally, saw: Callable[[Sequence[LimitCheck], list[LimitState]], None]
    ) -> None:
        super().__init__(tally.counters)
        self._saw = saw

    def ask(
        self, checks: Sequence[LimitCheck], now_ms: int, done: Callable[[list[LimitState]], None]
    ) -> None:
        def seen(states: list[LimitState]) -> None:
            self._saw(checks, states)
            done(states)

        super().ask(checks, now_ms, seen)


class _Unrecorded:
    """Stands where the analytics are: takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.verifications = self
        self.uses: dict[str, int] = {}

    def append(self, event: object) -> None:
        """Forget it."""


class _Telling:
    """A kind of job that writes an event per item."""

    name = KIND

    def __init__(self) -> None:
        self.is_preparing = False

    async def prepare(self, job: Job) -> Callable[[Connection], Portion]:
        self.is_preparing = True
        await asyncio.sleep(0.005)
        self.is_preparing = False
        end = min(job.position + _PORTION, job.total)

        def unit(connection: Connection) -> Portion:
            for item in range(job.position, end):
                tell(connection, Event.now(job.who.workspace_id, KIND, 0, job=job.id, item=item))
            return Portion(end)

        return unit


class Node:
    """A process. It is ready once `verifier` is there."""

    def __init__(self, host: Host, network: Network, clock: Clock, counted: Counted) -> None:
        self.host = host
        self.heard: dict[bytes, int] = {}
        """What of each key may have been forgotten here: everything before that version."""
        self.verifier: SharedVerifier | None = None
        self.cluster: Cluster
        self.host_clock = clock
        self.telling = _Telling()
        self.doubting: int | None = None
        """The call of which it is not known whether it ran, while what it asked for is answered alone."""
        self._network = network
        self._counted = counted

    async def live(self, committed: dict[bytes, int]) -> None:
        """Start, and begin its duties; `committed` is the latest version of each key."""
        while True:
            self.db = VirtualPostgres(self._network)
            try:
                await self.db.open()
                break
            except OSError:  # whoever supervises it starts it again
                await asyncio.sleep(0.2)

        def hear(tags: Iterable[Tag]) -> None:
            for kind, name in tags:
                if kind == "key" and isinstance(name, bytes):
                    self.heard[name] = committed[name]
                elif kind == "jobs":
                    self.runner.wake()

        now_s = asyncio.get_running_loop().time
        cluster = await joined(_SETTINGS, self.db, self.host_clock, AsyncExitStack(), now_s)
        assert cluster is not None
        self.cluster = cluster
        self.clock = LeasedClock(self.host_clock, cluster.lease)
        self.ledger = SharedLedger(self.db)
        cache: SnapshotCache[KeySnapshot] = SnapshotCache(
            self._load, self.db.invalidations, lease=cluster.lease
        )
        tally = _Watched(cluster.tally, partial(self._counted, self))
        nothing = cast(Analytics, _Unrecorded())
        self._watch_doubts()
        self.holds = Holds(self.db, self.ledger, self.clock)
        refills = Refills(self.db, self.ledger, self.clock)
        await _insist(self.holds.open)
        await _insist(refills.open)
        self.jobs = Jobs(self.db, self.clock)
        self.runner = Runner(self.db, self.clock, [self.telling])
        self.jobs.on_wake(self.runner.wake)
        self.db.invalidations.listen(hear)
        self.verifier = SharedVerifier(cache, tally, self.ledger, refills, nothing)
        self.leader = Leader(self.db, self._begin, self.runner.stop)
        await self.leader.open()

    def _watch_doubts(self) -> None:
        counters = self.cluster.counters
        answer_in_doubt = counters._answer_in_doubt

        def watched(asks: Any, call: Any) -> None:
            self.doubting = call.number
            answer_in_doubt(asks, call)
            self.doubting = None

        counters._answer_in_doubt = watched  # type: ignore[method-assign]

    @property
    def calls_as(self) -> str:
        """Its name in calls of Redis's script."""
        return self.cluster.counters._keeper._names.node

    @property
    def is_serving(self) -> bool:
        """Whether it is alive and takes questions."""
        return self.verifier is not None and self.host.is_alive

    @property
    def is_together(self) -> bool:
        """Whether it has begun, shares its counters and may believe its caches."""
        if self.verifier is None:
            return False
        return self.cluster.counters.sharing.mode == "shared" and not self.cluster.lease.is_over

    async def _begin(self) -> None:
        self.runner.start()

    async def _load(self, digest: bytes) -> KeySnapshot | None:
        return await self.db.read(lambda connection: load_key(connection, digest), ALL_WORKSPACES)

    # What clients ask of it

    async def verify(self, digest: bytes) -> Verdict:
        now_ms = self.clock.now_ms()
        assert self.verifier is not None
        return await self.verifier.verify(_ANYBODY, Claim(digest, "192.0.2.1", "req"), now_ms)

    async def switch(self, digest: bytes, enabled: bool) -> int:
        """Enable or disable a key; the version that it has then."""

        def unit(connection: Connection) -> int:
            version = int(connection.execute(_VERSION, {OF: digest}).scalar_one())
            values = {OF: digest, "name": str(version + 1), "enabled": enabled}
            connection.execute(_SWITCH, values)
            changed(connection, ("key", digest))
            return version + 1

        return await self.db.write(unit, ALL_WORKSPACES)

    async def grant(self, subject: str, amount: int) -> None:
        """Add credits."""
        async with self.ledger.rewriting(subject) as unfolded:
            await self.db.write(
                lambda connection: credits_store.rewrite(
                    connection, WORKSPACE, subject, unfolded, Change(add=amount), 0
                ),
                ALL_WORKSPACES,
            )

    async def reserve(self, subject: str, amount: int, ttl_ms: int) -> Hold:
        """Set credits aside."""
        return (await self.holds.reserve(_caller(WORKSPACE), subject, amount, ttl_ms)).hold

    async def settle(self, hold_id: str, spent: int) -> None:
        """Spend some of a hold, or none."""
        if spent:
            await self.holds.commit(_caller(WORKSPACE), hold_id, spent)
        else:
            await self.holds.release(_caller(WORKSPACE), hold_id)

    async def queue(self, workspace: str, total: int) -> str:
        """Queue a job; its id."""
        who = _caller(workspace)
        wanted = Wanted(KIND, "nothing", {}, total)
        job_id = await self.db.write(
            lambda connection: self.jobs.queue(connection, who, wanted), ALL_WORKSPACES
        )
        self.jobs.wake()
        return job_id


def _caller(workspace: str) -> Principal:
    return Principal(workspace, "key_root", None, frozenset(), "192.0.2.1", "", "req")


async def _insist(begin: Callable[[], Awaitable[None]]) -> None:
    """Begin something; one that could not is begun again by whoever supervises the process."""
    while True:
        with suppress(Unavailable):
            return await begin()
        await asyncio.sleep(0.2)
