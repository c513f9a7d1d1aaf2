"""The identities' queries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, Row, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from latchwork.domains.credits import Balance
from latchwork.domains.credits import store as credits_store
from latchwork.domains.identities.faults import IdentityAlreadyExists
from latchwork.domains.identities.records import Identity
from latchwork.domains.identities.tables import identities
from latchwork.domains.ratelimits import LimitRule
from latchwork.domains.ratelimits.store import rules_of
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql import search as searching

_FEW = 5_000  # candidates that are looked at one by one; more of them are met soon by going through all


def add(connection: Connection, identity: Identity, now_ms: int) -> None:
    """Insert an identity; raises `IdentityAlreadyExists`."""
    if find(connection, identity.workspace_id, identity.external_id, by_id=False) is not None:
        raise IdentityAlreadyExists(identity.external_id)
    row = insert(identities).values(
        id=identity.id,
        workspace_id=identity.workspace_id,
        external_id=identity.external_id,
        meta=identity.meta,
        created_at_ms=now_ms,
    )
    try:
        with connection.begin_nested():
            connection.execute(row)
    except IntegrityError as error:
        raise IdentityAlreadyExists(identity.external_id) from error


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
    matches = identities.c.external_id == name
    if by_id:
        matches = or_(matches, identities.c.id == name)
    rows = connection.execute(
        select(identities)
        .where(identities.c.workspace_id == workspace_id)
        .where(identities.c.deleted_at_ms.is_(None))
        .where(matches)
    ).all()
    if not rows:
        return None
    row = next((row for row in rows if row.id == name), rows[0])
    return _of(row, rules_of(connection, [row.id]), credits_store.find(connection, [row.id]))


def by_ids(connection: Connection, workspace_id: str, ids: Iterable[str]) -> dict[str, Identity]:
    """The live identities among `ids`, with their limits and stored credits."""
    wanted = list(set(ids))
    if not wanted:
        return {}
    rows: Any = connection.execute(
        select(identities)
        .where(identities.c.workspace_id == workspace_id)
        .where(identities.c.id.in_(wanted))
        .where(identities.c.deleted_at_ms.is_(None))
    ).all()
    limits, credits = rules_of(connection, wanted), credits_store.find(connection, wanted)
    return {row.id: _of(row, limits, credits) for row in rows}


def _of(row: Row[Any], limits: Mapping[str, Sequence[LimitRule]], credits: Mapping[str, Balance]) -> Identity:
    own = tuple(limits.get(row.id, ()))
    return Identity(row.id, row.workspace_id, row.external_id, row.meta, own, credits.get(row.id))


def page(
    connection: Connection, workspace_id: str, *, search: str, cursor: str, limit: int
) -> list[Identity]:
    """Up to `limit` live identities whose id or external id holds `search`, from id `cursor` on."""
    folded = searching.wanted(search)
    among = _candidates(connection, folded)
    question = (
        select(among.c.id)
        .where(among.c.workspace_id == workspace_id)
        .where(among.c.deleted_at_ms.is_(None))
        .where(among.c.id >= cursor)
    )
    if folded:
        question = question.where(searching.holds(among.c.search_text, folded))
    ids = list(connection.execute(question.order_by(among.c.id).limit(limit)).scalars())
    found = by_ids(connection, workspace_id, ids)
    return [found[id_] for id_ in ids]


def _candidates(connection: Connection, folded: str) -> FromClause:
    """Where to look for what holds `folded`: on SQLite, in what has its trigrams, if that is not too much.

    PostgreSQL chooses its index of trigrams by itself.
    """
    match = searching.trigrams(folded)
    if match is None or not _has_trigrams(connection):
        return identities
    rows = text("SELECT rowid FROM identity_search WHERE identity_search MATCH :match LIMIT :most")
    rows = rows.bindparams(match=match, most=_FEW + 1)
    if len(connection.execute(rows).all()) > _FEW:
        return identities
    # the limit keeps SQLite from going through all identities in the order that is asked for
    having = identities.c.search_row.in_(rows.columns(identities.c.search_row))
    return select(identities).where(having).limit(_FEW).subquery()


def _has_trigrams(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite" and searching.has_table(connection, "identity_search")


def change(connection: Connection, identity_id: str, values: Mapping[str, Any], now_ms: int) -> None:
    """Change columns of an identity."""
    changed = update(identities).where(identities.c.id == identity_id)
    connection.execute(changed.values(dict(values) | {"updated_at_ms": now_ms}))
