"""Writing, reading and checking the audit log."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    RowMapping,
    Text,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    type_coerce,
)

from latchwork.domains.audit.records import Break, Checked, Entry, Filter, Row, Seal
from latchwork.domains.audit.rules import GENESIS, link, terms
from latchwork.domains.audit.tables import audit_heads, audit_log, audit_terms
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql.schema import Words
from latchwork.kernel.sql.statements import OF, unindexed, updating

_CHUNK = 1_000
_SORTED = 10_000  # rows of a span of time, at most: with more of them the log is walked in its order
_Term = tuple[int, str]  # the number of its row, and itself
_NOTHING: Mapping[int, Collection[str]] = {}
_ADD = insert(audit_log)
_HEAD = (
    select(audit_heads.c.seq, audit_heads.c.digest)
    .where(audit_heads.c.workspace_id == bindparam("workspace_id"))
    .with_for_update()
)
_MOVE = updating(audit_heads.c.workspace_id, ("seq", "digest"))

_KEPT = select(audit_terms.c.seq, audit_terms.c.term).where(
    audit_terms.c.workspace_id == bindparam("workspace_id"),
    audit_terms.c.term.in_(bindparam("terms", expanding=True)),
    audit_terms.c.seq.between(bindparam("first"), bindparam("last")),
)
# Term by term: for many at once PostgreSQL would go through all terms of the workspace.
_KEPT_ON_POSTGRES = text(
    "SELECT kept.seq, wanted.term FROM unnest(:terms) AS wanted(term), LATERAL (SELECT seq FROM audit_terms"
    " WHERE workspace_id = :workspace_id AND audit_terms.term = wanted.term"
    " AND seq BETWEEN :first AND :last OFFSET 0) AS kept"
).bindparams(bindparam("terms", type_=ARRAY(Text)))


def record(connection: Connection, who: Principal, now_ms: int, *entries: Entry) -> None:
    """Append `entries` to the chain of the caller's workspace, in the caller's unit of work."""
    seq, digest = _head(connection, who.workspace_id)
    rows: list[dict[str, Any]] = []
    for entry in entries:
        row = _row(who, now_ms, entry, seq + len(rows) + 1)
        row["previous_digest"], digest = digest, link(digest, row)
        row["digest"] = digest
        rows.append(row)
    connection.execute(_ADD, rows)
    who.trail.extend(entry.event for entry in entries)
    _move_head(connection, who.workspace_id, seq, seq + len(rows), digest)


def _head(connection: Connection, workspace_id: str) -> tuple[int, bytes]:
    found = connection.execute(_HEAD, {"workspace_id": workspace_id}).one_or_none()
    return (0, GENESIS) if found is None else (found.seq, found.digest)


def _move_head(connection: Connection, workspace_id: str, old: int, new: int, digest: bytes) -> None:
    if old == 0:
        connection.execute(insert(audit_heads).values(workspace_id=workspace_id, seq=new, digest=digest))
        return
    connection.execute(_MOVE, {OF: workspace_id, "seq": new, "digest": digest})


def _row(who: Principal, now_ms: int, entry: Entry, seq: int) -> dict[str, Any]:
    return {
        "workspace_id": who.workspace_id,
        "seq": seq,
        "id": new_id("log"),
        "time_ms": now_ms,
        "event": entry.event,
        "display": entry.display,
        "actor": {"type": who.subject_type, "id": who.subject_id, "name": who.subject_name},
        "remote_ip": who.remote_ip,
        "user_agent": who.user_agent,
        "correlation_id": who.request_id,
        "resources": [resource.wire() for resource in entry.resources],
    }


def page(connection: Connection, workspace_id: str, wanted: Filter, *, cursor: str, limit: int) -> list[Row]:
    """Up to `limit` rows, the newest first, from the row with id `cursor` on."""
    log, seq = audit_log.c, audit_log.c.seq
    way = _way(connection, workspace_id, wanted)
    question = select(audit_log).where(log.workspace_id == workspace_id, *_conditions(wanted, way))
    if way == "term":
        seq = audit_terms.c.seq
        question = question.join(
            audit_terms, (audit_terms.c.workspace_id == log.workspace_id) & (seq == log.seq)
        )
        question = question.where(
            audit_terms.c.workspace_id == workspace_id, audit_terms.c.term == _term(wanted)
        )
    if cursor:
        from_seq = (
            select(audit_log.c.seq)
            .where(audit_log.c.workspace_id == workspace_id)
            .where(audit_log.c.id == cursor)
            .scalar_subquery()
        )
        question = question.where(seq <= from_seq)
    # a sum is no column of an index: what has been looked up is sorted
    order = seq + 0 if way in _TO_SORT else seq
    rows = connection.execute(question.order_by(order.desc()).limit(limit))
    return [
        Row(
            id=row.id,
            seq=row.seq,
            time_ms=row.time_ms,
            event=row.event,
            display=row.display,
            actor=row.actor,
            remote_ip=row.remote_ip,
            user_agent=row.user_agent,
            correlation_id=row.correlation_id,
            resources=row.resources,
        )
        for row in rows
    ]


_Way = Literal["correlation", "time", "term", "event", "events", "seq"]
_TO_SORT: tuple[_Way, ...] = ("correlation", "time", "events")


def _way(connection: Connection, workspace_id: str, wanted: Filter) -> _Way:
    """The index to go by: one that leaves few rows to sort, else one that has the rows in order."""
    if wanted.correlation_id is not None:
        return "correlation"
    span = Filter(start_ms=wanted.start_ms, end_ms=wanted.end_ms)
    if wanted.start_ms is not None and _are_few(connection, workspace_id, span, "time"):
        return "time"
    if _term(wanted) is not None:
        return "term"
    if len(wanted.events) == 1 and not wanted.events[0].endswith(".*"):
        return "event"
    named = Filter(events=wanted.events)
    return "events" if named.events and _are_few(connection, workspace_id, named, "events") else "seq"


def _are_few(connection: Connection, workspace_id: str, wanted: Filter, way: _Way) -> bool:
    """Whether so few rows pass that they can be sorted."""
    found = select(audit_log.c.seq).where(audit_log.c.workspace_id == workspace_id, *_conditions(wanted, way))
    # in the order of the index, so that PostgreSQL reads it rather than the log
    order = audit_log.c.time_ms if way == "time" else audit_log.c.event
    return connection.execute(found.order_by(order).offset(_SORTED).limit(1)).first() is None


def _conditions(wanted: Filter, way: _Way) -> list[ColumnElement[bool]]:
    """What must hold; SQLite, which does not know how many rows pass, looks up by the way that is taken alone."""
    log = audit_log.c
    event = log.event if way in ("event", "events") else unindexed(log.event)
    time_ms = log.time_ms if way == "time" else unindexed(log.time_ms)
    found: list[ColumnElement[bool]] = []
    if wanted.events:
        found.append(or_(*(_named(event, name) for name in wanted.events)))
    if wanted.actor_id is not None:
        found.append(_holds(log.actor, {"id": wanted.actor_id}))
    about = {"type": wanted.resource_type, "id": wanted.resource_id}
    given = {name: value for name, value in about.items() if value is not None}
    if given:
        found.append(_holds(log.resources, given))
    if wanted.correlation_id is not None:
        found.append(log.correlation_id == wanted.correlation_id)
    if wanted.since_ms:
        found.append(unindexed(log.time_ms) >= wanted.since_ms)
    if wanted.start_ms is not None:
        found.append(time_ms >= wanted.start_ms)
    if wanted.end_ms is not None:
        found.append(time_ms < wanted.end_ms)
    return found


def _term(wanted: Filter) -> str | None:
    """What a row must be known by, of several the one that is the rarest as a rule."""
    named = {"id": wanted.resource_id, "actor": wanted.actor_id, "type": wanted.resource_type}
    return next((f"{kind}:{value}" for kind, value in named.items() if value is not None), None)


def _named(column: ColumnElement[Any], event: str) -> ColumnElement[bool]:
    if not event.endswith(".*"):
        return column == event
    head = event.removesuffix("*")
    return and_(column >= head, column < head[:-1] + "/")  # which comes next after the dot


def _holds(column: ColumnElement[Any], members: dict[str, str]) -> ColumnElement[bool]:
    """Whether the JSON holds these members side by side; within a value its quotes would be escaped.

    Looked for by taking it out, which both databases do alike, and letter by letter.
    """
    json = type_coerce(column, Words)
    return func.replace(json, msgspec.json.encode(members)[1:-1].decode(), "") != json


def heads(connection: Connection, now_ms: int) -> list[Seal]:
    """Where every chain ends now."""
    rows = connection.execute(select(audit_heads).order_by(audit_heads.c.workspace_id))
    return [Seal(row.workspace_id, row.seq, row.digest.hex(), now_ms) for row in rows]


def digests(connection: Connection, workspace_id: str, rows: Sequence[int]) -> dict[int, str]:
    """The digests, in hex, of those of these rows that there are."""
    found: dict[int, str] = {}
    for start in range(0, len(rows), _CHUNK):
        some = audit_log.c.seq.in_(rows[start : start + _CHUNK])
        question = select(audit_log.c.seq, audit_log.c.digest).where(
            audit_log.c.workspace_id == workspace_id, some
        )
        found |= {row.seq: row.digest.hex() for row in connection.execute(question)}
    return found


def first_break(
    connection: Connection, workspace_id: str, sealed: Mapping[int, Collection[str]] = _NOTHING
) -> Break | None:
    """The first row that was changed, removed, inserted or reordered; `None` when the chain holds."""
    return checked(connection, workspace_id, sealed).broken


def checked(
    connection: Connection, workspace_id: str, sealed: Mapping[int, Collection[str]] = _NOTHING
) -> Checked:
    """The chain of a workspace gone through from its first row to its head, and what its rows are found by.

    `sealed` are digests of rows, in hex, that were noted outside of the database: a log that was written anew, or
    cut off together with its head, does not hold them. One that was sealed after that too has two for one row.
    """
    seq, digest, count = 0, GENESIS, 0
    for rows in _chunks(connection, workspace_id):
        chained, reason = _chained(rows, seq, digest, sealed)
        said = {(row["seq"], term) for row in chained for term in terms(row)}
        if wrong := said ^ _kept(connection, workspace_id, said):
            row = chained[min(wrong)[0] - seq - 1]
            broken = Break(row["seq"], f"row {row['seq']} is not found by what it says")
            return Checked(workspace_id, row["seq"] - 1, row["previous_digest"].hex(), broken)
        if chained:
            seq, digest, count = chained[-1]["seq"], chained[-1]["digest"], count + len(said)
        if reason is not None:
            return Checked(workspace_id, seq, digest.hex(), Break(seq + 1, reason))
    ending = _end_break(connection, workspace_id, seq, digest, sealed)
    return Checked(
        workspace_id, seq, digest.hex(), ending or _stray_break(connection, workspace_id, seq, count)
    )


def _chained(
    rows: Sequence[RowMapping], seq: int, digest: bytes, sealed: Mapping[int, Collection[str]]
) -> tuple[list[RowMapping], str | None]:
    """Those at the beginning that follow the row `seq` with `digest`, and why the one after them does not."""
    chained: list[RowMapping] = []
    for row in rows:
        seq += 1
        if row["seq"] != seq:
            return chained, f"row {seq} is missing"
        if row["previous_digest"] != digest or row["digest"] != link(digest, dict(row)):
            return chained, f"row {seq} does not match its digest"
        digest = row["digest"]
        if any(each != digest.hex() for each in sealed.get(seq, ())):
            return chained, f"row {seq} is not the one that was sealed"
        chained.append(row)
    return chained, None


def _kept(connection: Connection, workspace_id: str, said: Collection[_Term]) -> set[_Term]:
    """All that is kept of these terms for these rows."""
    found: set[_Term] = set()
    if not said:
        return found
    wanted = sorted({term for _, term in said})
    first, last = min(said)[0], max(said)[0]
    question = _KEPT_ON_POSTGRES if connection.dialect.name == "postgresql" else _KEPT
    for start in range(0, len(wanted), _CHUNK):
        given = {"workspace_id": workspace_id, "terms": wanted[start : start + _CHUNK]}
        rows = connection.execute(question, given | {"first": first, "last": last})
        found.update([(seq, term) for seq, term in rows.all()])
    return found


def _stray_break(connection: Connection, workspace_id: str, seq: int, count: int) -> Break | None:
    """The first row up to `seq` with terms that none beside it says either, where there are more than `count`."""
    kept = audit_terms.c
    mine = (kept.workspace_id == workspace_id) & kept.seq.between(1, seq)
    if connection.scalar(select(func.count()).select_from(audit_terms).where(mine)) == count:
        return None
    counts = select(kept.seq, func.count()).where(mine).group_by(kept.seq)
    by_row = {row.seq: row[1] for row in connection.execute(counts)}
    strays = (
        row["seq"]
        for rows in _chunks(connection, workspace_id)
        for row in rows
        if by_row.get(row["seq"], 0) != len(terms(row))
    )
    first = next(strays, seq)
    return Break(first, f"row {first} is found by what it does not say")


def _end_break(
    connection: Connection, workspace_id: str, seq: int, digest: bytes, sealed: Mapping[int, Collection[str]]
) -> Break | None:
    head_seq, head_digest = _head(connection, workspace_id)
    if (head_seq, head_digest) != (seq, digest):
        return Break(seq + 1, f"the log ends at row {seq}, its head says {head_seq}")
    last = max(sealed, default=0)
    return Break(seq + 1, f"the log ends at row {seq}, row {last} was sealed") if last > seq else None


def _chunks(connection: Connection, workspace_id: str) -> Iterator[Sequence[RowMapping]]:
    """Every row in order, some at a time."""
    question = select(audit_log).where(audit_log.c.workspace_id == workspace_id).order_by(audit_log.c.seq)
    rows = connection.execute(question.limit(_CHUNK)).mappings().all()
    while rows:
        yield rows
        after = question.where(audit_log.c.seq > rows[-1]["seq"])
        rows = connection.execute(after.limit(_CHUNK)).mappings().all()
