"""The verbs of migrations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from latchwork.domains import audit
from latchwork.domains.encryption import Vault
from latchwork.domains.jobs import Failure, Job, Jobs
from latchwork.domains.keys import Api, ApiNotFound
from latchwork.domains.keys import store as keys_store
from latchwork.domains.keys.rules import digest_of
from latchwork.domains.migrations import offers, store, taking
from latchwork.domains.migrations.faults import KeyAlreadyExists, MigrationNotFound
from latchwork.domains.migrations.queue import KeyQueue
from latchwork.domains.migrations.records import Algorithm, ForeignKey, Migrated, Migration, Offer
from latchwork.domains.migrations.rules import parts_of, start_of
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import PreconditionFailed
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database
from latchwork.kernel.sql.changes import changed
from latchwork.kernel.uninterrupted import uninterrupted

_TOLD = 20  # of what is missing


@dataclass(frozen=True, slots=True)
class Migrations:
    """Takes keys over from other systems."""

    db: Database
    clock: Clock
    vault: Vault
    jobs: Jobs
    queue: KeyQueue

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

        await self.db.write(unit, who.workspace_id)
        return migration

    async def page(self, who: Principal, *, cursor: str, limit: int) -> list[Migration]:
        """Up to `limit` migrations from id `cursor` on."""
        who.must("api", "*", "create_key")
        return await self.db.read(
            lambda connection: store.page(connection, who.workspace_id, cursor, limit), who.workspace_id
        )

    @uninterrupted
    async def take_over(
        self, who: Principal, migration_id: str, api_id: str, keys: Sequence[ForeignKey]
    ) -> Migrated:
        """Take `keys` over into an API; of those with the same digest the last one.

        Checks permission, then raises `ApiNotFound`, then `MigrationNotFound`. Large numbers of keys are
        written in several units; whoever repeats a call finds those already written among the taken.
        """
        who.must("api", api_id, "create_key")
        api, migration = await self.db.read(
            lambda connection: _target(connection, who, api_id, migration_id), who.workspace_id
        )
        distinct = {key.digest: _under(migration, key) for key in keys}
        done = Migrated({}, ())
        for portion in taking.in_portions(distinct.values(), ForeignKey.rows):
            done = _joined(done, await self._take(who, api, portion))
        return done

    async def _take(self, who: Principal, api: Api, keys: Sequence[ForeignKey]) -> Migrated:
        now_ms = self.clock.now_ms()
        return await self.db.write(
            lambda connection: taking.take_over(connection, who, api, keys, now_ms), who.workspace_id
        )

    @uninterrupted
    async def create_keys(self, who: Principal, wanted: Sequence[Offer]) -> list[str]:
        """Make every key or none; their ids, in order.

        Checks permission, then raises `ApiNotFound`, then `PreconditionFailed` naming the permissions and
        roles that do not exist, then `KeyAlreadyExists`; and what `Vault.seal` raises for a text that its
        API would store.
        """
        offers.must(who, wanted)
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> None:
            apis = {api_id: _api(connection, who, api_id) for api_id in {each.api_id for each in wanted}}
            _must_fit(connection, who, [each.key for each in wanted])
            for api_id, api in apis.items():
                keys = [
                    offers.accepted(connection, self.vault, who, api, each)
                    for each in wanted
                    if each.api_id == api_id
                ]
                taking.take_over(connection, who, api, keys, now_ms)

        await self.db.write(unit, who.workspace_id)
        return [each.key.id for each in wanted]

    @uninterrupted
    async def enqueue_keys(
        self, who: Principal, migration_id: str, api_id: str, wanted: Sequence[Offer]
    ) -> str:
        """Have keys made in the background; the id of the job.

        Checks permission, then raises `ApiNotFound`, `MigrationNotFound`, what `Vault.seal` raises, and
        `TooManyJobs`.
        """
        offers.must(who, wanted)

        def unit(connection: Connection) -> str:
            api, migration = _target(connection, who, api_id, migration_id)
            keys = [offers.accepted(connection, self.vault, who, api, each) for each in wanted]
            hashed = [
                _under(migration, key) if each.text is None else key
                for each, key in zip(wanted, keys, strict=True)
            ]
            return self.jobs.queue(connection, who, self.queue.job(api, hashed))

        job_id = await self.db.write(unit, who.workspace_id)
        self.jobs.wake()
        return job_id

    async def job(self, who: Principal, job_id: str) -> tuple[Job, list[Failure]]:
        """A job of `enqueue_keys` and its failures; raises `JobNotFound`, then checks permission."""
        job, failures = await self.jobs.get(who, self.queue.name, job_id)
        who.must("api", job.subject_id, "create_key")
        return job, failures

    @uninterrupted
    async def recognise(self, who: Principal, migration_id: str, text: str) -> None:
        """If `text` is a key that waits for its first use under this migration, know it by it from now on.

        For whoever may verify it; for all others, and without such a key or migration, nothing happens.
        Raises `MalformedKey` for a text that the migration's algorithm cannot take apart.
        """
        migration = await self.db.read(
            lambda connection: store.find(connection, who.workspace_id, migration_id), who.workspace_id
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
                changed(connection, ("key", digest), ("key", part))

        if await self.db.read(pending, who.workspace_id) is not None:  # strangers shall not make us write
            await self.db.write(unit, who.workspace_id)

    async def recognise_for(
        self, api_id: str, migration_id: str, text: str, *, remote_ip: str, request_id: str
    ) -> None:
        """As `recognise`, of keys of one API that the server's operator names; nobody with a root key asks."""
        workspace_id = await self.db.read(
            lambda connection: store.workspace_of(connection, migration_id), ALL_WORKSPACES
        )
        if workspace_id is None:
            return
        who = Principal(
            workspace_id=workspace_id,
            subject_id="forward_auth",
            subject_name="forward authentication",
            permissions=frozenset({f"api.{api_id}.verify_key"}),
            remote_ip=remote_ip,
            user_agent="latchwork",
            request_id=request_id,
            subject_type="system",
        )
        await self.recognise(who, migration_id, text)

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
                changed(connection, ("key", digest_of(text)))

        await self.db.write(unit, who.workspace_id)


