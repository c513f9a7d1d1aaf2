"""The queries of lists.

Two ways lead to a page. Where one of the filters lets few keys pass, those are read, filtered by the others
and sorted. Where all of them let many pass, the keys are walked in order until the page is full, which is
soon, unless what is wanted lies together and far away; then all that pass one filter are sorted after all.
Which way to go cannot be left to the databases: SQLite does not know how many pass, and PostgreSQL does not
know what lies where. So each question is one that can be answered in one way only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, bindparam, func, select

from latchwork.domains.directory import store as directory_store
from latchwork.domains.directory.tables import key_texts, key_uses
from latchwork.domains.identities import store as identities_store
from latchwork.domains.key_lists.records import KeyQuery, Position
from latchwork.domains.key_lists.rules import digest_in
from latchwork.domains.keys import KeyView
from latchwork.domains.keys import store as keys_store
from latchwork.domains.keys.tables import EXPIRY_ORDER, NAME_ORDER, apis, keys
from latchwork.kernel.sql import search
from latchwork.kernel.sql.statements import unindexed

_WORKSPACE, _API, _IDENTITY, _ENABLED = "workspace", "api", "identity", "enabled"
_EXPIRY, _USE, _TEXT, _AMONG = "expiry", "use", "text", "among"
_SIEVES = {_API, _ENABLED, _EXPIRY, _IDENTITY, _USE}
"""The filters that have an index of their own."""

_ORDERS: dict[str, tuple[ColumnElement[Any] | None, ColumnElement[str]]] = {
    "createdAt": (None, keys.c.id),
    "name": (NAME_ORDER, keys.c.id),
    "expires": (EXPIRY_ORDER, keys.c.id),
    "lastUsedAt": (key_uses.c.used_at_ms, key_uses.c.key_id),
}
"""What keys are ranked by, and the id that decides between equals."""


# A plan for any values would not know how many keys have them; and what is read here are always few rows of
# large tables, by their indexes.
_OF_POSTGRES = {"plan_cache_mode": "force_custom_plan", "enable_hashjoin": "off", "enable_mergejoin": "off"}


@dataclass(frozen=True, slots=True)
class Effort:
    """How many keys are read for a page: `few` are sorted; else so many are walked, in steps; else `many` sorted.

    Beyond that as many are sorted as it takes.
    """

    few: int = 2_000
    steps: tuple[int, ...] = (500, 2_000, 7_500)
    many: int = 50_000


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
    def walked_by(self) -> set[str]:
        """The filters whose index has the keys in the order that is asked for."""
        if self.query.order != "createdAt":
            return {_WORKSPACE, *{"expires": {_EXPIRY}, "lastUsedAt": {_USE}}.get(self.query.order, set())}
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


def positions(
    connection: Connection, wanted: Wanted, start: Position | None, limit: int, effort: Effort
) -> list[Position]:
    """Up to `limit` positions in the list from `start` on."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(*(func.set_config(*item, True) for item in _OF_POSTGRES.items())))
    if _conditions(wanted, set()).keys() <= wanted.walked_by | {_WORKSPACE}:
        return _everything(wanted).rows(connection, start, limit)
    if (few := _few(connection, wanted, effort.few)) is not None:
        return _sorted(wanted, few).rows(connection, start, limit)
    if (near := _near(connection, wanted, start, limit, effort.steps)) is not None:
        return near
    many = _few(connection, wanted, effort.many, scan=True) or _few(connection, wanted, None, scan=True)
    assert many is not None, "there is a filter, and so there are keys that pass it"
    return _sorted(wanted, many).rows(connection, start, limit)


def views_at(connection: Connection, workspace_id: str, found: Sequence[Position]) -> list[KeyView]:
    """The keys at these positions, with all that belongs to them."""
    ids = [position.key_id for position in found]
    return keys_store.views(connection, keys_store.keys_of(connection, workspace_id, ids))


