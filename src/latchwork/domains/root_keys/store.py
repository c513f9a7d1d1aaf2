"""The queries of root keys."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from latchwork.domains.directory import store as directory_store
from latchwork.domains.keys.tables import apis, keys, keyspaces
from latchwork.domains.root_keys.records import RootKey
from latchwork.domains.root_keys.tables import root_permissions
from latchwork.domains.workspaces import OPERATOR_ID
from latchwork.kernel.urns import expanded, keyspaces_of

KEYSPACE_ID = "ks_root"
"""The operator's keyspace; no API has it, so no verification can reach into it."""


def add(connection: Connection, key: RootKey) -> None:
    """Insert a root key with its permissions."""
    if not connection.execute(select(keyspaces.c.id).where(keyspaces.c.id == KEYSPACE_ID)).first():
        connection.execute(
            insert(keyspaces).values(
                id=KEYSPACE_ID,
                workspace_id=OPERATOR_ID,
                store_encrypted_keys=False,
                created_at_ms=key.created_ms,
            )
        )
    connection.execute(
        insert(keys).values(
            id=key.id,
            workspace_id=OPERATOR_ID,
            for_workspace_id=key.workspace_id,
            keyspace_id=KEYSPACE_ID,
            lineage_id=key.lineage_id,
            digest=key.digest,
            start=key.start,
            ending=key.end,
            name=key.name,
            enabled=key.enabled,
            expires_at_ms=key.expires_ms,
            ip_whitelist=[],
            created_at_ms=key.created_ms,
        )
    )
    directory_store.add(connection, [directory_store.Entry(key.id, OPERATOR_ID, ())])
    set_permissions(connection, key.id, key.permissions)


def set_permissions(connection: Connection, key_id: str, permissions: Iterable[str]) -> None:
    """Make `permissions` those of the root key."""
    connection.execute(delete(root_permissions).where(root_permissions.c.key_id == key_id))
    rows = [{"key_id": key_id, "permission": permission} for permission in permissions]
    if rows:
        connection.execute(insert(root_permissions), rows)


def change(
    connection: Connection, workspace_id: str, key_id: str, values: Mapping[str, Any], now_ms: int
) -> None:
    """Change columns of a root key."""
    mine = (keys.c.for_workspace_id == workspace_id) & (keys.c.id == key_id)
    connection.execute(update(keys).where(mine).values(dict(values) | {"updated_at_ms": now_ms}))


def remove(connection: Connection, workspace_id: str, key_id: str, now_ms: int) -> None:
    """Mark a root key deleted."""
    change(connection, workspace_id, key_id, {"deleted_at_ms": now_ms}, now_ms)
    directory_store.remove(connection, [key_id])


def restore(connection: Connection, key: RootKey, permissions: Iterable[str], now_ms: int) -> None:
    """Make a root key live, enabled and without an expiry again, with these permissions."""
    if find(connection, key.workspace_id, key.id) is None:
        directory_store.add(connection, [directory_store.Entry(key.id, OPERATOR_ID, ())])
    restored = {"enabled": True, "expires_at_ms": None, "deleted_at_ms": None}
    change(connection, key.workspace_id, key.id, restored, now_ms)
    set_permissions(connection, key.id, permissions)


def find(connection: Connection, workspace_id: str, key_id: str) -> RootKey | None:
    """The live root key with that id."""
    return _one(connection, _live(workspace_id).where(keys.c.id == key_id))


def find_by_digest(connection: Connection, workspace_id: str, digest: bytes) -> RootKey | None:
    """The root key with that digest, deleted or not."""
    question = select(keys).where(keys.c.for_workspace_id == workspace_id)
    return _one(connection, question.where(keys.c.digest == digest))


def page(
    connection: Connection, workspace_id: str, ids: frozenset[str], *, cursor: str, limit: int
) -> list[RootKey]:
    """Up to `limit` live root keys of the workspace from id `cursor` on: those of `ids`, where `*` is all."""
    question = _live(workspace_id).where(keys.c.id >= cursor)
    if "*" not in ids:
        question = question.where(keys.c.id.in_(sorted(ids)))
    return _of_rows(connection, connection.execute(question.order_by(keys.c.id).limit(limit)).all())


def holding(
    connection: Connection, workspace_id: str, permissions: Iterable[str], now_ms: int
) -> list[RootKey]:
    """The live root keys that hold one of `permissions`, are enabled and have not expired."""
    rows = connection.execute(
        _live(workspace_id)
        .join(root_permissions, root_permissions.c.key_id == keys.c.id)
        .where(root_permissions.c.permission.in_(list(permissions)))
        .where(keys.c.enabled)
        .where(keys.c.expires_at_ms.is_(None) | (keys.c.expires_at_ms > now_ms))
    ).all()
    return _of_rows(connection, rows)


def count(connection: Connection, workspace_id: str) -> int:
    """How many live root keys act in the workspace."""
    question = _live(workspace_id).with_only_columns(func.count(), maintain_column_froms=True)
    return connection.execute(question).scalar_one()


def permissions_of(connection: Connection, key_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The permissions of each root key as granted, sorted."""
    rows = connection.execute(
        select(root_permissions)
        .where(root_permissions.c.key_id.in_(list(key_ids)))
        .order_by(root_permissions.c.key_id, root_permissions.c.permission)
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        found[row.key_id] = (*found.get(row.key_id, ()), row.permission)
    return found


def effective(connection: Connection, workspace_id: str, permissions: Iterable[str]) -> frozenset[str]:
    """`permissions` and what the URNs among them mean in the workspace."""
    held = tuple(permissions)
    return expanded(held, workspace_id, apis_of(connection, workspace_id, held))


def apis_of(connection: Connection, workspace_id: str, permissions: Iterable[str]) -> dict[str, str]:
    """The API of each keyspace of the workspace that a URN among `permissions` names."""
    named = keyspaces_of(permissions, workspace_id)
    if not named:
        return {}
    rows = connection.execute(
        select(apis.c.keyspace_id, apis.c.id)
        .where(apis.c.workspace_id == workspace_id)
        .where(apis.c.keyspace_id.in_(sorted(named)))
    )
    return {row.keyspace_id: row.id for row in rows}


def _live(workspace_id: str) -> Select[Any]:
    return select(keys).where(keys.c.for_workspace_id == workspace_id).where(keys.c.deleted_at_ms.is_(None))


def _one(connection: Connection, question: Select[Any]) -> RootKey | None:
    found = _of_rows(connection, connection.execute(question).all())
    return found[0] if found else None


def _of_rows(connection: Connection, rows: Iterable[Row[Any]]) -> list[RootKey]:
    rows = list(rows)
    ids = [row.id for row in rows]
    permitted, used = permissions_of(connection, ids), directory_store.uses_of(connection, ids)
    return [
        RootKey(
            id=row.id,
            workspace_id=row.for_workspace_id,
            lineage_id=row.lineage_id,
            digest=row.digest,
            start=row.start,
            end=row.ending or "",
            name=row.name,
            enabled=row.enabled,
            created_ms=row.created_at_ms,
            expires_ms=row.expires_at_ms,
            permissions=permitted.get(row.id, ()),
            last_used_ms=used.get(row.id, 0),
        )
        for row in rows
    ]
