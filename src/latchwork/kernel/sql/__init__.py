"""SQL for everybody: one text for SQLite and PostgreSQL, and units of work that can be run again."""

from sqlalchemy import Connection

from latchwork.kernel.sql.database import Database
from latchwork.kernel.sql.fence import ALL_WORKSPACES
from latchwork.kernel.sql.opening import open_database
from latchwork.kernel.sql.postgres import PostgresDatabase
from latchwork.kernel.sql.schema import metadata
from latchwork.kernel.sql.sqlite import SqliteDatabase

__all__ = [
    "ALL_WORKSPACES",
    "Connection",
    "Database",
    "PostgresDatabase",
    "SqliteDatabase",
    "metadata",
    "open_database",
]
