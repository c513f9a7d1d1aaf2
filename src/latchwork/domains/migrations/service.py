"""The verbs of migrations."""

from collections.abc import Sequence
from dataclasses import dataclass

from latchwork.domains import audit
from latchwork.domains.keys import Api, ApiNotFound
from latchwork.domains.keys import store as keys_store
from latchwork.domains.keys.rules import digest_of
from latchwork.domains.migrations import store, taking
from latchwork.domains.migrations.faults import MigrationNotFound
from latchwork.domains.migrations.records import Algorithm, ForeignKey, Migrated, Migration
from latchwork.domains.migrations.rules import parts_of, start_of
from latchwork.kernel.clock import Clock
from latchwork.kernel.ids import new_id
from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.uninterrupted import uninterrupted


@dataclass(frozen=True, slots=True)
class Migrations:
    """Takes keys over from other systems."""

    db: Database
    clock: Clock
    invalidations: Invalidations

    @uninterrupted
    async def create(self, who: Principal, algorithm: Algorithm) -> Migration:
        """A new migration, for keys that were hashed so."""
        who.must("api", "*", "create_key")
        migration = Migration(new_id("mig"), who.workspace_id, algorithm, self.clock.now_ms())

        def unit(connection: Connection) -> None:
            store.add(connection, migration)
            entry = audit.Entry(
                "migration.create",
                f"Created migration {migration.id}",
                (audit.Resource("migration", migration.id, meta={"algorithm": algorithm.value}),),
            )
            audit.record(connection, who, migration.created_ms, entry)

        await self.db.write(unit)
        return migration

    async def page(self, who: Principal, *, cursor: str, limit: int) -> list[Migration]:
        """Up to `limit` migrations from id `cursor` on."""
        who.must("api", "*", "create_key")
        return await self.db.read(lambda connection: store.page(connection, who.workspace_id, cursor, limit))

    @uninterrupted
    async def take_over(
        self, who: Principal, migration_id: str, api_id: str, keys: Sequence[ForeignKey]
    ) -> Migrated:
        """Take `keys` over into an API; of those with the same digest the last one.

        Checks permission, then raises `ApiNotFound`, then `MigrationNotFound`. Large numbers of keys are
        written in several units; whoever repeats a call finds those already written among the taken.
        """
        who.must("api", api_id, "create_key")
        api, migration = await self.db.read(lambda connection: _target(connection, who, api_id, migration_id))
        pending = None if migration.algorithm is Algorithm.SHA256 else migration.id
        distinct = list({key.digest: key for key in keys}.values())
        done = Migrated({}, ())
        for portion in taking.in_portions(distinct):
            done = _joined(done, await self._take(who, api, portion, pending))
        return done

    async def _take(
        self, who: Principal, api: Api, keys: Sequence[ForeignKey], pending_migration_id: str | None
    ) -> Migrated:
        now_ms = self.clock.now_ms()
        done = await self.db.write(
            lambda connection: taking.take_over(connection, who, api, keys, now_ms, pending_migration_id)
        )
        self.invalidations.announce(*(("key", digest) for digest in done.key_ids))
        return done

    @uninterrupted
    async def recognise(self, who: Principal, migration_id: str, text: str) -> None:
        """If `text` is a key that waits for its first use under this migration, know it by it from now on.

        For whoever may verify it; for all others, and without such a key or migration, nothing happens.
        Raises `MalformedKey` for a text that the migration's algorithm cannot take apart.
        """
        migration = await self.db.read(
            lambda connection: store.find(connection, who.workspace_id, migration_id)
        )
        if migration is None or migration.algorithm is Algorithm.SHA256:
            return
        digest, (part, start) = digest_of(text), parts_of(text)
        now_ms = self.clock.now_ms()

        def pending(connection: Connection) -> store.Pending | None:
            found = store.find_pending(connection, who.workspace_id, migration.id, part)
            return found if found is not None and who.may("api", found.api_id, "verify_key") else None

        def unit(connection: Connection) -> None:
            found = pending(connection)
            if found is not None and keys_store.digest_is_taken(connection, digest) is None:
                store.settle(connection, found.key_id, digest, start, now_ms)
                audit.record(connection, who, now_ms, _used(found.key_id, start))

        if await self.db.read(pending) is not None:  # strangers shall not make us write
            await self.db.write(unit)
        self.invalidations.announce(("key", digest), ("key", part))

    @uninterrupted
    async def learn_start(self, who: Principal, key_id: str, text: str) -> None:
        """Keep what may be shown of a key that was taken over without that, at a use of it."""
        start = start_of(text)
        if not start:
            return
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            if store.set_start(connection, who.workspace_id, key_id, start):
                audit.record(connection, who, now_ms, _used(key_id, start))

        await self.db.write(unit)
        self.invalidations.announce(("key", digest_of(text)))


def _target(connection: Connection, who: Principal, api_id: str, migration_id: str) -> tuple[Api, Migration]:
    api = keys_store.find_api(connection, who.workspace_id, api_id)
    if api is None:
        raise ApiNotFound
    migration = store.find(connection, who.workspace_id, migration_id)
    if migration is None:
        raise MigrationNotFound
    return api, migration


def _joined(one: Migrated, other: Migrated) -> Migrated:
    return Migrated(one.key_ids | other.key_ids, one.taken + other.taken)


def _used(key_id: str, start: str) -> audit.Entry:
    resource = audit.Resource("key", key_id, meta={"start": start})
    return audit.Entry("key.update", f"First use of migrated key {key_id}", (resource,))
