"""The queries of lists.

Two ways lead to a page. Where one of the filters lets few keys pass, those are read, filtered by the others
and sorted. Where all of them let many pass, the keys are walked in order until the page is full, which is
soon, unless what is wanted lies together and far away: then the page ends where the walk does, and the next
one goes on from there. So no page takes longer than reading some thousand keys, however many there are.
Which way to go cannot be left to the databases: SQLite does not know how many pass, and PostgreSQL does not
know what lies where. So each question is one that can be answered in one way only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, Subquery, bindparam, func, select

from latchwork.domains.directory import store as directory_store
from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.domains.identities import store as identities_store
from latchwork.domains.key_lists.records import KeyQuery, Position
from latchwork.domains.key_lists.rules import digest_in
from latchwork.domains.keys import KeyView
from latchwork.domains.keys import store as keys_store
from latchwork.domains.keys.tables import apis, keys
from latchwork.kernel.sql import search
from latchwork.kernel.sql.statements import unindexed

_WORKSPACE, _API, _IDENTITY, _ENABLED = "workspace", "api", "identity", "enabled"
_EXPIRY, _USE, _TEXT, _AMONG = "expiry", "use", "text", "among"
_SIEVES = {_API, _ENABLED, _EXPIRY, _IDENTITY, _USE}
"""The filters that have an index of their own."""

_ORDERS: dict[str, tuple[ColumnElement[Any] | None, ColumnElement[str]]] = {
    "createdAt": (None, keys.c.id),
    "name": (keys.c.name_order, keys.c.id),
    "expires": (keys.c.expiry_order, keys.c.id),
    "lastUsedAt": (key_uses.c.used_at_ms, key_uses.c.key_id),
}
"""What keys are ranked by, and the id that decides between equals."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a question finds what it asks about a key."""

    id: ColumnElement[str]
    workspace_id: ColumnElement[str]
    keyspace_id: ColumnElement[str]
    identity_id: ColumnElement[str]
    enabled: ColumnElement[bool]
    expiry: ColumnElement[int]
    used_at_ms: ColumnElement[int]


_STORED = _Columns(
    keys.c.id,
    keys.c.workspace_id,
    keys.c.keyspace_id,
    keys.c.identity_id,
    keys.c.enabled,
    keys.c.expiry_order,
    key_uses.c.used_at_ms,
)


