"""Queries of balances, their journal and holds.

A row's `remaining` is what is available plus what the journal holds that is not yet folded into it.
Functions that say *available* take the unfolded amount from the ledger, which keeps it from moving.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    LargeBinary,
    Row,
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

from latchwork.domains.credits import rules
from latchwork.domains.credits.records import Balance, Change, Hold, Refill, Refilled
from latchwork.domains.credits.tables import balances, holds, journal
from latchwork.kernel.sql.database import Database, Done
from latchwork.kernel.sql.lane import MARK
from latchwork.kernel.sql.statements import OF, among, updating

_BALANCES = select(balances).where(among(balances.c.subject_id))
_MINE = (
    balances.c.subject_id == bindparam("subject_id"),
    balances.c.workspace_id == bindparam("workspace_id"),
)
_MY_BALANCE = select(balances).where(*_MINE)
_REMAINING = select(balances.c.remaining).where(*_MINE)
_SET_REMAINING = updating(balances.c.subject_id, ("remaining",))
_METERED = (
    select(balances.c.subject_id)
    .where(among(balances.c.subject_id))
    .where(balances.c.workspace_id == bindparam("workspace_id"))
    .order_by(balances.c.subject_id)
)
_IS_DUE = balances.c.refill_due_at_ms <= bindparam("now_ms")
_DUE = (
    select(balances.c.subject_id)
    .where(_IS_DUE)
    .order_by(balances.c.refill_due_at_ms)
    .limit(bindparam("many"))
)
_DUES = select(balances.c.subject_id, balances.c.refill_due_at_ms).where(among(balances.c.subject_id))
_TO_REFILL = _BALANCES.where(_IS_DUE)
_SET_ASIDE = insert(holds)
_HOLD = select(holds).where(holds.c.id == bindparam("id"), holds.c.workspace_id == bindparam("workspace_id"))
_END_HOLD = delete(holds).where(
    holds.c.id == bindparam("id"), holds.c.workspace_id == bindparam("workspace_id")
)
_EXPIRED = (
    select(holds)
    .where(holds.c.expires_at_ms <= bindparam("now_ms"))
    .order_by(holds.c.expires_at_ms)
    .limit(bindparam("many"))
)
_NEXT_EXPIRY = select(func.min(holds.c.expires_at_ms))
_decode = msgspec.msgpack.Decoder(dict[str, int]).decode
_encode = msgspec.msgpack.Encoder().encode
_REPLAYED = 5_000  # subjects per statement: nobody waits beside a replay

# A number whose first attempt may or may not have arrived is written again with what holds now.
_JOURNAL = text(
    "INSERT INTO credit_journal (seq, spends) VALUES (:seq, :spends)"
    " ON CONFLICT (seq) DO UPDATE SET spends = excluded.spends"
).bindparams(bindparam("seq", type_=BigInteger), bindparam("spends", type_=LargeBinary))
_JOURNAL_ONCE = text(
    "INSERT INTO credit_journal (seq, spends) VALUES (:seq, :spends) ON CONFLICT (seq) DO NOTHING"
).bindparams(bindparam("seq", type_=BigInteger), bindparam("spends", type_=LargeBinary))

# One statement for many rows: a statement per row would hand the interpreter's lock over each time.
_spent = func.json_each(bindparam("spends", type_=JSON)).table_valued("key", "value", name="spent")
_SUBTRACT = (
    update(balances)
    .where(balances.c.subject_id == _spent.c.key)
    .values(remaining=balances.c.remaining - cast(cast(_spent.c.value, Text), BigInteger))
)


TAKE = f"""
WITH gate AS MATERIALIZED (
  SELECT pg_advisory_xact_lock_shared($6, bucket) FROM unnest($5::int[]) AS bucket
),
asked AS (SELECT * FROM unnest($3::text[], $4::bigint[]) AS asked(id, cost)),
found AS MATERIALIZED (
  SELECT balance.subject_id, balance.remaining, asked.cost
  FROM credit_balances AS balance JOIN asked ON balance.subject_id = asked.id
  WHERE (SELECT count(*) FROM gate) >= 0
  ORDER BY balance.subject_id FOR UPDATE OF balance
),
fits AS MATERIALIZED (SELECT coalesce(bool_and(remaining >= cost), true) AS all_do FROM found),
taken AS (
  UPDATE credit_balances AS balance SET remaining = balance.remaining - found.cost FROM found, fits
  WHERE fits.all_do AND found.cost > 0 AND balance.subject_id = found.subject_id
),
marked AS ({MARK} FROM fits WHERE lane = $2 AND fits.all_do)
SELECT subject_id, remaining, fits.all_do FROM fits LEFT JOIN found ON true
"""  # noqa: S608 - a constant
"""PostgreSQL: take all costs of `$4` from the subjects of `$3`, or none where one has too little.

