"""The queries of the directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.kernel.sql import search
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
    connection.execute(_ADD_TEXTS, [_described(entry) for entry in fresh])


def describe(connection: Connection, entry: Entry) -> None:
    """Let searches find a key by other words than before."""
    named = {OF: entry.key_id, "text": search.searchable(*entry.words)}
    connection.execute(updating(key_texts.c.key_id, ("text",)), named)


def remove(connection: Connection, key_ids: Sequence[str]) -> None:
    """Forget deleted keys."""
    for table in (key_uses, key_texts):
        connection.execute(delete(table).where(table.c.key_id.in_(key_ids)))


def can_look_up(connection: Connection, folded: str) -> bool:
    """Whether there is an index for texts that hold `folded`: it must have a trigram, and the server the index."""
    if search.trigrams(folded) is None:
        return False
    return connection.dialect.name != "sqlite" or search.has_table(connection, "key_search")


def holding(connection: Connection, workspace_id: str, folded: str) -> Select[str]:
    """The keys whose text holds `folded`."""
    mine = select(key_texts.c.key_id).where(key_texts.c.workspace_id == workspace_id)
    mine = mine.where(search.holds(key_texts.c.text, folded))
    if connection.dialect.name != "sqlite" or not can_look_up(connection, folded):
        return mine
    rows = text("SELECT rowid AS seq FROM key_search WHERE key_search MATCH :match")
    hits = rows.bindparams(match=search.trigrams(folded)).columns(key_texts.c.seq).subquery("hits")
    return mine.join(hits, hits.c.seq == key_texts.c.seq)


def _described(entry: Entry) -> dict[str, str]:
    return {
        "key_id": entry.key_id,
        "workspace_id": entry.workspace_id,
        "text": search.searchable(*entry.words),
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