# A plan for any values would not know how many keys have them; and what is read here are always few rows of
# large tables, by their indexes.
_OF_POSTGRES = {"plan_cache_mode": "force_custom_plan", "enable_hashjoin": "off", "enable_mergejoin": "off"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How many keys are read for a page: up to `few` are sorted, else so many are walked, in steps.

    Whether there are only few to sort is asked after the first step, which fills most pages; a text is looked
    up if at most the share `rare` of keys seems to have it. Steps after the second are taken only while the
    page took less than `enough_s`.
    """

    few: int = 2_000
    steps: tuple[int, ...] = (200, *(500,) * 12)
    enough_s: float = 0.008
    rare: float = 0.02


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query with everything in it looked up. `among`, where given, are the only keys to consider."""

    workspace_id: str
    query: KeyQuery
    text: str
    keyspace_id: str | None
    identity_id: str | None
    among: Sequence[str] | None

    @property
    def bounded_by(self) -> str:
        """The filter that bounds what the keys are ordered by, empty where there is none for that order."""
        return {"expires": _EXPIRY, "lastUsedAt": _USE}.get(self.query.order, "")

    @property
    def bound(self) -> int | None:
        """What that filter, where it is asked for, keeps the order below."""
        return {_EXPIRY: self.query.expires_before_ms, _USE: self.query.unused_since_ms}.get(self.bounded_by)

    @property
    def walked_by(self) -> set[str]:
        """The filters whose index has the keys in the order that is asked for."""
        if self.query.order != "createdAt":
            return {_WORKSPACE, self.bounded_by}
        if self.identity_id is not None:
            return {_IDENTITY}
        if self.keyspace_id is not None:
            return {_API}
        return {_WORKSPACE} if self.query.enabled is None else {_WORKSPACE, _ENABLED}


def resolved(
    connection: Connection, workspace_id: str, query: KeyQuery, among: Sequence[str] | None
) -> Wanted | None:
    """Look up what the query names; `None` when there is no such API."""
    keyspace_id = identity_id = None
    if query.api_id is not None:
        api = keys_store.find_api(connection, workspace_id, query.api_id)
        if api is None:
            return None
        keyspace_id = api.keyspace_id
    if query.external_id is not None:
        identity = identities_store.find(connection, workspace_id, query.external_id, by_id=False)
        identity_id = "" if identity is None else identity.id  # which no key has
    text = search.wanted(query.search)
    digest = digest_in(query.search)
    if digest is not None:
        found = keys_store.find_key_by_digest(connection, workspace_id, digest)
        if found is not None:
            text, among = "", [found.id] if among is None or found.id in among else []
    return Wanted(workspace_id, query, text, keyspace_id, identity_id, among)


def page(
    connection: Connection, wanted: Wanted, start: Position | None, limit: int, effort: Effort
) -> tuple[list[Position], Position | None]:
    """Up to `limit` positions in the list from `start` on, and where the next page begins, if there is one.

    There may be fewer than `limit`, or none, and still a next page: see `Effort`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(*(func.set_config(*item, True) for item in _OF_POSTGRES.items())))
    if _conditions(wanted, set()).keys() <= wanted.walked_by | {_WORKSPACE}:
        return _cut(_everything(wanted).rows(connection, start, limit + 1), limit)
    began_s = monotonic()
    found: list[Position] = []
    at = start
    for number, step in enumerate(effort.steps):
        if number > 1 and monotonic() - began_s > effort.enough_s:
            break
        if number == 1 and (few := _few(connection, wanted, effort)) is not None:
            return _cut(few.rows(connection, start, limit + 1), limit)
        more, at = _walked(connection, wanted, at, step, limit + 1 - len(found))
        found += more
        if at is None or len(found) > limit:
            return _cut(found, limit)
    return found, at


def _cut(found: list[Position], limit: int) -> tuple[list[Position], Position | None]:
    return found[:limit], found[limit] if len(found) > limit else None


def views_at(connection: Connection, workspace_id: str, found: Sequence[Position]) -> list[KeyView]:
    """The keys at these positions, with all that belongs to them."""
    ids = [position.key_id for position in found]
    return keys_store.views(connection, keys_store.keys_of(connection, workspace_id, ids))


@dataclass(frozen=True, slots=True)
class _Way:
    """Rows in an order: by `rank`, where there is one, and `id_`; only those that rank `below`, where that is set."""

    question: Select[Any]
    rank: ColumnElement[Any] | None
    id_: ColumnElement[str]
    descending: bool
    below: int | None = None

    def rows(self, connection: Connection, start: Position | None, limit: int) -> list[Position]:
        """Up to `limit` rows from `start` on."""
        found: list[Position] = []
        for part in self.parts(start):
            if len(found) < limit:
                rows = connection.execute(part.limit(limit - len(found)))
                found += [Position(None if self.rank is None else row.rank, row.id) for row in rows]
        return found

    def parts(self, start: Position | None) -> list[Select[Any]]:
        """What there is from `start` on, in order; what ties with it is a part of its own.

        An index answers each without reading what lies before.
        """
        if self.rank is None:
            whole = self.question.order_by(self._directed(self.id_))
            return [whole if start is None else whole.where(self._further(start))]
        whole = self.question.order_by(self._directed(self.rank), self._directed(self.id_))
        under = whole if self.below is None else whole.where(self.rank < self.below)
        outside = start is not None and self.below is not None and start.value >= self.below  # type: ignore[operator]
        if start is None or (outside and self.descending):
            return [under]
        if outside:
            return []
        tied = self.question.where(self.rank == start.value, self._further(start))
        # each with one range, as SQLite looks up by one of several and goes through what the others leave
        beyond = (
            whole.where(self.rank < start.value) if self.descending else under.where(self.rank > start.value)
        )
        return [tied.order_by(self._directed(self.id_)), beyond]

    def _further(self, start: Position) -> ColumnElement[bool]:
        return self.id_ <= start.key_id if self.descending else self.id_ >= start.key_id

    def _directed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if self.descending else column


def _everything(wanted: Wanted) -> _Way:
    """Every key there is to list, where nothing but what a walk goes by is asked for."""
    rank, id_ = _ORDERS[wanted.query.order]
    conditions = _conditions(wanted, wanted.walked_by)
    question = _matching(wanted, {by: conditions[by] for by in conditions if by != wanted.bounded_by})
    return _Way(question, rank, id_, wanted.query.descending, wanted.bound)


def _walked(
    connection: Connection, wanted: Wanted, start: Position | None, step: int, limit: int
) -> tuple[list[Position], Position | None]:
    """Up to `limit` that match among the next `step` keys in order, and where those end, if there are more."""
    found: list[Position] = []
    for part in _unfiltered(wanted).parts(start):
        matching = _matching_of(wanted, part.limit(step).subquery())
        found += matching.rows(connection, None, limit - len(found))
        if len(found) == limit:
            return found, found[-1]
        beyond = connection.execute(part.offset(step).limit(1)).first()
        if beyond is not None:
            return found, Position(getattr(beyond, "rank", None), beyond.id)
    return found, None


def _unfiltered(wanted: Wanted) -> _Way:
    """What a walk goes by, whether it matches or not, with all that the same rows say of it."""
    rank, id_ = _ORDERS[wanted.query.order]
    conditions = _conditions(wanted, wanted.walked_by)
    walked_by = wanted.walked_by & conditions.keys() - {wanted.bounded_by}
    question = _USES if wanted.query.order == "lastUsedAt" else _KEYS
    if rank is not None:
        question = question.add_columns(rank.label("rank"))
    question = question.where(*(conditions[by] for by in sorted(walked_by)))
    return _Way(question, rank, id_, wanted.query.descending, wanted.bound)


_USES: Select[Any] = select(key_uses.c.key_id.label("id"), key_uses.c.used_at_ms)
_KEYS: Select[Any] = select(
    keys.c.id,
    keys.c.workspace_id,
    keys.c.keyspace_id,
    keys.c.identity_id,
    keys.c.enabled,
    keys.c.name_order,
    keys.c.expiry_order,
).where(keys.c.deleted_at_ms.is_(None))


def _matching_of(wanted: Wanted, rows: Subquery) -> _Way:
    """Those of some rows of `_USES` or `_KEYS` that match in all, to be sorted."""
    of, order = rows.c, wanted.query.order
    by_use = "used_at_ms" in of
    named: ColumnElement[str]
    if by_use:
        columns, named = replace(_STORED, id=of.id, used_at_ms=of.used_at_ms), keys.c.name_order
    else:
        stored = (of.workspace_id, of.keyspace_id, of.identity_id, of.enabled, of.expiry_order)
        columns, named = _Columns(of.id, *stored, key_uses.c.used_at_ms), of.name_order
    rank = {"name": named, "expires": columns.expiry, "lastUsedAt": columns.used_at_ms}.get(order)
    conditions = _conditions(wanted, set(), columns)
    question: Select[Any] = select(of.id) if rank is None else select(of.id, rank.label("rank"))
    question = question.where(*conditions.values(), _live(wanted, columns))
    if by_use:
        question = question.where(keys.c.id == of.id, keys.c.deleted_at_ms.is_(None))
    elif _USE in conditions or order == "lastUsedAt":
        question = question.where(key_uses.c.key_id == of.id)
    if _TEXT in conditions:
        question = question.where(key_texts.c.key_id == of.id)
    return _Way(question, rank, of.id, wanted.query.descending)


def _few(connection: Connection, wanted: Wanted, effort: Effort) -> _Way | None:
    """What matches in all, sorted, where a filter lets few keys pass; `None` when there is no such filter."""
    most = effort.few
    if wanted.among is not None and len(wanted.among) <= most:
        return _sorted(wanted, _AMONG, wanted.among)
    found = wanted.text and directory_store.look_up(connection, wanted.workspace_id, wanted.text, effort.rare)
    if found and found.rare:
        ids = list(connection.scalars(found.key_ids.limit(most + 1)))
        if len(ids) <= most:
            return _sorted(wanted, _TEXT, ids)
    for sieve in _sieves(wanted):
        if connection.execute(sieve.offset(most).limit(1)).first() is None:
            return _matching_of(wanted, sieve.limit(most).subquery())
    return None


def _sorted(wanted: Wanted, by: str, ids: Sequence[str]) -> _Way:
    """Those of the keys, which pass the filter `by`, that match in all."""
    rank = _ORDERS[wanted.query.order][0]
    others = {name: other for name, other in _conditions(wanted, set()).items() if name != by}
    among = _matching(wanted, others).where(keys.c.id.in_(_listed(ids)))
    # the limit keeps SQLite from walking all keys in the order that is asked for
    passed = among.limit(len(ids)).subquery()
    return _Way(select(passed), None if rank is None else passed.c.rank, passed.c.id, wanted.query.descending)


def _sieves(wanted: Wanted) -> Iterator[Select[Any]]:
    """For each filter that has an index of its own and is not what the walk goes by: what passes it."""
    conditions = _conditions(wanted, _SIEVES)
    for name in sorted(_SIEVES & conditions.keys() - wanted.walked_by):
        if name == _USE:
            mine = _USES.where(key_uses.c.workspace_id == wanted.workspace_id)
            yield mine.where(conditions[name]).order_by(key_uses.c.used_at_ms)
            continue
        alone = name in (_IDENTITY, _API)  # in its index; in those of the others the workspace comes first
        owner = unindexed(keys.c.workspace_id) if alone else keys.c.workspace_id
        # in the order of the index, so that PostgreSQL reads it rather than all keys
        order = keys.c.expiry_order if name == _EXPIRY else keys.c.id
        yield _KEYS.where(owner == wanted.workspace_id, conditions[name]).order_by(order)


def _matching(wanted: Wanted, conditions: dict[str, ColumnElement[bool]]) -> Select[Any]:
    """The live keys of live APIs that meet the conditions, as `id` and `rank`."""
    rank, id_ = _ORDERS[wanted.query.order]
    question = select(id_.label("id")) if rank is None else select(id_.label("id"), rank.label("rank"))
    question = question.select_from(keys)
    if _USE in conditions or wanted.query.order == "lastUsedAt":
        question = question.join(key_uses, key_uses.c.key_id == keys.c.id)
    if _TEXT in conditions:
        question = question.join(key_texts, key_texts.c.key_id == keys.c.id)
    question = question.where(*conditions.values(), keys.c.deleted_at_ms.is_(None))
    return question.where(_live(wanted, _STORED))


def _live(wanted: Wanted, columns: _Columns) -> ColumnElement[bool]:
    """That the key's API was not deleted; no join: there is nothing to be gained from going by the APIs."""
    gone = select(apis.c.keyspace_id).where(apis.c.workspace_id == wanted.workspace_id)
    return columns.keyspace_id.not_in(gone.where(apis.c.deleted_at_ms.is_not(None)))


def _conditions(
    wanted: Wanted, indexed: set[str], columns: _Columns = _STORED
) -> dict[str, ColumnElement[bool]]:
    """What must hold, by the name of the filter; SQLite looks up by those in `indexed` alone."""

    def of(name: str, column: ColumnElement[Any]) -> Any:
        return column if name in indexed else unindexed(column)

    query = wanted.query
    by_use = query.order == "lastUsedAt" and columns is _STORED
    owner = key_uses.c.workspace_id if by_use else columns.workspace_id
    found = {_WORKSPACE: of(_WORKSPACE, owner) == wanted.workspace_id}
    if wanted.keyspace_id is not None:
        found[_API] = of(_API, columns.keyspace_id) == wanted.keyspace_id
    if wanted.identity_id is not None:
        found[_IDENTITY] = of(_IDENTITY, columns.identity_id) == wanted.identity_id
    if query.enabled is not None:
        found[_ENABLED] = of(_ENABLED, columns.enabled) == query.enabled
    if query.expires_before_ms is not None:
        found[_EXPIRY] = of(_EXPIRY, columns.expiry) < query.expires_before_ms
    if query.unused_since_ms is not None:
        found[_USE] = of(_USE, columns.used_at_ms) < query.unused_since_ms
    if wanted.text:
        # not the column itself: PostgreSQL would look it up in the trigrams rather than in few rows
        found[_TEXT] = search.holds(key_texts.c.text.concat(""), wanted.text)
    if wanted.among is not None:
        found[_AMONG] = columns.id.in_(_listed(wanted.among))
    return found


def _listed(ids: Sequence[str]) -> Select[str]:
    """Many ids as one parameter."""
    members = func.json_each(bindparam(None, dict.fromkeys(ids, 1), type_=JSON)).table_valued("key", "value")
    return select(members.c.key)