Answers what each subject that has a balance had before, and whether it was taken. Takes the locks `$5` of class
`$6` first, shared, in that order, and then the rows in the order of their ids. A statement of a `Lane`.
"""
HOLD_OFF = "SELECT pg_advisory_lock($1, bucket) FROM unnest($2::int[]) AS bucket"
"""PostgreSQL: keep `TAKE` from going on where it needs these locks, until `LET_GO` or the connection's end."""
LET_GO = "SELECT pg_advisory_unlock_all()"


def find(connection: Connection, subject_ids: Iterable[str]) -> dict[str, Balance]:
    """The stored balances of those subjects that have one; `Ledger.remaining_of` makes them true."""
    rows = connection.execute(_BALANCES, {"among": list(subject_ids)})
    return {row.subject_id: Balance(row.remaining, _refill(row), row.refilled_at_ms) for row in rows}


def stored(connection: Connection, subject_id: str) -> int | None:
    """The stored remaining credits, waiting for whatever is still changing them; `None` if unlimited."""
    query = select(balances.c.remaining).where(balances.c.subject_id == subject_id)
    remaining: int | None = connection.execute(query.with_for_update()).scalar()
    return remaining


def open_balances(
    connection: Connection, workspace_id: str, opened: Mapping[str, Balance], now_ms: int
) -> None:
    """Give new subjects, at least one, their first balances; raises `BadRequest` when one is out of bounds."""
    rows = []
    for subject_id, wanted in opened.items():
        balance = rules.opened(wanted.remaining, wanted.refill)
        ids = {"subject_id": subject_id, "workspace_id": workspace_id}
        rows.append(ids | _columns(balance, 0) | {"refill_due_at_ms": _due(balance, now_ms)})
    connection.execute(insert(balances), rows)


def rewrite(
    connection: Connection, workspace_id: str, subject_id: str, unfolded: int, change: Change, now_ms: int
) -> Balance | None:
    """Apply `change` within `Ledger.rewriting`, which gave `unfolded`; answers what is available then.

    A refill that stays the same stays due when it was. The caller tells the ledger with `Ledger.put` once the
    unit is committed. Raises `BadRequest`.
    """
    ids = {"subject_id": subject_id, "workspace_id": workspace_id}
    row = connection.execute(_MY_BALANCE, ids).first()
    before = None if row is None else Balance(row.remaining - unfolded, _refill(row), row.refilled_at_ms)
    after = rules.changed(before, change)
    if after is None:
        connection.execute(delete(balances).where(*_MINE), ids)
        return None
    if before is not None:
        after = replace(after, refilled_ms=before.refilled_ms)
    values = _columns(after, unfolded)
    if before is None or before.refill != after.refill:
        values["refill_due_at_ms"] = _due(after, now_ms)
    if row is None:
        connection.execute(insert(balances), ids | values)
    else:
        connection.execute(updating(balances.c.subject_id, values), {OF: subject_id} | values)
    return after


def use_up(connection: Connection, subject_id: str, unfolded: int) -> None:
    """Within `Ledger.rewriting`, which gave `unfolded`: leave the subject nothing, and no refill either."""
    mine = balances.c.subject_id == subject_id
    connection.execute(update(balances).where(mine).values(remaining=unfolded, refill_due_at_ms=None))


