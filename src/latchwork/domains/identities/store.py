"""The identities' queries."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, column, insert, select, table, text, update

from latchwork.domains.credits import Balance
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities.faults import IdentityAlreadyExists
from latchwork.domains.identities.records import Identity
from latchwork.domains.identities.tables import identities
from latchwork.domains.ratelimits import LimitRule
from latchwork.domains.ratelimits.store import rules_of
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql import search as searching
from latchwork.kernel.sql.schema import Id, Words
from latchwork.kernel.sql.statements import among, unindexed

_ROWS = 8_000  # that the first step of a search through a workspace looks at, in about 2 ms
_CANDIDATES = 1_000  # that the first step through trigrams looks at
_WORD = re.compile(r"\w{3}")  # PostgreSQL's trigrams are those of words
_LAST = 2**62  # more rows than there are
_AMONG = (
    select(identities)
    .where(unindexed(identities.c.workspace_id) == bindparam("workspace_id"))
    .where(identities.c.deleted_at_ms.is_(None))
    .where(among(identities.c.id))
)


def add(connection: Connection, identity: Identity, now_ms: int) -> None:
    """Insert an identity; raises `IdentityAlreadyExists`."""
    if find(connection, identity.workspace_id, identity.external_id, by_id=False) is not None:
        raise IdentityAlreadyExists(identity.external_id)
    connection.execute(
        insert(identities).values(
            id=identity.id,
            workspace_id=identity.workspace_id,
            external_id=identity.external_id,
            meta=identity.meta,
            created_at_ms=now_ms,
        )
    )


def ensure(connection: Connection, workspace_id: str, external_id: str, now_ms: int) -> tuple[str, bool]:
    """The id of the live identity called `external_id`, and whether it had to be created."""
    found = find(connection, workspace_id, external_id, by_id=False)
    if found is not None:
        return found.id, False
    fresh = Identity(new_id("id"), workspace_id, external_id, {})
    add(connection, fresh, now_ms)
    return fresh.id, True


def ensure_all(
    connection: Connection, workspace_id: str, external_ids: Iterable[str], now_ms: int
) -> tuple[dict[str, str], list[str]]:
    """External id to id of the live identities called so, and the external ids that had to be created."""
    wanted = sorted(set(external_ids))
    if not wanted:
        return {}, []
    rows = connection.execute(
        select(identities.c.external_id, identities.c.id)
        .where(identities.c.workspace_id == workspace_id)
        .where(identities.c.deleted_at_ms.is_(None))
        .where(identities.c.external_id.in_(wanted))
    )
    known = {row.external_id: row.id for row in rows}
    created = {external_id: new_id("id") for external_id in wanted if external_id not in known}
    fresh = [
        {
            "id": identity_id,
            "workspace_id": workspace_id,
            "external_id": external_id,
            "meta": {},
            "created_at_ms": now_ms,
        }
        for external_id, identity_id in created.items()
    ]
    if fresh:
        connection.execute(insert(identities), fresh)
    return known | created, list(created)


def find(connection: Connection, workspace_id: str, name: str, *, by_id: bool = True) -> Identity | None:
    """The live identity whose external id (or, with `by_id`, id) is `name`, with its limits and stored credits."""
    live = (
        select(identities)
        .where(identities.c.workspace_id == workspace_id)
        .where(identities.c.deleted_at_ms.is_(None))
    )
    # one after the other: for an OR, SQLite would go through the whole workspace
    row = connection.execute(live.where(identities.c.id == name)).one_or_none() if by_id else None
    if row is None:
        row = connection.execute(live.where(identities.c.external_id == name)).one_or_none()
    if row is None:
        return None
    return _of(row, rules_of(connection, [row.id]), credits_store.find(connection, [row.id]))


def by_ids(connection: Connection, workspace_id: str, ids: Iterable[str]) -> dict[str, Identity]:
    """The live identities among `ids`, with their limits and stored credits."""
    wanted = list(set(ids))
    if not wanted:
        return {}
    limits, credits = rules_of(connection, wanted), credits_store.find(connection, wanted)
    return with_belongings(connection, workspace_id, wanted, limits, credits)


def with_belongings(
    connection: Connection,
    workspace_id: str,
    ids: Sequence[str],
    limits: Mapping[str, Sequence[LimitRule]],
    credits: Mapping[str, Balance],
) -> dict[str, Identity]:
    """The live identities among `ids`, with what of these limits and stored credits is theirs."""
    if not ids:
        return {}
    rows = connection.execute(_AMONG, {"workspace_id": workspace_id, "among": ids})
    return {row.id: _of(row, limits, credits) for row in rows}


def _of(row: Row[Any], limits: Mapping[str, Sequence[LimitRule]], credits: Mapping[str, Balance]) -> Identity:
    own = tuple(limits.get(row.id, ()))
    return Identity(row.id, row.workspace_id, row.external_id, row.meta, own, credits.get(row.id))


def page(
    connection: Connection, workspace_id: str, *, search: str, cursor: str, limit: int
) -> list[Identity]:
    """Up to `limit` live identities whose id or external id holds `search`, from id `cursor` on."""
    folded = searching.wanted(search)
    if folded:
        ids = _search(connection, _Search(workspace_id, folded, cursor, limit))
    else:
        ids = list(connection.execute(_live_ids(workspace_id, cursor).limit(limit)).scalars())
    found = by_ids(connection, workspace_id, ids)
    return [found[id_] for id_ in ids]


def _live_ids(workspace_id: str, cursor: str) -> Select[Any]:
    return (
        select(identities.c.id)
        .where(identities.c.workspace_id == workspace_id)
        .where(identities.c.deleted_at_ms.is_(None))
        .where(identities.c.id >= cursor)
        .order_by(identities.c.id)
    )


# Two ways lead to what a search asks for: through the workspace in the order of ids, which is short where
# many identities hold the text or there are few, and through those that have its trigrams, short where few
# do. No database guesses well which it is. So both are walked by turns, in growing steps, until one arrives.


class _Search(NamedTuple):
    workspace_id: str
    folded: str
    cursor: str
    limit: int


_Walk = Iterator[list[str] | None]
"""`None` as long as it is under way, then the ids that were asked for."""


def _search(connection: Connection, asked: _Search) -> list[str]:
    walks = [_through_workspace(connection, asked)]
    if connection.dialect.name == "postgresql" and _WORD.search(asked.folded):
        walks.append(_through_trigrams_of_postgres(connection, asked))
    trigrams = searching.trigrams(asked.folded)
    if connection.dialect.name == "sqlite" and trigrams is not None:
        walks.append(_through_trigrams_of_sqlite(connection, asked, trigrams))
    steps = (next(walk) for walk in cycle(walks))
    return next(ids for ids in steps if ids is not None)


def _through_workspace(connection: Connection, asked: _Search) -> _Walk:
    found: list[str] = []
    first, size = asked.cursor, _ROWS
    while True:
        rows = _live_ids(asked.workspace_id, first)
        after = connection.execute(rows.limit(1).offset(size)).scalar()
        rows = rows.where(searching.holds(identities.c.search_text, asked.folded))
        rows = rows if after is None else rows.where(identities.c.id < after)
        found += connection.execute(rows.limit(asked.limit - len(found))).scalars()
        if after is None or len(found) == asked.limit:
            break
        first, size = after, size * 2
        yield None
    yield found


# PostgreSQL: the live identities, by triggers. No policy stands before it, below which no trigram is looked up.
_TEXTS = table(
    "identity_search_texts", column("identity_id", Id), column("workspace_id", Id), column("text", Words)
)
_INDEX_ONLY = text(
    "SELECT set_config('enable_seqscan', :others, true), set_config('enable_indexscan', :others, true),"
    " set_config('enable_indexonlyscan', :others, true)"
)


def _through_trigrams_of_postgres(connection: Connection, asked: _Search) -> _Walk:
    size = _CANDIDATES
    while True:
        connection.execute(_INDEX_ONLY, {"others": "off"})
        rows = (
            select(_TEXTS.c.identity_id)
            .where(_TEXTS.c.workspace_id == asked.workspace_id, _TEXTS.c.identity_id >= asked.cursor)
            .where(searching.holds(_TEXTS.c.text, asked.folded))
            .limit(size)
        )
        found = sorted(connection.execute(rows).scalars())
        connection.execute(_INDEX_ONLY, {"others": "on"})
        if len(found) < size:
            break
        size *= 8  # each step begins anew
        yield None
    yield found[: asked.limit]


_FIRST = text("SELECT search_row FROM identities WHERE id >= :cursor AND search_row > 0 ORDER BY id LIMIT 1")
_HAVING = text(
    "SELECT rowid FROM identity_search WHERE identity_search MATCH :trigrams"
    " AND rowid >= :first AND rowid < :after ORDER BY rowid LIMIT :size"
)
_HOLDING = text(
    "SELECT identities.id FROM json_each(:rows) CROSS JOIN identities ON identities.search_row = json_each.value"
    " WHERE identities.workspace_id = :workspace_id AND identities.id >= :cursor"
    " AND instr(identities.search_text, :folded) ORDER BY identities.id LIMIT :limit"
)


def _through_trigrams_of_sqlite(connection: Connection, asked: _Search, trigrams: str) -> _Walk:
    """Rows are numbered in the order of their ids, but for those that came too late: they are below zero."""
    late = _having(connection, trigrams, -_LAST, 0, _CANDIDATES)
    while len(late) == _CANDIDATES:
        yield None  # there may be more: this way leads nowhere
    found: list[str] = []
    first: int | None = connection.execute(_FIRST, {"cursor": asked.cursor}).scalar()
    size = _CANDIDATES
    while True:
        rows = [] if first is None else _having(connection, trigrams, first, _LAST, size)
        found += _holding(connection, asked, rows)
        if len(rows) < size or len(found) >= asked.limit:
            break
        first, size = rows[-1] + 1, size * 2
        yield None
    yield sorted(found + _holding(connection, asked, late))[: asked.limit]


def _having(connection: Connection, trigrams: str, first: int, after: int, size: int) -> list[int]:
    """The first `size` rows in a range that have the trigrams."""
    asking = {"trigrams": trigrams, "first": first, "after": after, "size": size}
    return list(connection.execute(_HAVING, asking).scalars())


def _holding(connection: Connection, asked: _Search, rows: list[int]) -> list[str]:
    """The ids of those of `rows` that hold what is asked for."""
    return list(connection.execute(_HOLDING, asked._asdict() | {"rows": str(rows)}).scalars())


def change(connection: Connection, identity_id: str, values: Mapping[str, Any], now_ms: int) -> None:
    """Change columns of an identity."""
    changed = update(identities).where(identities.c.id == identity_id)
    connection.execute(changed.values(dict(values) | {"updated_at_ms": now_ms}))
