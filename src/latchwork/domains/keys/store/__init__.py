"""The queries of keys, and of the APIs they are in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, literal, select, union_all, update

from latchwork.domains.credits import store as credits_store
from latchwork.domains.directory import store as directory_store
from latchwork.domains.identities import store as identities_store
from latchwork.domains.identities.tables import identities
from latchwork.domains.keys.records import Api, Key, KeyView, Owner
from latchwork.domains.keys.store.apis import (
    add_api as add_api,
)
from latchwork.domains.keys.store.apis import (
    add_keyspace as add_keyspace,
)
from latchwork.domains.keys.store.apis import (
    apis_of_owner as apis_of_owner,
)
from latchwork.domains.keys.store.apis import (
    delete_api as delete_api,
)
from latchwork.domains.keys.store.apis import (
    find_api as find_api,
)
from latchwork.domains.keys.store.apis import (
    find_api_of as find_api_of,
)
from latchwork.domains.keys.store.apis import (
    has_keyspace as has_keyspace,
)
from latchwork.domains.keys.store.apis import (
    keyspaces_of_apis as keyspaces_of_apis,
)
from latchwork.domains.keys.store.apis import (
    page_apis as page_apis,
)
from latchwork.domains.keys.store.apis import (
    update_api as update_api,
)
from latchwork.domains.keys.tables import apis, key_permissions, key_roles, keys, recoverable_keys
from latchwork.domains.permissions.tables import permissions, role_permissions, roles
from latchwork.domains.ratelimits.store import drop_rules, rules_of
from latchwork.kernel.sql.fence import spanning
from latchwork.kernel.sql.statements import OF, among, unindexed, updating

_AT_ONCE = 1_000  # ids in one statement; drivers take some 30,000

_BEFORE_API: tuple[Any, ...] = (keys.c.id, keys.c.workspace_id, keys.c.for_workspace_id, keys.c.keyspace_id)
_AFTER_API: tuple[Any, ...] = (
    keys.c.lineage_id,
    keys.c.digest,
    keys.c.start,
    keys.c.name,
    keys.c.identity_id,
    keys.c.meta,
    keys.c.enabled,
    keys.c.expires_at_ms,
    keys.c.ip_whitelist,
    keys.c.created_at_ms,
    keys.c.updated_at_ms,
    keys.c.pending_migration_id,
    keys.c.byte_length,
)
"""The columns of a `Key`, in the order of its fields: taken by name, reading a row takes thrice as long."""
_ADDRESSES = [field.name for field in fields(Key)].index("ip_whitelist")

_LIVE_KEYS: Select[Any] = (
    select(*_BEFORE_API, apis.c.id, *_AFTER_API)
    .join(apis, apis.c.keyspace_id == keys.c.keyspace_id)
    .where(unindexed(keys.c.workspace_id) == bindparam("workspace_id"))
    .where(keys.c.deleted_at_ms.is_(None))
    .where(apis.c.deleted_at_ms.is_(None))
)
_KEY_BY_ID = _LIVE_KEYS.where(keys.c.id == bindparam("key_id"))
_KEY_BY_DIGEST = _LIVE_KEYS.where(keys.c.pending_migration_id.is_(None)).where(
    keys.c.digest == bindparam("digest")
)
_KEYS_AMONG = _LIVE_KEYS.where(among(keys.c.id))
_FROM_CURSOR = _LIVE_KEYS.where(keys.c.id >= bindparam("cursor")).order_by(keys.c.id).limit(bindparam("most"))
_PAGE_OF_KEYS = _FROM_CURSOR.where(keys.c.keyspace_id == bindparam("keyspace_id"))
_PAGE_OF_AN_IDENTITY = _FROM_CURSOR.where(keys.c.identity_id == bindparam("identity_id")).where(
    unindexed(keys.c.keyspace_id) == bindparam("keyspace_id")
)

_DESCRIBED = (
    select(keys.c.id, keys.c.workspace_id, keys.c.name, keys.c.start, identities.c.external_id)
    .outerjoin(identities, (identities.c.id == keys.c.identity_id) & identities.c.deleted_at_ms.is_(None))
    .where(among(keys.c.id))
    .order_by(keys.c.id)
)
_IDS_OF_AN_IDENTITY = (
    select(keys.c.id)
    .where(keys.c.identity_id == bindparam("identity_id"))
    .where(keys.c.deleted_at_ms.is_(None))
    .order_by(keys.c.id)
)
_DIRECT_PERMISSIONS = (
    select(key_permissions.c.key_id, permissions.c.slug)
    .join(permissions, permissions.c.id == key_permissions.c.permission_id)
    .where(among(key_permissions.c.key_id))
    .where(permissions.c.deleted_at_ms.is_(None))
)
_PERMISSIONS_OF_ROLES = (
    select(key_roles.c.key_id, permissions.c.slug)
    .join(role_permissions, role_permissions.c.role_id == key_roles.c.role_id)
    .join(permissions, permissions.c.id == role_permissions.c.permission_id)
    .where(among(key_roles.c.key_id))
)
_PERMISSIONS = _DIRECT_PERMISSIONS.union(_PERMISSIONS_OF_ROLES)
_ROLES = (
    select(key_roles.c.key_id, roles.c.name)
    .join(roles, roles.c.id == key_roles.c.role_id)
    .where(among(key_roles.c.key_id))
    .where(roles.c.deleted_at_ms.is_(None))
)
_GRANTS = union_all(
    _DIRECT_PERMISSIONS.add_columns(literal(True).label("may")),
    _PERMISSIONS_OF_ROLES.add_columns(literal(True)),
    _ROLES.add_columns(literal(False)),
)
_ADD_KEYS = insert(keys)


def add_key(connection: Connection, key: Key) -> None:
    """Insert a key."""
    add_keys(connection, [key])


def add_keys(connection: Connection, fresh: Sequence[Key]) -> None:
    """Insert keys, at least one, as never used."""
    connection.execute(_ADD_KEYS, [_row(key) for key in fresh])
    for start in range(0, len(fresh), _AT_ONCE):
        ids = [key.id for key in fresh[start : start + _AT_ONCE]]
        directory_store.add(connection, _entries(connection, ids))


def describe(connection: Connection, key_id: str) -> None:
    """Let searches find a key by what it is called now."""
    for entry in _entries(connection, [key_id]):
        directory_store.describe(connection, entry)


def describe_keys_of(connection: Connection, identity_id: str) -> None:
    """The same for all keys of an identity, which may be deleted by now."""
    ids = list(connection.scalars(_IDS_OF_AN_IDENTITY, {"identity_id": identity_id}))
    for start in range(0, len(ids), _AT_ONCE):
        for entry in _entries(connection, ids[start : start + _AT_ONCE]):
            directory_store.describe(connection, entry)


def _entries(connection: Connection, key_ids: Sequence[str]) -> list[directory_store.Entry]:
    rows = connection.execute(_DESCRIBED, {"among": key_ids})
    return [
        directory_store.Entry(row.id, row.workspace_id, (row.id, row.name, row.start, row.external_id))
        for row in rows
    ]


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "workspace_id": key.workspace_id,
        "for_workspace_id": key.for_workspace_id,
        "keyspace_id": key.keyspace_id,
        "lineage_id": key.lineage_id,
        "digest": key.digest,
        "start": key.start,
        "name": key.name,
        "identity_id": key.identity_id,
        "meta": key.meta,
        "enabled": key.enabled,
        "expires_at_ms": key.expires_ms,
        "ip_whitelist": list(key.ip_whitelist),
        "created_at_ms": key.created_ms,
        "pending_migration_id": key.pending_migration_id,
        "byte_length": key.byte_length,
    }


def find_key(connection: Connection, workspace_id: str, key_id: str) -> Key | None:
    """The live key of a live API with that id; a root key is not found here."""
    row = connection.execute(_KEY_BY_ID, {"workspace_id": workspace_id, "key_id": key_id}).one_or_none()
    return None if row is None else _key(row)


def belongs(connection: Connection, key: Key, owner: Owner) -> bool:
    """Whether the key is one of the owner's."""
    if key.identity_id is None or key.keyspace_id != owner.keyspace_id:
        return False
    found = identities_store.find(connection, key.workspace_id, owner.external_id, by_id=False)
    return found is not None and found.id == key.identity_id


