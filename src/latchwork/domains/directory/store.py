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
    or_,
    select,
    text,
    update,
)

from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.kernel.sql import search
from latchwork.kernel.sql.statements import OF, among, updating

_SAMPLED = 200  # rows of each place
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


@dataclass(frozen=True, slots=True)
class Lookup:
    """The keys whose text holds something, found by an index; and whether that seems to be rare."""

    key_ids: Select[str]
    rare: bool


def look_up(connection: Connection, workspace_id: str, folded: str, rare: float) -> Lookup | None:
    """The keys whose text holds `folded`, which is rare when at most that share of texts seems to hold it.

    `None` where no index can tell: it needs three characters.
    """
    indexed = connection.dialect.name != "sqlite" or search.has_table(connection, "key_search")
    if not indexed or search.trigrams(folded) is None:
        return None
    sample = _sample(connection, rare)
    mine = select(key_texts.c.key_id).where(key_texts.c.workspace_id == workspace_id)
    if connection.dialect.name == "sqlite":
        rows = text("SELECT rowid AS seq FROM key_search WHERE key_search MATCH :match")
        asked = sample.rarest_trigrams(folded)
        hits = rows.bindparams(match=asked).columns(key_texts.c.seq).subquery("hits")
        mine = mine.join(hits, hits.c.seq == key_texts.c.seq).where(search.holds(key_texts.c.text, folded))
    elif (word := sample.rare_word(folded)) is not None:
        # the whole not in the column itself, as it would be looked up too
        whole = search.holds(key_texts.c.text.concat(""), folded)
        mine = mine.where(search.holds(key_texts.c.text, word), whole)
    else:
        mine = mine.where(search.holds(key_texts.c.text, folded))
    return Lookup(mine, sample.is_rare(folded))


def _sample(connection: Connection, rare: float) -> search.Sample:
    last: int = connection.scalar(select(func.max(key_texts.c.seq))) or 0
    starts = [last * eighths // 8 for eighths in (1, 4, 7)]
    near = or_(*(key_texts.c.seq.between(start, start + _SAMPLED - 1) for start in starts))
    rows = list(connection.execute(select(key_texts.c.seq, key_texts.c.text).where(near)))
    places = [[row.text for row in rows if 0 <= row.seq - start < _SAMPLED] for start in starts]
    return search.Sample(places, rare)


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