def _target(connection: Connection, who: Principal, api_id: str, migration_id: str) -> tuple[Api, Migration]:
    api = _api(connection, who, api_id)
    migration = store.find(connection, who.workspace_id, migration_id)
    if migration is None:
        raise MigrationNotFound
    return api, migration


def _api(connection: Connection, who: Principal, api_id: str) -> Api:
    api = keys_store.find_api(connection, who.workspace_id, api_id)
    if api is None:
        raise ApiNotFound
    return api


def _under(migration: Migration, key: ForeignKey) -> ForeignKey:
    """`key`, waiting for its first use where the migration's hashes are not of whole keys."""
    return key if migration.algorithm is Algorithm.SHA256 else replace(key, pending_migration_id=migration.id)


def _must_fit(connection: Connection, who: Principal, keys: Sequence[ForeignKey]) -> None:
    slugs, names = offers.missing(connection, who.workspace_id, keys)
    if slugs or names:
        lacking = [f"permission '{slug}'" for slug in slugs] + [f"role '{name}'" for name in names]
        told = ", ".join(lacking[:_TOLD]) + (" and more" if len(lacking) > _TOLD else "")
        raise PreconditionFailed(f"These do not exist in this workspace: {told}. Create them first.")
    for place, fault in enumerate(offers.faults_of(connection, who.workspace_id, keys)):
        if fault is not None:
            raise KeyAlreadyExists(f"The key at position {place} has a hash that a key already has.")


def _joined(one: Migrated, other: Migrated) -> Migrated:
    return Migrated(one.key_ids | other.key_ids, one.taken + other.taken)


def _used(key_id: str, start: str) -> audit.Entry:
    resource = audit.Resource("key", key_id, meta={"start": start})
    return audit.Entry("key.update", f"First use of migrated key {key_id}", (resource,))
