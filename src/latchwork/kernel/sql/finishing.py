"""The second halves of migrations on PostgreSQL: done when asked for, and when no older node is left to mind."""

import asyncio

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from latchwork.kernel.faults import PreconditionFailed, Unavailable
from latchwork.kernel.sql import fence, migrate
from latchwork.kernel.sql.postgres import SERVING, PostgresDatabase

_TRIES, _PAUSE_S = 50, 0.1
# A table is taken from those who use it for a moment, and whoever waits for it too: not for long, then.
_PATIENCE = text("SET LOCAL lock_timeout = '200ms'")
_HELD = {"55P03", "40P01"}  # lock_not_available, deadlock_detected
_OLDER = text(
    f"SELECT count(*) FROM ({SERVING}) AS serving LEFT JOIN pg_stat_activity AS session USING (pid)"  # noqa: S608
    " WHERE coalesce(substring(session.application_name FROM :called), '') < :head COLLATE \"C\""
).bindparams(called=f"^{migrate.CALLED}(\\d+)$", head=migrate.HEAD)


class OlderNodes(PreconditionFailed):
    """Nodes serve the database that would mind the second half of a migration."""


async def finish(database: PostgresDatabase) -> None:
    """Do what is left of second halves, a transaction for each part; raises `OlderNodes` before anything is done.

    Raises `Unavailable` where others do not let go of a table; what is done then stays, and the rest can be
    asked for again.
    """
    older = await database.read(lambda connection: connection.scalar(_OLDER), fence.ALL_WORKSPACES)
    if older:
        raise OlderNodes(
            f"{older} of the processes that serve this database are of an older version, or hide of which they are."
            " Finish the migration when all of them have been renewed."
        )
    tries = _TRIES
    while tries:
        try:
            async with database.transaction("READ COMMITTED", fence.ALL_WORKSPACES) as connection:
                await connection.execute(_PATIENCE)
                if not await connection.run_sync(migrate.finish_some):
                    return
                tries = _TRIES
        except (OSError, DBAPIError) as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) not in _HELD:
                raise Unavailable(private=str(error)) from error
            tries -= 1
            await asyncio.sleep(_PAUSE_S)
    raise Unavailable(private="a table is held by others for too long")


async def shortcomings(database: PostgresDatabase) -> list[str]:
    """What an operator should mend so that PostgreSQL keeps workspaces apart, a sentence each."""

    def found(connection: Connection) -> list[str]:
        told = []
        if connection.scalar(text(fence.BYPASSES)):
            told.append(
                "Latchwork connects to PostgreSQL as a role that row-level security does not hold for."
                " Give it one that is no superuser and has not BYPASSRLS."
            )
        if not migrate.is_finished(connection):
            told.append(
                "The database is not migrated to the end: once every node is of this version,"
                " run `latchwork migrate --finish`."
            )
        return told

    return await database.read(found, fence.ALL_WORKSPACES)
