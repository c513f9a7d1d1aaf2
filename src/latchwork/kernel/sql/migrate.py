"""Bring a database to the schema of this version, or say why not."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from latchwork.kernel.sql.migrations import second_0016

HEAD = "0018"
"""The newest migration; a shape test keeps it true, so that a start need not load Alembic to compare."""

CALLED = "latchwork schema "
"""What a node calls itself to PostgreSQL, with its `HEAD` behind it; older ones have no such name."""

_SECOND_HALVES = (second_0016,)
"""`left(connection)` tells what is to be done yet, and `finish(connection, one)` does it; none loads Alembic."""

_SCRIPTS = Path(__file__).parent / "migrations"


class SchemaTooNew(Exception):
    """The database was written by a newer version of Latchwork; nothing was changed."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The database has schema {found}, newer than schema {HEAD} of this version. "
            "Start the newer version again, or restore a backup made before the upgrade."
        )


def upgrade(engine: Engine) -> None:
    """Migrate the database behind `engine` to `HEAD`, in one transaction."""
    with engine.begin() as connection:
        upgrade_on(connection)


def upgrade_on(connection: Connection) -> None:
    """Migrate over `connection`, within its transaction, as far as nodes of the version before do not mind.

    What they would mind is left to `finish_some`, where there can be such nodes. Raises `SchemaTooNew`.
    """
    if connection.dialect.name == "postgresql":  # several processes may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('latchwork.migrate'))"))
    found = current(connection)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise SchemaTooNew(found)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if found is None or connection.dialect.name == "sqlite":  # no older node is beside this one
        while finish_some(connection):
            pass


def finish_some(connection: Connection) -> bool:
    """Do a part of what is left of second halves, within the connection's transaction; whether there was any."""
    for half in _SECOND_HALVES:
        for one in half.left(connection):
            half.finish(connection, one)
            return True
    return False


def is_finished(connection: Connection) -> bool:
    """Whether every second half is done."""
    return not any(half.left(connection) for half in _SECOND_HALVES)


def current(connection: Connection) -> str | None:
    """The schema's version, or `None` for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
