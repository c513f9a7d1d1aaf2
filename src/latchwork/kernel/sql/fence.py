"""The second fence on PostgreSQL: a transaction sees and writes rows of one workspace, unless it says of all.

Policies of the tables compare each row with a setting that the transaction begins with; without it there are no
rows. SQLite has nothing of the kind, and what is said here means nothing to it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

ALL_WORKSPACES = "*"
"""For work that rightly spans workspaces, in the place of a workspace's id."""

SETTING = "latchwork.workspace_id"
OPEN = f"SET {SETTING} = '{ALL_WORKSPACES}'"
"""PostgreSQL: let a connection see all workspaces for as long as it lasts."""
BYPASSES = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
"""PostgreSQL: whether the policies do not hold for whoever asks."""


_ID = re.compile("[A-Za-z0-9_-]+")
_SET = text(f"SELECT set_config('{SETTING}', :workspace_id, true)")


def closing(workspace_id: str) -> str:
    """PostgreSQL: let a transaction see that workspace, or `ALL_WORKSPACES`; what is no id shows nothing."""
    is_id = workspace_id == ALL_WORKSPACES or _ID.fullmatch(workspace_id)
    return f"SET LOCAL {SETTING} = '{workspace_id if is_id else ''}'"


@contextmanager
def spanning(connection: Connection) -> Iterator[None]:
    """Within a unit of one workspace, see all of them: for questions such as whether a digest is taken anywhere."""
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    connection.execute(_SET, {"workspace_id": ALL_WORKSPACES})
    try:
        yield
    except DBAPIError:  # the transaction is lost, or rolled back to before this
        raise
    except BaseException:
        connection.execute(_SET, {"workspace_id": driver.workspace_id})
        raise
    connection.execute(_SET, {"workspace_id": driver.workspace_id})


@cache
def connection_class() -> type[Any]:
    """The driver's connection whose transactions begin with the setting, in the very message that begins them."""
    from sqlalchemy.dialects.postgresql.asyncpg import dialect  # late: SQLite does without

    driver: Any = dialect.import_dbapi().asyncpg.Connection  # type: ignore[no-untyped-call]

    class Fenced(driver):  # type: ignore[misc]
        workspace_id = ""
        """Whose rows the next transaction sees; nobody's."""

        async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the driver's own
            if self.workspace_id and query.startswith("BEGIN"):
                query = f"{query} {closing(self.workspace_id)}"
            told: str = await super().execute(query, *args, timeout=timeout)
            return told

    return Fenced