def close_balances(connection: Connection, subject_ids: Sequence[str]) -> None:
    """Remove the balances of deleted subjects; their holds end at their time, for those who pay with them."""
    connection.execute(delete(balances).where(balances.c.subject_id.in_(subject_ids)))


def _columns(balance: Balance, unfolded: int) -> dict[str, int | None]:
    refill = balance.refill
    return {
        "remaining": balance.remaining + unfolded,
        "refill_amount": None if refill is None else refill.amount,
        "refill_day": None if refill is None else refill.day,
    }


def _due(balance: Balance, now_ms: int) -> int | None:
    return None if balance.refill is None else rules.next_refill_ms(balance.refill, now_ms)


def _refill(row: Row[Any]) -> Refill | None:
    if row.refill_amount is None:
        return None
    return Refill("daily" if row.refill_day is None else "monthly", row.refill_amount, row.refill_day)


# Refills


def due(connection: Connection, now_ms: int, limit: int) -> list[str]:
    """Subjects of every workspace whose refill is due, the longest waiting first."""
    return list(connection.scalars(_DUE, {"now_ms": now_ms, "many": limit}))


def dues(connection: Connection, subject_ids: Iterable[str]) -> dict[str, int]:
    """When those of the subjects that have a refill are due next."""
    rows = connection.execute(_DUES, {"among": list(subject_ids)})
    return {row.subject_id: row.refill_due_at_ms for row in rows if row.refill_due_at_ms is not None}


def stop_refills(connection: Connection, subject_ids: Sequence[str]) -> None:
    """Never refill these subjects again: they are deleted."""
    among = balances.c.subject_id.in_(subject_ids)
    connection.execute(update(balances).where(among).values(refill_due_at_ms=None))


def refill(connection: Connection, unfolded: Mapping[str, int], now_ms: int) -> list[Refilled]:
    """Raise to its refill's amount each balance that is due, and set when it is due next.

    Within `Ledger.rewriting` of all of them, which gave `unfolded`.
    """
    done = []
    for row in connection.execute(_TO_REFILL, {"among": list(unfolded), "now_ms": now_ms}).all():
        wanted = _refill(row)
        assert wanted is not None  # it has a time because it has an amount
        available = row.remaining - unfolded[row.subject_id]
        added = max(0, wanted.amount - available)
        done.append(Refilled(row.workspace_id, row.subject_id, added, available + added))
        values = {
            "remaining": row.remaining + added,
            "refill_due_at_ms": rules.next_refill_ms(wanted, now_ms),
        }
        if added:
            values["refilled_at_ms"] = now_ms
        connection.execute(updating(balances.c.subject_id, values), {OF: row.subject_id} | values)
    return done


# The journal


def journalling(database: Database) -> Callable[[int, Mapping[str, int], Done], None]:
    """A function that writes `spends` under a number, durably, and tells `done` on the event loop."""
    append = database.appender(_JOURNAL)

    def write(seq: int, spends: Mapping[str, int], done: Done) -> None:
        append((seq, _encode(spends)), done)

    return write


def fold(connection: Connection, seq: int, spends: Mapping[str, int]) -> None:
    """Move journalled spends into the rows; their negation is journalled as `seq`, so the sum stays true.

    Done once however often it is asked for under the same number.
    """
    negation = _encode({subject_id: -amount for subject_id, amount in spends.items()})
    if connection.execute(_JOURNAL_ONCE, {"seq": seq, "spends": negation}).rowcount:
        connection.execute(_SUBTRACT, {"spends": spends})


def drop(connection: Connection, up_to: int, also: Iterable[int]) -> None:
    """Remove journal rows that cancel each other out: those up to a number and some later ones."""
    connection.execute(delete(journal).where(or_(journal.c.seq <= up_to, journal.c.seq.in_(list(also)))))


