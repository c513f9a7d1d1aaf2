"""The queries of migrations and of the keys that they take over."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update

from latchwork.domains.keys.store import describe
from latchwork.domains.keys.tables import apis, key_permissions, key_roles, keys
from latchwork.domains.migrations.records import Algorithm, Migration
from latchwork.domains.migrations.tables import key_migrations
from latchwork.kernel.sql.fence import spanning


def add(connection: Connection, migration: Migration) -> None:
    """Insert a migration."""
    connection.execute(
        insert(key_migrations).values(
            id=migration.id,
            workspace_id=migration.workspace_id,
            algorithm=migration.algorithm.value,
            created_at_ms=migration.created_ms,
        )
    )


def find(connection: Connection, workspace_id: str, migration_id: str) -> Migration | None:
    """The migration with that id."""
    row = connection.execute(
        select(key_migrations)
        .where(key_migrations.c.workspace_id == workspace_id)
        .where(key_migrations.c.id == migration_id)
    ).one_or_none()
    return None if row is None else _migration(row)


def workspace_of(connection: Connection, migration_id: str) -> str | None:
    """The workspace that a migration belongs to."""
    found: str | None = connection.execute(
        select(key_migrations.c.workspace_id).where(key_migrations.c.id == migration_id)
    ).scalar()
    return found


def page(connection: Connection, workspace_id: str, cursor: str, limit: int) -> list[Migration]:
    """Up to `limit` migrations from id `cursor` on."""
    rows = connection.execute(
        select(key_migrations)
        .where(key_migrations.c.workspace_id == workspace_id)
        .where(key_migrations.c.id >= cursor)
        .order_by(key_migrations.c.id)
        .limit(limit)
    )
    return [_migration(row) for row in rows]


def _migration(row: Row[Any]) -> Migration:
    return Migration(row.id, row.workspace_id, Algorithm(row.algorithm), row.created_at_ms)


def taken(connection: Connection, digests: Iterable[bytes]) -> set[bytes]:
    """Those of `digests` that some key has, deleted or not, in any workspace."""
    with spanning(connection):
        return set(connection.scalars(select(keys.c.digest).where(keys.c.digest.in_(list(digests)))))


def grant(
    connection: Connection,
    workspace_id: str,
    permissions: Iterable[tuple[str, str]],
    roles: Iterable[tuple[str, str]],
) -> None:
    """Give new keys permissions and roles, as pairs of key id and id."""
    permission_rows = [
        {"key_id": key_id, "permission_id": id_, "workspace_id": workspace_id} for key_id, id_ in permissions
    ]
    if permission_rows:
        connection.execute(insert(key_permissions), permission_rows)
    role_rows = [{"key_id": key_id, "role_id": id_, "workspace_id": workspace_id} for key_id, id_ in roles]
    if role_rows:
        connection.execute(insert(key_roles), role_rows)


class Pending(NamedTuple):
    """A key that waits for its first use."""

    key_id: str
    api_id: str


def find_pending(
    connection: Connection, workspace_id: str, migration_id: str, digest: bytes
) -> Pending | None:
    """The live key that waits under `digest` for its first use."""
    row = connection.execute(
        select(keys.c.id, apis.c.id.label("api_id"))
        .join(apis, apis.c.keyspace_id == keys.c.keyspace_id)
        .where(keys.c.workspace_id == workspace_id)
        .where(keys.c.pending_migration_id == migration_id)
        .where(keys.c.digest == digest)
        .where(keys.c.deleted_at_ms.is_(None))
        .where(apis.c.deleted_at_ms.is_(None))
    ).one_or_none()
    return None if row is None else Pending(row.id, row.api_id)


def settle(connection: Connection, key_id: str, digest: bytes, start: str, now_ms: int) -> None:
    """Know a key by its whole text from now on."""
    connection.execute(
        update(keys)
        .where(keys.c.id == key_id)
        .values(digest=digest, start=start, pending_migration_id=None, updated_at_ms=now_ms)
    )
    describe(connection, key_id)


def set_start(connection: Connection, workspace_id: str, key_id: str, start: str) -> bool:
    """Keep what may be shown of a key, unless that is known; whether it was not."""
    changed = connection.execute(
        update(keys)
        .where(keys.c.id == key_id)
        .where(keys.c.workspace_id == workspace_id)
        .where(keys.c.start == "")
        .values(start=start)
    )
    if not changed.rowcount:
        return False
    describe(connection, key_id)
    return True
