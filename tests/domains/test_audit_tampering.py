"""A thousand ways to change the audit log behind our back (figure R6), each of which is found."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from latchwork.domains import audit
from latchwork.domains.audit.rules import GENESIS, link
from latchwork.domains.audit.tables import audit_heads, audit_log
from latchwork.domains.workspaces import Workspaces, operator
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.ids import new_id
from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.domains.forging import rows_of, unguard

ROWS = 12
TAMPERINGS = 1_000
COLUMNS: dict[str, Callable[[Any], Any]] = {
    "time_ms": lambda value: value + 1,
    "event": lambda value: value + "d",
    "display": lambda value: value[:-1],
    "id": lambda value: new_id("log"),
    "actor": lambda value: value | {"id": "key_other"},
    "remote_ip": lambda value: "192.0.2.99",
    "user_agent": lambda value: value + " ",
    "correlation_id": lambda value: "req_other",
    "resources": lambda value: [],
    "previous_digest": lambda value: bytes([value[0] ^ 1]) + value[1:],
    "digest": lambda value: value[:-1] + bytes([value[-1] ^ 128]),
}
Tamper = Callable[[Connection, str, random.Random], None]


class Undone(Exception):
    """What was tried is taken back."""


def _at(workspace_id: str, seq: int) -> Any:
    return (audit_log.c.workspace_id == workspace_id) & (audit_log.c.seq == seq)


def flip(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Change one column of one row."""
    row = chance.choice(rows_of(connection, workspace_id))
    column = chance.choice(sorted(COLUMNS))
    changed = {column: COLUMNS[column](row[column])}
    connection.execute(update(audit_log).where(_at(workspace_id, row["seq"])).values(changed))


def flip_and_hash(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Change one row and compute its digest anew, as somebody would who knows how."""
    row = chance.choice(rows_of(connection, workspace_id)[:-1])
    changed = row | {"display": "something else"}
    values = {"display": "something else", "digest": link(row["previous_digest"], changed)}
    connection.execute(update(audit_log).where(_at(workspace_id, row["seq"])).values(values))


def remove(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Take out a run of rows."""
    start = chance.randrange(1, ROWS + 1)
    end = chance.randrange(start, ROWS + 1)
    mine = (audit_log.c.workspace_id == workspace_id) & audit_log.c.seq.between(start, end)
    connection.execute(delete(audit_log).where(mine))


def remove_and_close(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Take out a row and move those after it up."""
    seq = chance.randrange(1, ROWS)
    connection.execute(delete(audit_log).where(_at(workspace_id, seq)))
    for later in range(seq + 1, ROWS + 1):
        connection.execute(update(audit_log).where(_at(workspace_id, later)).values(seq=later - 1))


def swap(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Let two rows change places."""
    one, two = chance.sample(range(1, ROWS + 1), 2)
    for old, new in ((one, -1), (two, one), (-1, two)):
        connection.execute(update(audit_log).where(_at(workspace_id, old)).values(seq=new))


def truncate(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Cut off the end."""
    seq = chance.randrange(1, ROWS + 1)
    mine = (audit_log.c.workspace_id == workspace_id) & (audit_log.c.seq >= seq)
    connection.execute(delete(audit_log).where(mine))


def insert_forged(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Put in a row: before the first, or after the last, with digests that fit those beside it."""
    rows = rows_of(connection, workspace_id)
    model = chance.choice(rows)
    seq, previous = chance.choice([(0, GENESIS), (-5, GENESIS), (ROWS + 1, rows[-1]["digest"])])
    forged = model | {"seq": seq, "id": new_id("log"), "previous_digest": previous}
    connection.execute(insert(audit_log).values(forged | {"digest": link(previous, forged)}))


def behead(connection: Connection, workspace_id: str, chance: random.Random) -> None:
    """Change where the chain is said to end."""
    mine = audit_heads.c.workspace_id == workspace_id
    deed: Any = chance.choice(
        [
            delete(audit_heads).where(mine),
            update(audit_heads).where(mine).values(seq=chance.randrange(0, ROWS)),
            update(audit_heads).where(mine).values(digest=chance.randbytes(32)),
        ]
    )
    connection.execute(deed)


TAMPERERS: tuple[Tamper, ...] = (
    flip,
    flip_and_hash,
    remove,
    remove_and_close,
    swap,
    truncate,
    insert_forged,
    behead,
)


async def _filled(database: Database, name: str = "acme") -> str:
    workspace = await Workspaces(database, ManualClock()).create(name)
    entries = [
        audit.Entry("key.create", f"Created {number}", (audit.Resource("key", f"key_{number}"),))
        for number in range(ROWS - 1)
    ]
    await database.write(lambda c: audit.record(c, operator(workspace.id), 5, *entries), ALL_WORKSPACES)
    return workspace.id


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_of_a_thousand_tamperings_every_one_is_found(database: Database) -> None:
    workspace_id, other = await _filled(database), await _filled(database, "other")
    await database.write(unguard, ALL_WORKSPACES)
    chance = random.Random(20_261)
    missed: list[tuple[int, str]] = []

    def tried(number: int) -> Callable[[Connection], None]:
        tamper = TAMPERERS[number % len(TAMPERERS)]

        def unit(connection: Connection) -> None:
            tamper(connection, workspace_id, chance)
            if audit.first_break(connection, workspace_id) is None:
                missed.append((number, tamper.__name__))
            if audit.first_break(connection, other) is not None:
                missed.append((number, "another workspace"))
            raise Undone

        return unit

    for number in range(TAMPERINGS):
        with pytest.raises(Undone):
            await database.write(tried(number), ALL_WORKSPACES)
    assert missed == []
    assert await database.read(lambda c: audit.first_break(c, workspace_id), ALL_WORKSPACES) is None
