"""Settings become a platform: the only code that knows every part."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from latchwork.compose.addresses import error_pages, portal_url
from latchwork.compose.announcements import Announcements
from latchwork.compose.blobs import blobs_of
from latchwork.compose.cluster import Cluster, joined, local_tally
from latchwork.compose.data_dir import DataDir
from latchwork.compose.encryption import keyring_of
from latchwork.compose.observing import analytics_of, recorded_by
from latchwork.compose.seals import SealFiles
from latchwork.domains.access import KeyAccess, Permissions, Roles
from latchwork.domains.analytics import Analytics
from latchwork.domains.audit import Attempts, AuditLog, Chains, Seals
from latchwork.domains.credits import Accounts, Holds, Ledger, Refills, SharedLedger
from latchwork.domains.directory import LastUse
from latchwork.domains.encryption import Vault
from latchwork.domains.identities import Allowances, Identities
from latchwork.domains.imports import Imports
from latchwork.domains.jobs import Jobs, Runner
from latchwork.domains.key_lists import KeyLists
from latchwork.domains.keys import Apis, Keys, KeyUsage, Reservations
from latchwork.domains.keys import store as keys_store
from latchwork.domains.migrations import KeyQueue, Migrations
from latchwork.domains.portals import Guard, Portals, SelfService, Sessions, Sweeper
from latchwork.domains.ratelimits import (
    Administration,
    Limiter,
    LocalTally,
    Namespaces,
    Overrides,
    SharedTally,
)
from latchwork.domains.root_keys import RootKeys
from latchwork.domains.verification import (
    Callers,
    CallerSnapshot,
    Explainer,
    KeySnapshot,
    LocalVerifier,
    Operations,
    SharedVerifier,
    SnapshotCache,
    Verifier,
    load_caller,
    load_key,
)
from latchwork.domains.workspaces import WorkspaceLimits, Workspaces, audit_retention_days
from latchwork.kernel.clock import Clock, SteadyClock
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.leases import Lease, LeasedClock
from latchwork.kernel.sql import ALL_WORKSPACES, Database, PostgresDatabase, open_database
from latchwork.kernel.sql.finishing import shortcomings
from latchwork.kernel.sql.leading import Leader
from latchwork.settings import Settings
from latchwork.surfaces.http.bulkhead import Ceiling
from latchwork.surfaces.rpc.services import Services
from latchwork.surfaces.rpc.verdicts import render

_LOADING: set[asyncio.Task[None]] = set()
_log = logging.getLogger(__name__)


class AnotherProcess(Exception):
    """PostgreSQL without Redis serves one process, and another one is running."""

    def __init__(self, url: str) -> None:
        super().__init__(f"Another Latchwork process is using {url}; without Redis only one may.")


@dataclass(frozen=True, slots=True)
class Platform:
    """Every part, opened."""

    settings: Settings
    db: Database
    clock: Clock
    cluster: Cluster | None
    workspaces: Workspaces
    services: Services
    tally: LocalTally | SharedTally
    ledger: Accounts
    holds: Holds
    refills: Refills
    analytics: Analytics
    vault: Vault
    runner: Runner
    attempts: Attempts
    chains: Chains
    imports: Imports


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on, opened."""

    settings: Settings
    db: Database
    clock: Clock
    cluster: Cluster | None
    tally: LocalTally | SharedTally
    ledger: Ledger | SharedLedger
    holds: Holds
    refills: Refills
    analytics: Analytics
    last_use: LastUse

    @property
    def lease(self) -> Lease | None:
        return None if self.cluster is None else self.cluster.lease


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock | None = None, *, at_work: bool = True
) -> AsyncIterator[Platform]:
    """The platform that `settings` describe; the data directory is the caller's to lock.

    Only one that is `at_work` begins queued jobs. Raises `DatabaseUnreachable`, `SchemaTooNew`,
    `AnotherProcess`, `EncryptionKeyUnusable`.
    """
    keyring = keyring_of(settings.encryption)
    async with AsyncExitStack() as stack:
        ground = await _ground(settings, clock or SteadyClock(), stack)
        platform = _assemble(ground, Vault(ground.db, ground.clock, keyring))
        await platform.workspaces.ensure_operator()
        await platform.services.workspace_limits.load()
        if at_work:
            if isinstance(ground.db, PostgresDatabase):
                await _tell_shortcomings(ground.db)
                ground.db.serving.watch(partial(signal.raise_signal, signal.SIGTERM))
            platform.chains.start()
            stack.push_async_callback(platform.chains.stop)
            await _take_up_duties(ground, platform, stack)
        yield platform


