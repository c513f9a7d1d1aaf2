"""What a unit of work changes of that which caches may hold: told within it, announced after its commit."""

from typing import TypeVar

from sqlalchemy import Connection

from latchwork.kernel.invalidations import Tag
from latchwork.kernel.sql.database import Unit

T = TypeVar("T")
_TOLD = "latchwork.changes"


def changed(connection: Connection, *tags: Tag) -> None:
    """Have every cache forget what carries one of `tags`, should the unit of work be committed."""
    connection.info[_TOLD].extend(tags)


def collected(connection: Connection, unit: Unit[T]) -> tuple[T, list[Tag]]:
    """Run `unit`; its result, and what it said has changed."""
    tags: list[Tag] = []
    info = connection.info  # after a failure it cannot be asked for any more
    info[_TOLD] = tags
    try:
        return unit(connection), tags
    finally:
        info.pop(_TOLD, None)
