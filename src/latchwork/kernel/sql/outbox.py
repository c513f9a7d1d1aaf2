"""The outbox: events written with what they tell of, delivered after the commit."""

from sqlalchemy import Column, Connection, Table, delete, insert, select

from latchwork.kernel.events import Event
from latchwork.kernel.sql.schema import Id, Json, Millis, Sequence, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    Column("workspace_id", Id, nullable=False),
    Column("name", Id, nullable=False),
    Column("time_ms", Millis, nullable=False),
    Column("data", Json, nullable=False),
)

_TELL = insert(outbox)


def tell(connection: Connection, *events: Event) -> None:
    """Write `events` with the unit of work that they tell of."""
    rows = [
        {"id": e.id, "workspace_id": e.workspace_id, "name": e.name, "time_ms": e.time_ms, "data": e.data}
        for e in events
    ]
    connection.execute(_TELL, rows)


def waiting(connection: Connection, limit: int) -> list[tuple[int, Event]]:
    """The oldest undelivered events with their sequence numbers."""
    rows = connection.execute(select(outbox).order_by(outbox.c.seq).limit(limit))
    return [(r.seq, Event(r.id, r.workspace_id, r.name, r.time_ms, r.data)) for r in rows]


def forget(connection: Connection, up_to_seq: int) -> None:
    """Drop what every listener has taken."""
    connection.execute(delete(outbox).where(outbox.c.seq <= up_to_seq))
