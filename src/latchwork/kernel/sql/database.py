"""The port: units of work as re-runnable functions of a connection."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, TextClause

from latchwork.kernel.invalidations import Invalidations

T = TypeVar("T")
Unit = Callable[[Connection], T]
Done = Callable[[Exception | None], None]
"""Hears, on the event loop, why something failed, or `None` once it is durable."""

Append = Callable[[tuple[Any, ...], Done], None]
"""Runs one prepared statement with a row of values; raises `Unavailable` when that cannot even be tried."""


class Database(Protocol):
    """Runs units of work. A unit is synchronous, does nothing but SQL, and may be run again.

    `write` returns after the unit is durably committed; when it raises, nothing of the unit stays.
    `read` sees every write that was acknowledged before it began. Both are told on behalf of which workspace
    they run, or `ALL_WORKSPACES`: PostgreSQL shows them no rows of another (see `fence`).
    """

    url: str
    invalidations: Invalidations
    """Hears what a unit of work said has changed, after its commit and before `write` returns."""

    async def open(self) -> None:
        """Connect, and bring the schema up to date; raises `SchemaTooNew` or `DatabaseUnreachable`."""
        ...

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        ...

    async def write(self, unit: Unit[T], workspace_id: str) -> T:
        """Run `unit` in a transaction and commit it; its own exceptions pass through."""
        ...

    async def read(self, unit: Unit[T], workspace_id: str) -> T:
        """Run `unit` in a read-only transaction."""
        ...

    def appender(self, statement: TextClause) -> Append:
        """Prepare a statement to be run often, each time as a transaction of its own.

        What `write` costs beyond the statement itself is left out: no unit, no task, no savepoint.
        A row's values stand in the order in which the statement names them. After a failure it is not
        certain that nothing was written (the commit's answer may have been lost), so the statement
        should be one that can be repeated.
        """
        ...


class DatabaseUnreachable(Exception):
    """The database cannot be opened; the message says which and why, without credentials."""