async def _ground(settings: Settings, clock: Clock, stack: AsyncExitStack) -> _Ground:
    directory = DataDir(settings.data_dir)
    db = await _database(settings, directory, stack)
    cluster = await joined(settings, db, clock, stack) if isinstance(db, PostgresDatabase) else None
    tally: LocalTally | SharedTally
    ledger: Ledger | SharedLedger
    if cluster is None or not isinstance(db, PostgresDatabase):
        tally, ledger = local_tally(settings), Ledger(db)
    else:
        clock = LeasedClock(clock, cluster.lease)
        tally, ledger = cluster.tally, SharedLedger(db)
    await ledger.open()
    stack.push_async_callback(ledger.close)
    holds = Holds(db, ledger, clock)
    await holds.open()
    stack.push_async_callback(holds.close)
    refills = Refills(db, ledger, clock)
    await refills.open()
    stack.push_async_callback(refills.close)
    analytics = analytics_of(settings, directory, clock, alone=cluster is None)
    last_use = LastUse(db, analytics)
    last_use.start()
    stack.push_async_callback(last_use.stop)
    await analytics.start()
    stack.push_async_callback(analytics.stop)
    return _Ground(settings, db, clock, cluster, tally, ledger, holds, refills, analytics, last_use)


async def _database(settings: Settings, directory: DataDir, stack: AsyncExitStack) -> Database:
    url = settings.database_url
    db = open_database(f"sqlite:///{directory.database}" if url is None else url.reveal())
    await db.open()
    stack.push_async_callback(db.close)
    if isinstance(db, PostgresDatabase) and not await db.serving.take(
        among_others=settings.redis_url is not None
    ):
        raise AnotherProcess(db.url)
    return db


async def _tell_shortcomings(db: PostgresDatabase) -> None:
    for sentence in await shortcomings(db):
        _log.warning("%s", sentence)


async def _take_up_duties(ground: _Ground, platform: Platform, stack: AsyncExitStack) -> None:
    """Begin what is done once for all, now or, in a cluster, as soon as this node leads."""
    announcements = Announcements(ground.db)
    sweeper = Sweeper(platform.services.portal_sessions)

    async def begin() -> None:
        announcements.start()
        platform.runner.start()
        sweeper.start()

    async def end() -> None:
        await sweeper.stop()
        await platform.runner.stop()
        await announcements.stop()

    if ground.cluster is None or not isinstance(ground.db, PostgresDatabase):
        await begin()
        stack.push_async_callback(end)
        return
    leader = Leader(ground.db, begin, end)
    await leader.open()
    stack.push_async_callback(leader.close)


