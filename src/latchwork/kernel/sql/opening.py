"""From a URL to the adapter for it."""

from latchwork.kernel.invalidations import Invalidations
from latchwork.kernel.sql.database import Database
from latchwork.kernel.sql.postgres import PostgresDatabase
from latchwork.kernel.sql.sqlite import SqliteDatabase


def open_database(url: str, invalidations: Invalidations | None = None) -> Database:
    """The adapter for `url`: `sqlite:///path` or `postgresql://…`; not yet opened.

    `invalidations` hear what is changed; without them it has some of its own.
    """
    if url.startswith("sqlite:///"):
        return SqliteDatabase(url.removeprefix("sqlite:///"), invalidations)
    return PostgresDatabase(url, invalidations)