@dataclass(frozen=True, slots=True)
class _Way:
    """Rows in an order: by `rank`, where there is one, and `id_`."""

    question: Select[Any]
    rank: ColumnElement[Any] | None
    id_: ColumnElement[str]
    descending: bool

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
        columns = [self.id_] if self.rank is None else [self.rank, self.id_]
        whole = self.question.order_by(*(self._directed(column) for column in columns))
        if start is None:
            return [whole]
        further = self.id_ <= start.key_id if self.descending else self.id_ >= start.key_id
        tied = self.question.where(further).order_by(self._directed(self.id_))
        if self.rank is None:
            return [tied]
        beyond = self.rank < start.value if self.descending else self.rank > start.value
        return [tied.where(self.rank == start.value), whole.where(beyond)]

    def _directed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if self.descending else column


def _everything(wanted: Wanted) -> _Way:
    """Every key there is to list, where nothing but what a walk goes by is asked for."""
    rank, id_ = _ORDERS[wanted.query.order]
    question = _matching(wanted, _conditions(wanted, wanted.walked_by))
    return _Way(question, rank, id_, wanted.query.descending)


def _near(
    connection: Connection, wanted: Wanted, start: Position | None, limit: int, steps: tuple[int, ...]
) -> list[Position] | None:
    """The page, if the next keys in order fill it, or are the last; `None` when they do not."""
    found: list[Position] = []
    for part in _unfiltered(wanted).parts(start):
        walked = 0
        for step in steps:
            ids = part.offset(walked).limit(step).subquery()
            matching = _sorted(wanted, _Passed("", select(ids.c.id), step))
            found += matching.rows(connection, None, limit - len(found))
            walked += step
            if len(found) == limit or connection.execute(part.offset(walked).limit(1)).first() is None:
                break
        else:
            return None
        if len(found) == limit:
            break
    return found


def _unfiltered(wanted: Wanted) -> _Way:
    """What a walk goes by, whether it matches or not."""
    rank, id_ = _ORDERS[wanted.query.order]
    columns = [id_.label("id")] if rank is None else [id_.label("id"), rank.label("rank")]
    conditions = _conditions(wanted, wanted.walked_by)
    question = select(*columns).where(
        *(conditions[by] for by in sorted(wanted.walked_by & conditions.keys()))
    )
    if wanted.query.order != "lastUsedAt":
        question = question.where(keys.c.deleted_at_ms.is_(None))
    return _Way(question, rank, id_, wanted.query.descending)


@dataclass(frozen=True, slots=True)
class _Passed:
    """Keys that pass one filter, at most so many."""

    by: str
    ids: Select[str]
    most: int


def _sorted(wanted: Wanted, few: _Passed) -> _Way:
    """Those of the keys that match in all, to be sorted."""
    rank = _ORDERS[wanted.query.order][0]
    others = {name: other for name, other in _conditions(wanted, set()).items() if name != few.by}
    among = _matching(wanted, others).where(keys.c.id.in_(few.ids))
    # the limit keeps SQLite from walking all keys in the order that is asked for
    passed = among.limit(few.most).subquery()
    return _Way(select(passed), None if rank is None else passed.c.rank, passed.c.id, wanted.query.descending)


def _few(connection: Connection, wanted: Wanted, most: int | None, *, scan: bool = False) -> _Passed | None:
    """The keys that pass a filter which lets up to `most` pass; `None` when there is no such filter.

    Texts are looked up in an index of trigrams; only with `scan` all of them are read where that cannot be.
    """
    if wanted.among is not None and (most is None or len(wanted.among) <= most):
        return _Passed(_AMONG, _listed(wanted.among), len(wanted.among))
    for name, sieve in _sieves(connection, wanted, scan):
        ids = list(connection.scalars(sieve if most is None else sieve.limit(most + 1)))
        if most is None or len(ids) <= most:
            return _Passed(name, _listed(ids), len(ids))
    return None