def find_key_by_digest(connection: Connection, workspace_id: str, digest: bytes) -> Key | None:
    """The live key of a live API with that digest; one that is pending migration has none yet."""
    row = connection.execute(_KEY_BY_DIGEST, {"workspace_id": workspace_id, "digest": digest}).one_or_none()
    return None if row is None else _key(row)


def api_of_key(connection: Connection, workspace_id: str, key_id: str) -> str | None:
    """The id of the API whose key has that id, deleted ones included."""
    question = select(apis.c.id).join(keys, keys.c.keyspace_id == apis.c.keyspace_id)
    mine = (keys.c.id == key_id, keys.c.workspace_id == workspace_id)
    found: str | None = connection.execute(question.where(*mine)).scalar()
    return found


def keys_of(connection: Connection, workspace_id: str, key_ids: Sequence[str]) -> list[Key]:
    """The live keys with these ids, in their order."""
    rows = connection.execute(_KEYS_AMONG, {"workspace_id": workspace_id, "among": key_ids})
    found = {key.id: key for key in map(_key, rows)}
    return [found[id_] for id_ in key_ids if id_ in found]


def page_keys(
    connection: Connection,
    workspace_id: str,
    keyspace_id: str,
    *,
    external_id: str | None,
    cursor: str,
    limit: int,
) -> list[Key]:
    """Up to `limit` live keys of a keyspace from id `cursor` on."""
    asked = {"workspace_id": workspace_id, "keyspace_id": keyspace_id, "cursor": cursor, "most": limit}
    if external_id is None:
        return [_key(row) for row in connection.execute(_PAGE_OF_KEYS, asked)]
    identity = identities_store.find(connection, workspace_id, external_id, by_id=False)
    if identity is None:
        return []
    rows = connection.execute(_PAGE_OF_AN_IDENTITY, asked | {"identity_id": identity.id})
    return [_key(row) for row in rows]


