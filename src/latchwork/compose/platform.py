"""Settings become a platform: the only code that knows every part."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from latchwork.adapters.memory import MemoryCounters
from latchwork.compose.addresses import error_pages, portal_url
from latchwork.compose.announcements import Announcements
from latchwork.compose.data_dir import DataDir
from latchwork.compose.encryption import keyring_of
from latchwork.compose.observing import analytics_of, recorded_by
from latchwork.compose.seals import SealFile
from latchwork.domains.access import KeyAccess, Permissions, Roles
from latchwork.domains.analytics import Analytics
from latchwork.domains.audit import Attempts, AuditLog, Chains
from latchwork.domains.credits import Holds, Ledger, Refills
from latchwork.domains.directory import LastUse
from latchwork.domains.encryption import Vault
from latchwork.domains.identities import Allowances, Identities
from latchwork.domains.imports import Imports
from latchwork.domains.jobs import Jobs, Runner
from latchwork.domains.key_lists import KeyLists
from latchwork.domains.keys import Apis, Keys, KeyUsage, Reservations
from latchwork.domains.migrations import KeyQueue, Migrations
from latchwork.domains.portals import Guard, Portals, SelfService, Sessions, Sweeper
from latchwork.domains.ratelimits import Administration, Limiter, LocalTally, Namespaces, Overrides
from latchwork.domains.root_keys import RootKeys
from latchwork.domains.verification import (
    Callers,
    CallerSnapshot,
    Explainer,
    KeySnapshot,
    Render,
    SnapshotCache,
    Verifier,
    load_caller,
    load_key,
)
from latchwork.domains.workspaces import Operations, WorkspaceLimits, Workspaces, audit_retention_days
from latchwork.kernel.clock import Clock, SteadyClock
from latchwork.kernel.sql import Database, PostgresDatabase, open_database
from latchwork.settings import Settings
from latchwork.surfaces.rpc.services import Services
from latchwork.surfaces.rpc.verdicts import render

_TEST_WINDOWS = 1000  # a test clock may be set back and forth


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
    workspaces: Workspaces
    services: Services
    ledger: Ledger
    holds: Holds
    refills: Refills
    analytics: Analytics
    vault: Vault
    runner: Runner
    attempts: Attempts
    chains: Chains
    imports: Imports


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock | None = None, *, at_work: bool = True
) -> AsyncIterator[Platform]:
    """The platform that `settings` describe; the data directory is the caller's to lock.

    Only one that is `at_work` begins queued jobs. Raises `DatabaseUnreachable`, `SchemaTooNew`,
    `AnotherProcess`, `EncryptionKeyUnusable`.
    """
    clock = clock or SteadyClock()
    keyring = keyring_of(settings.encryption)
    directory = DataDir(settings.data_dir)
    async with AsyncExitStack() as stack:
        db = await _database(settings, directory, stack)
        ledger = Ledger(db)
        await ledger.open()
        stack.push_async_callback(ledger.close)
        holds = Holds(db, ledger, clock)
        await holds.open()
        stack.push_async_callback(holds.close)
        refills = Refills(db, ledger, clock)
        await refills.open()
        stack.push_async_callback(refills.close)
        analytics = analytics_of(settings.analytics, directory, clock)
        last_use = LastUse(db, analytics)
        last_use.start()
        stack.push_async_callback(last_use.stop)
        await analytics.start()
        stack.push_async_callback(analytics.stop)
        announcements = Announcements(db)
        announcements.start()
        stack.push_async_callback(announcements.stop)
        vault = Vault(db, clock, keyring)
        platform = _assemble(
            settings, db, clock, ledger, holds, refills, analytics=analytics, last_use=last_use, vault=vault
        )
        await platform.workspaces.ensure_operator()
        await platform.services.workspace_limits.load()
        if at_work:
            platform.runner.start()
            stack.push_async_callback(platform.runner.stop)
            sweeper = Sweeper(platform.services.portal_sessions)
            sweeper.start()
            stack.push_async_callback(sweeper.stop)
            platform.chains.start()
            stack.push_async_callback(platform.chains.stop)
        yield platform


async def _database(settings: Settings, directory: DataDir, stack: AsyncExitStack) -> Database:
    url = settings.database_url
    db = open_database(f"sqlite:///{directory.database}" if url is None else url.reveal())
    await db.open()
    stack.push_async_callback(db.close)
    if isinstance(db, PostgresDatabase) and not await db.is_alone():
        raise AnotherProcess(db.url)
    return db


def _assemble(
    settings: Settings,
    db: Database,
    clock: Clock,
    ledger: Ledger,
    holds: Holds,
    refills: Refills,
    *,
    analytics: Analytics,
    last_use: LastUse,
    vault: Vault,
) -> Platform:
    invalidations = db.invalidations
    counters = MemoryCounters(windows_kept=_TEST_WINDOWS if settings.test_clock else 2)
    tally = LocalTally(counters)
    namespaces = Namespaces(db, clock, invalidations)
    callers: SnapshotCache[CallerSnapshot] = SnapshotCache(
        lambda digest: db.read(lambda connection: load_caller(connection, digest)), invalidations
    )
    keys = SnapshotCache(_key_loader(db, ledger, render), invalidations)
    verifier = Verifier(keys, counters, ledger, refills, analytics)
    managed = Keys(db, clock, ledger, last_use, vault)
    jobs, guard = Jobs(db, clock), Guard(tally, clock)
    services = Services(
        apis=Apis(db, clock),
        keys=managed,
        key_usage=KeyUsage(db, clock, analytics),
        key_lists=KeyLists(db, managed, last_use, analytics),
        root_keys=RootKeys(db, clock, last_use),
        reservations=Reservations(db, holds),
        allowances=Allowances(db, clock, ledger),
        migrations=Migrations(db, clock, vault, jobs, KeyQueue(clock)),
        identities=Identities(db, clock, ledger),
        permissions=Permissions(db, clock),
        roles=Roles(db, clock),
        key_access=KeyAccess(db, clock),
        limiter=Limiter(namespaces, tally, analytics),
        overrides=Overrides(db, clock, namespaces),
        namespaces=Administration(db, clock, namespaces, tally),
        audit_log=AuditLog(db, clock, audit_retention_days),
        workspace_limits=WorkspaceLimits(db, clock, analytics),
        operations=Operations(recorded_by(analytics), clock, invalidations),
        callers=Callers(callers, tally, clock, analytics.uses),
        verifier=verifier,
        explainer=Explainer(verifier, tally, db),
        analytics=analytics,
        portals=Portals(db, clock),
        portal_sessions=Sessions(db, clock, guard, portal_url(settings)),
        self_service=SelfService(managed, analytics, guard),
        clock=clock,
        error_pages=error_pages(settings),
        test_clock=settings.test_clock,
    )
    runner = Runner(db, clock, [services.migrations.queue])
    jobs.on_wake(runner.wake)
    chains = Chains(db, SealFile(DataDir(settings.data_dir).seals), clock)
    return Platform(
        settings=settings,
        db=db,
        clock=clock,
        workspaces=Workspaces(db, clock),
        services=services,
        ledger=ledger,
        holds=holds,
        refills=refills,
        analytics=analytics,
        vault=vault,
        runner=runner,
        attempts=Attempts(db, clock),
        chains=chains,
        imports=Imports(db, clock),
    )


def _key_loader(
    db: Database, ledger: Ledger, render: Render
) -> Callable[[bytes], Awaitable[KeySnapshot | None]]:
    async def load(digest: bytes) -> KeySnapshot | None:
        """A key's snapshot with the surface's bytes; its balances go to the ledger."""
        epoch = ledger.epoch
        snapshot = await db.read(lambda connection: load_key(connection, digest))
        if snapshot is None:
            return None
        render(snapshot)
        if snapshot.purse is not None:
            for subject_id, stored in snapshot.purse.stored:
                ledger.load(subject_id, stored, epoch)
            snapshot.purse.stored = ()
        return snapshot

    return load