def _sieves(connection: Connection, wanted: Wanted, scan: bool) -> Iterator[tuple[str, Select[str]]]:
    """For each filter that has an index of its own and is not what the walk goes by: the ids that pass it."""
    if wanted.text and (scan or directory_store.can_look_up(connection, wanted.text)):
        yield _TEXT, directory_store.holding(connection, wanted.workspace_id, wanted.text)
    conditions = _conditions(wanted, _SIEVES)
    for name in sorted(_SIEVES & conditions.keys() - wanted.walked_by):
        if name == _USE:
            mine = select(key_uses.c.key_id).where(key_uses.c.workspace_id == wanted.workspace_id)
            yield name, mine.where(conditions[name]).order_by(key_uses.c.used_at_ms)
            continue
        alone = name in (_IDENTITY, _API)  # in its index; in those of the others the workspace comes first
        owner = unindexed(keys.c.workspace_id) if alone else keys.c.workspace_id
        live = select(keys.c.id).where(owner == wanted.workspace_id, keys.c.deleted_at_ms.is_(None))
        # in the order of the index, so that PostgreSQL reads it rather than all keys
        order = EXPIRY_ORDER if name == _EXPIRY else keys.c.id
        yield name, live.where(conditions[name]).order_by(order)


def _matching(wanted: Wanted, conditions: dict[str, ColumnElement[bool]]) -> Select[Any]:
    """The live keys of live APIs that meet the conditions, as `id` and `rank`."""
    rank, id_ = _ORDERS[wanted.query.order]
    question = select(id_.label("id")) if rank is None else select(id_.label("id"), rank.label("rank"))
    question = question.select_from(keys)
    if _USE in conditions or wanted.query.order == "lastUsedAt":
        question = question.join(key_uses, key_uses.c.key_id == keys.c.id)
    if _TEXT in conditions:
        question = question.join(key_texts, key_texts.c.key_id == keys.c.id)
    # no join: there is nothing to be gained from going by the APIs
    gone = select(apis.c.keyspace_id).where(apis.c.workspace_id == wanted.workspace_id)
    gone = gone.where(apis.c.deleted_at_ms.is_not(None))
    live = (keys.c.deleted_at_ms.is_(None), keys.c.keyspace_id.not_in(gone))
    return question.where(*conditions.values(), *live)


def _conditions(wanted: Wanted, indexed: set[str]) -> dict[str, ColumnElement[bool]]:
    """What must hold, by the name of the filter; SQLite looks up by those in `indexed` alone."""

    def of(name: str, column: ColumnElement[Any]) -> Any:
        return column if name in indexed else unindexed(column)

    query = wanted.query
    owner = key_uses.c.workspace_id if query.order == "lastUsedAt" else keys.c.workspace_id
    found = {_WORKSPACE: of(_WORKSPACE, owner) == wanted.workspace_id}
    if wanted.keyspace_id is not None:
        found[_API] = of(_API, keys.c.keyspace_id) == wanted.keyspace_id
    if wanted.identity_id is not None:
        found[_IDENTITY] = of(_IDENTITY, keys.c.identity_id) == wanted.identity_id
    if query.enabled is not None:
        found[_ENABLED] = of(_ENABLED, keys.c.enabled) == query.enabled
    if query.expires_before_ms is not None:
        found[_EXPIRY] = of(_EXPIRY, EXPIRY_ORDER) < query.expires_before_ms
    if query.unused_since_ms is not None:
        found[_USE] = of(_USE, key_uses.c.used_at_ms) < query.unused_since_ms
    if wanted.text:
        found[_TEXT] = search.holds(key_texts.c.text, wanted.text)
    if wanted.among is not None:
        found[_AMONG] = keys.c.id.in_(_listed(wanted.among))
    return found


def _listed(ids: Sequence[str]) -> Select[str]:
    """Many ids as one parameter."""
    members = func.json_each(bindparam(None, dict.fromkeys(ids, 1), type_=JSON)).table_valued("key", "value")
    return select(members.c.key)