def digest_is_taken(connection: Connection, digest: bytes) -> str | None:
    """The id of the key with that digest, deleted or not, in any workspace."""
    with spanning(connection):
        found: str | None = connection.execute(select(keys.c.id).where(keys.c.digest == digest)).scalar()
    return found


def update_key(connection: Connection, key_id: str, values: Mapping[str, Any], now_ms: int) -> None:
    """Change columns of a key."""
    changed = {**values, "updated_at_ms": now_ms}
    connection.execute(updating(keys.c.id, changed), changed | {OF: key_id})
    if values.keys() & {"name", "start", "identity_id"}:
        describe(connection, key_id)


def soft_delete_keys(connection: Connection, key_ids: Sequence[str], now_ms: int) -> None:
    """Mark keys deleted; they are in no list any more, and nothing refills them."""
    connection.execute(update(keys).where(keys.c.id.in_(key_ids)).values(deleted_at_ms=now_ms))
    credits_store.stop_refills(connection, key_ids)
    directory_store.remove(connection, key_ids)


def purge_keys(connection: Connection, key_ids: Sequence[str]) -> None:
    """Remove keys and everything that belongs to them alone."""
    drop_rules(connection, key_ids)
    credits_store.close_balances(connection, key_ids)
    connection.execute(delete(keys).where(keys.c.id.in_(key_ids)))
    directory_store.remove(connection, key_ids)


def some_keys(connection: Connection, api: Api, up_to_id: str, limit: int, *, deleted: bool) -> list[Key]:
    """Up to `limit` keys of an API with ids up to `up_to_id`, live ones or deleted ones."""
    is_deleted = keys.c.deleted_at_ms.is_not(None) if deleted else keys.c.deleted_at_ms.is_(None)
    question: Select[Any] = select(*_BEFORE_API, literal(api.id), *_AFTER_API).where(
        keys.c.keyspace_id == api.keyspace_id
    )
    question = question.where(keys.c.id <= up_to_id).where(is_deleted).order_by(keys.c.id).limit(limit)
    return [_key(row) for row in connection.execute(question)]


