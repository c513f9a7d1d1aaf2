"""The queries of APIs and their keyspaces."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from latchwork.domains.credits.tables import balances
from latchwork.domains.identities.tables import identities
from latchwork.domains.keys.records import Api
from latchwork.domains.keys.tables import apis, key_counts, keys, keyspaces
from latchwork.kernel.sql.statements import among

_LIVE_APIS = (
    select(
        apis,
        keyspaces.c.default_prefix,
        keyspaces.c.default_byte_length,
        keyspaces.c.store_encrypted_keys,
    )
    .join(keyspaces, keyspaces.c.id == apis.c.keyspace_id)
    .where(apis.c.workspace_id == bindparam("workspace_id"))
    .where(apis.c.deleted_at_ms.is_(None))
)
_API_BY_ID = _LIVE_APIS.where(apis.c.id == bindparam("api_id"))
_API_BY_KEYSPACE = _LIVE_APIS.where(apis.c.keyspace_id == bindparam("keyspace_id"))
_KEY_COUNT = func.coalesce(key_counts.c.live, 0).label("key_count")
_PAGE_OF_APIS = (
    _LIVE_APIS.outerjoin(key_counts, key_counts.c.keyspace_id == apis.c.keyspace_id)
    .add_columns(_KEY_COUNT)
    .where(apis.c.id >= bindparam("cursor"))
    .order_by(apis.c.id)
    .limit(bindparam("most"))
)

# By the identity's index: a workspace's keys are many.
_OF_OWNER = (
    select(keys.c.keyspace_id)
    .join(identities, identities.c.id == keys.c.identity_id)
    .where(identities.c.workspace_id == bindparam("workspace_id"))
    .where(identities.c.external_id == bindparam("external_id"))
    .where(identities.c.deleted_at_ms.is_(None))
    .where(keys.c.deleted_at_ms.is_(None))
)
_APIS_OF_OWNER = _LIVE_APIS.where(apis.c.keyspace_id.in_(_OF_OWNER)).order_by(apis.c.id)
_KEYSPACES = (
    select(apis.c.keyspace_id)
    .where(apis.c.workspace_id == bindparam("workspace_id"))
    .where(among(apis.c.id))
    .where(apis.c.deleted_at_ms.is_(None))
)


def add_keyspace(connection: Connection, keyspace_id: str, workspace_id: str, now_ms: int) -> None:
    """Insert an empty keyspace without defaults."""
    connection.execute(
        insert(keyspaces).values(
            id=keyspace_id, workspace_id=workspace_id, store_encrypted_keys=False, created_at_ms=now_ms
        )
    )


def has_keyspace(connection: Connection, keyspace_id: str) -> bool:
    """Whether the keyspace exists."""
    return connection.execute(select(keyspaces.c.id).where(keyspaces.c.id == keyspace_id)).first() is not None


def add_api(connection: Connection, api: Api) -> None:
    """Insert an API; its keyspace must exist."""
    connection.execute(
        insert(apis).values(
            id=api.id,
            workspace_id=api.workspace_id,
            keyspace_id=api.keyspace_id,
            name=api.name,
            delete_protection=api.delete_protection,
            ip_whitelist=list(api.ip_whitelist),
            analytics=api.analytics,
            stale_ok_s=api.stale_ok_s,
            created_at_ms=api.created_ms,
        )
    )


def find_api(connection: Connection, workspace_id: str, api_id: str) -> Api | None:
    """The live API with that id."""
    row = connection.execute(_API_BY_ID, {"workspace_id": workspace_id, "api_id": api_id}).one_or_none()
    return None if row is None else _api(row)


def find_api_of(connection: Connection, workspace_id: str, keyspace_id: str) -> Api | None:
    """The live API that has that keyspace."""
    asked = {"workspace_id": workspace_id, "keyspace_id": keyspace_id}
    row = connection.execute(_API_BY_KEYSPACE, asked).one_or_none()
    return None if row is None else _api(row)


def keyspaces_of_apis(connection: Connection, workspace_id: str, api_ids: Iterable[str]) -> tuple[str, ...]:
    """The keyspaces of those of the APIs that are live and the workspace's."""
    asked = {"workspace_id": workspace_id, "among": list(api_ids)}
    return tuple(connection.execute(_KEYSPACES, asked).scalars())


def apis_of_owner(connection: Connection, workspace_id: str, external_id: str) -> list[Api]:
    """The live APIs in which a live identity has live keys, by id."""
    asked = {"workspace_id": workspace_id, "external_id": external_id}
    return [_api(row) for row in connection.execute(_APIS_OF_OWNER, asked)]


def page_apis(connection: Connection, workspace_id: str, cursor: str, limit: int) -> list[tuple[Api, int]]:
    """Up to `limit` live APIs from id `cursor` on, each with the number of its live keys.

    The number is exact and costs one row: triggers of the database count with every change of keys, in the same
    transaction, whichever version of the program makes it. Changes of one keyspace wait for each other there no
    more than they do already, as each extends the audit chain of the workspace.
    """
    rows = connection.execute(_PAGE_OF_APIS, {"workspace_id": workspace_id, "cursor": cursor, "most": limit})
    return [(_api(row), row.key_count) for row in rows]


def update_api(connection: Connection, api: Api, values: Mapping[str, Any], now_ms: int) -> None:
    """Change columns of an API and of its keyspace."""
    of_keyspace = {name: value for name, value in values.items() if name in keyspaces.c}
    of_api = {name: value for name, value in values.items() if name not in keyspaces.c or name == "name"}
    connection.execute(update(apis).where(apis.c.id == api.id).values(of_api | {"updated_at_ms": now_ms}))
    if of_keyspace:
        connection.execute(update(keyspaces).where(keyspaces.c.id == api.keyspace_id).values(of_keyspace))


def delete_api(connection: Connection, api_id: str, now_ms: int) -> None:
    """Mark an API deleted; its keys' rows stay and verify as NOT_FOUND, and nothing refills them."""
    connection.execute(update(apis).where(apis.c.id == api_id).values(deleted_at_ms=now_ms))
    of_api = select(keys.c.id).join(apis, apis.c.keyspace_id == keys.c.keyspace_id).where(apis.c.id == api_id)
    refilled = (balances.c.refill_due_at_ms.is_not(None), balances.c.subject_id.in_(of_api))
    connection.execute(update(balances).where(*refilled).values(refill_due_at_ms=None))


def _api(row: Row[Any]) -> Api:
    return Api(
        id=row.id,
        workspace_id=row.workspace_id,
        keyspace_id=row.keyspace_id,
        name=row.name,
        delete_protection=row.delete_protection,
        ip_whitelist=tuple(row.ip_whitelist),
        default_prefix=row.default_prefix,
        default_byte_length=row.default_byte_length,
        store_encrypted_keys=row.store_encrypted_keys,
        analytics=row.analytics,
        stale_ok_s=row.stale_ok_s,
        created_ms=row.created_at_ms,
        updated_ms=row.updated_at_ms,
    )
