"""From a URL to the adapter for it."""

from latchwork.kernel.sql.database import Database
from latchwork.kernel.sql.postgres import PostgresDatabase
from latchwork.kernel.sql.sqlite import SqliteDatabase


def open_database(url: str) -> Database:
    """The adapter for `url`: `sqlite:///path` or `postgresql://…`; not yet opened."""
    if url.startswith("sqlite:///"):
        return SqliteDatabase(url.removeprefix("sqlite:///"))
    return PostgresDatabase(url)