def keep_sealed(connection: Connection, workspace_id: str, key_id: str, sealed: bytes) -> None:
    """Keep the sealed text of a recoverable key; it goes when the key's row goes."""
    row = {"key_id": key_id, "workspace_id": workspace_id, "sealed": sealed}
    connection.execute(insert(recoverable_keys).values(row))


def sealed_texts(connection: Connection, workspace_id: str, key_ids: Iterable[str]) -> dict[str, bytes]:
    """The sealed texts of those keys that are recoverable."""
    rows = connection.execute(
        select(recoverable_keys.c.key_id, recoverable_keys.c.sealed)
        .where(recoverable_keys.c.workspace_id == workspace_id)
        .where(recoverable_keys.c.key_id.in_(list(key_ids)))
    )
    return {row.key_id: row.sealed for row in rows}


def set_permissions(connection: Connection, key: Key, permission_ids: Iterable[str]) -> None:
    """Make `permission_ids` the key's direct permissions."""
    connection.execute(delete(key_permissions).where(key_permissions.c.key_id == key.id))
    rows = [
        {"key_id": key.id, "permission_id": permission_id, "workspace_id": key.workspace_id}
        for permission_id in permission_ids
    ]
    if rows:
        connection.execute(insert(key_permissions), rows)


def set_roles(connection: Connection, key: Key, role_ids: Iterable[str]) -> None:
    """Make `role_ids` the key's roles."""
    connection.execute(delete(key_roles).where(key_roles.c.key_id == key.id))
    rows = [{"key_id": key.id, "role_id": id_, "workspace_id": key.workspace_id} for id_ in role_ids]
    if rows:
        connection.execute(insert(key_roles), rows)


def copy_grants(connection: Connection, from_id: str, to_id: str) -> None:
    """Give a new key the direct permissions and the roles of another."""
    for table, granted in ((key_permissions, "permission_id"), (key_roles, "role_id")):
        same = select(literal(to_id), table.c[granted], table.c.workspace_id)
        names = ["key_id", granted, "workspace_id"]
        connection.execute(insert(table).from_select(names, same.where(table.c.key_id == from_id)))


def permissions_of(connection: Connection, key_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Slugs of each key, direct and through roles, sorted and without repeats."""
    return _grouped(connection.execute(_PERMISSIONS, {"among": key_ids}))


def roles_of(connection: Connection, key_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Names of the roles of each key, sorted."""
    return _grouped(connection.execute(_ROLES, {"among": key_ids}))


def _grants_of(
    connection: Connection, key_ids: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """What `permissions_of` and `roles_of` answer, by one statement."""
    rows = connection.execute(_GRANTS, {"among": key_ids}).all()
    permitted = {(key_id, text) for key_id, text, may in rows if may}
    return _grouped(permitted), _grouped((key_id, text) for key_id, text, may in rows if not may)


def _grouped(rows: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for key_id, text in rows:
        found.setdefault(key_id, []).append(text)
    return {key_id: tuple(sorted(texts)) for key_id, texts in found.items()}


def views(connection: Connection, found: Sequence[Key]) -> list[KeyView]:
    """The keys with everything that belongs to them, in the order given; a constant number of queries."""
    if not found:
        return []
    ids = [key.id for key in found]
    identity_ids = list({key.identity_id for key in found if key.identity_id})
    permitted, named = _grants_of(connection, ids)
    limits, balances = (
        rules_of(connection, ids + identity_ids),
        credits_store.find(connection, ids + identity_ids),
    )
    used = directory_store.uses_of(connection, ids)
    owners = identities_store.with_belongings(
        connection, found[0].workspace_id, identity_ids, limits, balances
    )
    return [
        KeyView(
            key=key,
            permissions=permitted.get(key.id, ()),
            roles=named.get(key.id, ()),
            limits=tuple(limits.get(key.id, ())),
            credits=balances.get(key.id),
            identity=owners.get(key.identity_id or ""),
            last_used_ms=used.get(key.id) or None,
        )
        for key in found
    ]


def _key(row: Sequence[Any]) -> Key:
    values = list(row)
    values[_ADDRESSES] = tuple(values[_ADDRESSES])
    return Key(*values)
