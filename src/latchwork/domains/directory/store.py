"""The queries of the directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from latchwork.domains.directory.rules import searchable
from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.kernel.sql.statements import OF, among, updating

_ADD_USES = insert(key_uses)
_ADD_TEXTS = insert(key_texts)
_USES = select(key_uses.c.key_id, key_uses.c.used_at_ms).where(among(key_uses.c.key_id))


@dataclass(frozen=True, slots=True)
class Entry:
    """A key, and the words by which searches find it."""

    key_id: str
    workspace_id: str
    words: tuple[str | None, ...]


def add(connection: Connection, entries: Iterable[Entry]) -> None:
    """Enter new keys, at least one, as never used."""
    fresh = list(entries)
    never = [{"key_id": entry.key_id, "workspace_id": entry.workspace_id, "used_at_ms": 0} for entry in fresh]
    connection.execute(_ADD_USES, never)
    connection.execute(_ADD_TEXTS, [_text(entry) for entry in fresh])


def describe(connection: Connection, entry: Entry) -> None:
    """Let searches find a key by other words than before."""
    connection.execute(
        updating(key_texts.c.key_id, ("text",)), {OF: entry.key_id, "text": searchable(entry.words)}
    )


def remove(connection: Connection, key_ids: Sequence[str]) -> None:
    """Forget deleted keys."""
    for table in (key_uses, key_texts):
        connection.execute(delete(table).where(table.c.key_id.in_(key_ids)))


def _text(entry: Entry) -> dict[str, str]:
    return {
        "key_id": entry.key_id,
        "workspace_id": entry.workspace_id,
        "text": searchable(entry.words),
    }


# One statement for many rows, and each row only ever forward.
_used = func.json_each(bindparam("uses", type_=JSON)).table_valued("key", "value", name="used")
_used_ms = cast(cast(_used.c.value, Text), BigInteger)
_SET_USES = (
    update(key_uses)
    .where(key_uses.c.key_id == _used.c.key)
    .where(key_uses.c.used_at_ms < _used_ms)
    .values(used_at_ms=_used_ms)
)


def set_uses(connection: Connection, uses: Mapping[str, int]) -> None:
    """Keep when keys were last used, by id; an earlier moment than is known changes nothing."""
    connection.execute(_SET_USES, {"uses": uses})


def uses_of(connection: Connection, key_ids: Sequence[str]) -> dict[str, int]:
    """When each key was last used, 0 for never."""
    rows = connection.execute(_USES, {"among": key_ids})
    return {row.key_id: row.used_at_ms for row in rows}
