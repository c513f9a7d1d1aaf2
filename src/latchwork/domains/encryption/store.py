"""The queries of data keys."""

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from latchwork.domains.encryption.records import DataKey
from latchwork.domains.encryption.tables import data_keys


def find(connection: Connection, workspace_id: str) -> DataKey | None:
    """The workspace's data key, once it has one."""
    row = connection.execute(select(data_keys).where(data_keys.c.workspace_id == workspace_id)).one_or_none()
    return None if row is None else _of(row)


def add(connection: Connection, key: DataKey, now_ms: int) -> None:
    """Insert the first data key of a workspace."""
    row = {"workspace_id": key.workspace_id, "sealed_by": key.sealed_by, "sealed": key.sealed}
    connection.execute(insert(data_keys).values(row | {"created_at_ms": now_ms}))


def reseal(connection: Connection, key: DataKey) -> None:
    """Replace how a workspace's data key is sealed."""
    mine = data_keys.c.workspace_id == key.workspace_id
    connection.execute(update(data_keys).where(mine).values(sealed_by=key.sealed_by, sealed=key.sealed))


def page(connection: Connection, after: str, limit: int) -> list[DataKey]:
    """Up to `limit` data keys of workspaces whose ids come after `after`, in that order."""
    question = select(data_keys).where(data_keys.c.workspace_id > after).order_by(data_keys.c.workspace_id)
    return [_of(row) for row in connection.execute(question.limit(limit))]


def sealed_otherwise(connection: Connection, key_id: str, limit: int) -> list[DataKey]:
    """Up to `limit` data keys that another key than `key_id` seals."""
    question = select(data_keys).where(data_keys.c.sealed_by != key_id).order_by(data_keys.c.workspace_id)
    return [_of(row) for row in connection.execute(question.limit(limit))]


def counts(connection: Connection) -> dict[str, int]:
    """How many data keys each key seals."""
    question = select(data_keys.c.sealed_by, func.count().label("data_keys")).group_by(data_keys.c.sealed_by)
    return {row.sealed_by: row.data_keys for row in connection.execute(question)}


def _of(row: Row[Any]) -> DataKey:
    return DataKey(row.workspace_id, row.sealed_by, row.sealed)