def replay(connection: Connection) -> None:
    """Fold the whole journal and empty it."""
    totals: dict[str, int] = {}
    for (row,) in connection.execute(select(journal.c.spends)):
        for subject_id, amount in _decode(row).items():
            totals[subject_id] = totals.get(subject_id, 0) + amount
    for spends in _batches(sorted(item for item in totals.items() if item[1])):
        connection.execute(_SUBTRACT, {"spends": spends})
    connection.execute(delete(journal))


def _batches(items: Iterable[tuple[str, int]]) -> Iterator[dict[str, int]]:
    items = iter(items)
    while batch := dict(islice(items, _REPLAYED)):
        yield batch


# Holds


def hold(connection: Connection, held: Hold, unfolded: Mapping[str, int]) -> dict[str, int] | None:
    """Set credits aside from all who pay; what each has available then. `Ledger.rewriting` gave `unfolded`.

    `None` if one of them has too few: nothing is written.
    """
    rests = {
        payer: _available(connection, held.workspace_id, payer, unfolded[payer]) - held.amount
        for payer in held.payers
    }
    if min(rests.values()) < 0:
        return None
    for payer, rest in rests.items():
        _set_available(connection, payer, rest, unfolded[payer])
    row = {
        "id": held.id,
        "workspace_id": held.workspace_id,
        "subject_id": held.subject_id,
        "payer_id": held.payers[0],
        "other_payer_id": held.payers[1] if len(held.payers) == 2 else None,
        "amount": held.amount,
        "expires_at_ms": held.expires_ms,
    }
    connection.execute(_SET_ASIDE, row)
    return rests


def metered(connection: Connection, workspace_id: str, subject_ids: Iterable[str]) -> tuple[str, ...]:
    """Those of the subjects that have a balance, in the order of their ids."""
    asked = {"among": list(subject_ids), "workspace_id": workspace_id}
    return tuple(connection.scalars(_METERED, asked))


def find_hold(connection: Connection, workspace_id: str, hold_id: str) -> Hold | None:
    """The hold, if it stands in this workspace."""
    row = connection.execute(_HOLD, {"id": hold_id, "workspace_id": workspace_id}).first()
    return None if row is None else _hold(row)


def settle(
    connection: Connection, held: Hold, spent: int, unfolded: Mapping[str, int]
) -> dict[str, int] | None:
    """End a hold, giving back all but `spent` of it; what each payer that still has a balance has available.

    `None` if it does not stand any more. No balance rises beyond the highest there may be.
    """
    mine = {"id": held.id, "workspace_id": held.workspace_id}
    if not connection.execute(_END_HOLD, mine).rowcount:
        return None
    rests: dict[str, int] = {}
    for payer in metered(connection, held.workspace_id, held.payers):
        available = _available(connection, held.workspace_id, payer, unfolded[payer])
        rests[payer] = min(rules.MOST, available + held.amount - spent)
        _set_available(connection, payer, rests[payer], unfolded[payer])
    return rests


def expired(connection: Connection, now_ms: int, limit: int) -> list[Hold]:
    """Holds of every workspace whose time is up, the oldest first."""
    return [_hold(row) for row in connection.execute(_EXPIRED, {"now_ms": now_ms, "many": limit})]


def next_expiry(connection: Connection) -> int | None:
    """When the first hold of all will expire."""
    expiry: int | None = connection.execute(_NEXT_EXPIRY).scalar()
    return expiry


def _available(connection: Connection, workspace_id: str, subject_id: str, unfolded: int) -> int:
    mine = {"subject_id": subject_id, "workspace_id": workspace_id}
    remaining: int = connection.execute(_REMAINING, mine).scalar_one()
    return remaining - unfolded


def _set_available(connection: Connection, subject_id: str, available: int, unfolded: int) -> None:
    connection.execute(_SET_REMAINING, {OF: subject_id, "remaining": available + unfolded})


def _hold(row: Row[Any]) -> Hold:
    payers = (row.payer_id,) if row.other_payer_id is None else (row.payer_id, row.other_payer_id)
    return Hold(row.id, row.workspace_id, row.subject_id, payers, row.amount, row.expires_at_ms)