def _assemble(ground: _Ground, vault: Vault) -> Platform:
    settings, db, clock = ground.settings, ground.db, ground.clock
    tally, analytics, last_use = ground.tally, ground.analytics, ground.last_use
    namespaces = Namespaces(db, clock, db.invalidations, lease=ground.lease)
    verifier = _verifier(ground)
    managed = Keys(db, clock, ground.ledger, last_use, vault)
    jobs, guard = Jobs(db, clock), Guard(tally, clock)
    services = Services(
        apis=Apis(db, clock),
        keys=managed,
        key_usage=KeyUsage(db, clock, analytics),
        key_lists=KeyLists(db, managed, last_use, analytics),
        root_keys=RootKeys(db, clock, last_use),
        reservations=Reservations(db, ground.holds),
        allowances=Allowances(db, clock, ground.ledger),
        migrations=Migrations(db, clock, vault, jobs, KeyQueue(clock)),
        identities=Identities(db, clock, ground.ledger, released=keys_store.describe_keys_of),
        permissions=Permissions(db, clock),
        roles=Roles(db, clock),
        key_access=KeyAccess(db, clock),
        limiter=Limiter(namespaces, tally, analytics),
        overrides=Overrides(db, clock, namespaces),
        namespaces=Administration(db, clock, namespaces, tally),
        audit_log=AuditLog(db, clock, audit_retention_days),
        workspace_limits=WorkspaceLimits(db, clock, analytics),
        operations=Operations(recorded_by(analytics), tally, clock, db.invalidations),
        callers=_callers(ground),
        verifier=verifier,
        explainer=Explainer(verifier, tally, db),
        analytics=analytics,
        portals=Portals(db, clock),
        portal_sessions=Sessions(db, clock, guard, portal_url(settings)),
        self_service=SelfService(managed, analytics, guard),
        clock=clock,
        error_pages=error_pages(settings),
        decisions=Ceiling(settings.server.verifications_in_flight),
        test_clock=settings.test_clock,
    )
    runner = Runner(db, clock, [services.migrations.queue])
    jobs.on_wake(runner.wake)
    db.invalidations.listen(partial(_hear, runner, services.workspace_limits))
    return Platform(
        settings=settings,
        db=db,
        clock=clock,
        cluster=ground.cluster,
        workspaces=Workspaces(db, clock),
        services=services,
        tally=tally,
        ledger=ground.ledger,
        holds=ground.holds,
        refills=ground.refills,
        analytics=analytics,
        vault=vault,
        runner=runner,
        attempts=Attempts(db, clock),
        chains=Chains(db, Seals(blobs_of(settings), SealFiles(DataDir(settings.data_dir))), clock),
        imports=Imports(db, clock),
    )


def _hear(runner: Runner, limits: WorkspaceLimits, tags: Iterable[Tag]) -> None:
    """What other nodes tell of that is no snapshot's."""
    for kind, workspace_id in tags:
        if kind == "jobs":
            runner.wake()
        elif kind == "quotas":
            loading = asyncio.ensure_future(limits.load_one(str(workspace_id)))
            _LOADING.add(loading)
            loading.add_done_callback(_loaded)


def _loaded(loading: "asyncio.Task[None]") -> None:
    _LOADING.discard(loading)
    if not loading.cancelled() and (error := loading.exception()) is not None:
        _log.warning("How long events are to be kept cannot be read now: %s", error)


def _callers(ground: _Ground) -> Callers:
    db = ground.db
    cache: SnapshotCache[CallerSnapshot] = SnapshotCache(
        lambda digest: db.read(lambda connection: load_caller(connection, digest), ALL_WORKSPACES),
        db.invalidations,
        lease=ground.lease,
    )
    return Callers(cache, ground.tally, ground.clock, ground.analytics.uses)


def _verifier(ground: _Ground) -> Verifier:
    db, tally, ledger = ground.db, ground.tally, ground.ledger
    if isinstance(tally, SharedTally) and isinstance(ledger, SharedLedger):
        keys = SnapshotCache(_key_loader(db, None), db.invalidations, lease=ground.lease)
        return SharedVerifier(keys, tally, ledger, ground.refills, ground.analytics)
    assert isinstance(tally, LocalTally) and isinstance(ledger, Ledger)
    keys = SnapshotCache(_key_loader(db, ledger), db.invalidations)
    return LocalVerifier(keys, tally.counters, ledger, ground.refills, ground.analytics)


def _key_loader(db: Database, ledger: Ledger | None) -> Callable[[bytes], Awaitable[KeySnapshot | None]]:
    async def load(digest: bytes) -> KeySnapshot | None:
        """A key's snapshot with the surface's text; its balances go to the ledger that keeps them in memory."""
        epoch = 0 if ledger is None else ledger.epoch
        snapshot = await db.read(lambda connection: load_key(connection, digest), ALL_WORKSPACES)
        if snapshot is None:
            return None
        render(snapshot)
        if snapshot.purse is not None:
            if ledger is not None:
                for subject_id, stored in snapshot.purse.stored:
                    ledger.load(subject_id, stored, epoch)
            snapshot.purse.stored = ()
        return snapshot

    return load
