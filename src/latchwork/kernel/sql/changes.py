"""What a unit of work changes of that which caches may hold: told within it, announced after its commit.

Where several nodes share a database it is also written with what it tells of, for the others to read.
"""

from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, text

from latchwork.kernel.invalidations import Tag
from latchwork.kernel.sql.database import Unit
from latchwork.kernel.sql.schema import Id, Millis, Sequence, metadata

T = TypeVar("T")
_TOLD = "latchwork.changes"

changes = Table(
    "changes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("txid", BigInteger, nullable=False, index=True),
    Column("node", Id, nullable=False),
    Column("tags", LargeBinary, nullable=False),
    Column("time_ms", Millis, nullable=False),
)
_KEEP = text(
    "INSERT INTO changes (txid, node, tags, time_ms) VALUES (pg_current_xact_id()::text::bigint, :node, :tags,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint) RETURNING seq"
)

# A transaction that has not ended when this looks has a number at or above the horizon, so that whoever looks
# from there the next time finds what it will have told, however late it ends.
LOOK = """
SELECT horizon.txid AS horizon, changes.seq, changes.node, changes.tags
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS txid) AS horizon
LEFT JOIN changes ON changes.txid >= $1
ORDER BY changes.seq
"""
"""PostgreSQL: what was told by transactions from number `$1` on, and from where to look the next time."""
SWEEP = """
DELETE FROM changes WHERE time_ms < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint
"""
"""PostgreSQL: forget what was told longer ago than `$1` milliseconds."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, Any]]).decode
_decode_news = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, Any]]]).decode


class News(NamedTuple):
    """What a unit of work has changed, and under which number other nodes find it."""

    seq: int
    tags: list[Tag]


def encoded(tags: list[Tag]) -> bytes:
    """Tags as other nodes read them."""
    return _encode(tags)


def news_of(message: bytes) -> News:
    """News that another node has sent; raises `msgspec.DecodeError`."""
    return News(*_decode_news(message))


def message_of(news: News) -> bytes:
    """News as other nodes read them."""
    return _encode(news)


def decoded(tags: bytes) -> list[Tag]:
    """Tags that another node wrote; raises `msgspec.DecodeError`."""
    return _decode(tags)


def changed(connection: Connection, *tags: Tag) -> None:
    """Have every cache forget what carries one of `tags`, should the unit of work be committed."""
    connection.info[_TOLD].extend(tags)


def kept(connection: Connection, unit: Unit[T], node: str) -> tuple[T, News]:
    """`collected`, with what has changed kept for other nodes, as told by `node`."""
    result, tags = collected(connection, unit)
    told = {"node": node, "tags": encoded(tags)}
    return result, News(connection.execute(_KEEP, told).scalar_one() if tags else 0, tags)


def collected(connection: Connection, unit: Unit[T]) -> tuple[T, list[Tag]]:
    """Run `unit`; its result, and what it said has changed."""
    tags: list[Tag] = []
    info = connection.info  # after a failure it cannot be asked for any more
    info[_TOLD] = tags
    try:
        return unit(connection), tags
    finally:
        info.pop(_TOLD, None)
