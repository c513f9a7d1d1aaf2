"""The family `migrations`, and `keys.migrateKeys`: taking over keys that were issued elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.keys import ApiNotFound, NewKey, networks
from latchwork.domains.migrations import Algorithm, ForeignKey, Migration, MigrationNotFound, digest_of_hash
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc import keys
from latchwork.surfaces.rpc.bodies import Body, Data, JsonObject, or_none
from latchwork.surfaces.rpc.keys import Name
from latchwork.surfaces.rpc.procedures import BULK_BYTES, Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import (
    ApiId,
    CreditsBody,
    Cursor,
    Expiry,
    IpList,
    Limit,
    Limits,
    RoleName,
    Slugs,
    paged,
)

family: Family[Services] = Family(
    "migrations", "Migrations: take over keys that were issued elsewhere, without sending anybody a new one."
)

_ALGORITHMS = (
    "What the hashes are of: `sha256` of the whole key, or `github.com/seamapi/prefixed-api-key` of the last "
    "part of `prefix_short_long`."
)
_MOST_KEYS = 10_000
MigrationId = Annotated[str, Meta(min_length=1, max_length=256, description="A migration's id.")]
ForeignExternalId = Annotated[
    str, Meta(min_length=1, max_length=255, description="Whose it is; created if new.")
]
Hash = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=256,
        description="SHA-256 in base64 or hex, of what the migration's algorithm says.",
    ),
]


class CreateMigration(Body):
    """How the keys were hashed."""

    algorithm: Annotated[Algorithm, Meta(description=_ALGORITHMS)]


class CreatedMigration(Data):
    """The new migration."""

    migration_id: str


@family.procedure(
    "createMigration",
    answers=CreatedMigration,
    summary="Create a migration",
    permission="api.*.create_key",
    example={"algorithm": "sha256"},
)
async def create_migration(call: Request, body: CreateMigration) -> CreatedMigration:
    """Says how keys of another system were hashed; `keys.migrateKeys` and `keys.verifyKey` take its id."""
    migration = await call.platform.migrations.create(call.who, body.algorithm)
    return CreatedMigration(migration_id=migration.id)


class ListMigrations(Body):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor = ""


class MigrationData(Data):
    """A migration."""

    migration_id: str
    algorithm: str
    created_at: int

    @classmethod
    def of(cls, migration: Migration) -> "MigrationData":
        """The wire form."""
        return cls(
            migration_id=migration.id,
            algorithm=migration.algorithm.value,
            created_at=migration.created_ms,
        )


@family.procedure(
    "listMigrations",
    answers=Page[MigrationData],
    summary="List migrations",
    permission="api.*.create_key",
    example={"limit": 10},
)
async def list_migrations(call: Request, body: ListMigrations) -> Page[MigrationData]:
    """Answers the workspace's migrations by id, a page at a time."""
    found = await call.platform.migrations.page(call.who, cursor=body.cursor, limit=body.limit + 1)
    return paged([MigrationData.of(each) for each in found], body.limit, [each.id for each in found])


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Let what is wrong with one of many things be told with its place."""
    try:
        yield
    except BadRequest as fault:
        raise BadRequest(f"`{place}`: {fault.detail}") from None


def digest_in(hash_: str, member: str) -> bytes:
    """The digest that `hash_` writes; raises `BadRequest` that names `member`."""
    digest = digest_of_hash(hash_)
    if digest is None:
        raise BadRequest(f"`{member}` is not a SHA-256: give 32 bytes in base64 or in hex.")
    return digest


class MigrateKey(Body):
    """A key to take over, by its hash."""

    hash: Hash
    name: Name | UnsetType = UNSET
    external_id: ForeignExternalId | UnsetType = UNSET
    meta: JsonObject | UnsetType = UNSET
    roles: Annotated[
        list[RoleName],
        Meta(max_length=100, description="Names of roles; those that are missing are created."),
    ] = []
    permissions: Slugs = []
    expires: Expiry | UnsetType = UNSET
    enabled: bool = True
    credits: CreditsBody | UnsetType = UNSET
    ratelimits: Limits = []
    ip_whitelist: IpList = []

    def record(self, start: str = "") -> ForeignKey:
        """The record, with what may be shown of the key; raises `BadRequest`."""
        return ForeignKey(digest_in(self.hash, "hash"), self._wanted(), start)

    def _wanted(self) -> NewKey:
        return NewKey(
            name=or_none(self.name),
            external_id=or_none(self.external_id),
            meta=or_none(self.meta),
            roles=tuple(self.roles),
            permissions=tuple(self.permissions),
            expires_ms=or_none(self.expires),
            credits=None if isinstance(self.credits, UnsetType) else self.credits.balance(),
            limits=tuple(limit.rule() for limit in self.ratelimits),
            enabled=self.enabled,
            ip_whitelist=networks(self.ip_whitelist),
        )


class MigrateKeys(Body):
    """Keys to take over into an API."""

    migration_id: MigrationId
    api_id: ApiId
    keys: Annotated[list[MigrateKey], Meta(min_length=1, max_length=_MOST_KEYS)]


class MigratedKeyData(Data):
    """A key that was taken over: its hash as it was given, and its id here."""

    hash: str
    key_id: str


class MigratedKeys(Data):
    """Which keys were taken over, in their order, and the hashes that some key already had."""

    migrated: list[MigratedKeyData]
    failed: list[str]


@keys.family.procedure(
    "migrateKeys",
    answers=MigratedKeys,
    summary="Take over keys by their hashes",
    permission="api.*.create_key or api.<apiId>.create_key",
    faults=[ApiNotFound, MigrationNotFound],
    body_bytes=BULK_BYTES,
    example={
        "migrationId": "mig_1234567890",
        "apiId": "api_1234567890",
        "keys": [{"hash": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "externalId": "user_42"}],
    },
)
async def migrate_keys(call: Request, body: MigrateKeys) -> MigratedKeys:
    """Takes keys over; a hash that any key already has fails by itself, the others go on.

    Identities, permissions and roles that are missing are created. Of keys with the same hash the last
    one is taken. A hundred keys or so are written together, so a repeated request takes the rest.
    """
    wanted = [_record(key, place) for place, key in enumerate(body.keys)]
    done = await call.platform.migrations.take_over(call.who, body.migration_id, body.api_id, wanted)
    sent = {record.digest: key.hash for record, key in zip(wanted, body.keys, strict=True)}
    return MigratedKeys(
        migrated=[MigratedKeyData(hash=sent[digest], key_id=id_) for digest, id_ in done.key_ids.items()],
        failed=[sent[digest] for digest in done.taken],
    )


def _record(key: MigrateKey, place: int) -> ForeignKey:
    with naming(f"keys[{place}]"):
        return key.record()
