"""Bring a database to the schema of this version, or say why not."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

HEAD = "0015"
"""The newest migration; a shape test keeps it true, so that a start need not load Alembic to compare."""

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
    """Migrate over `connection`, within its transaction; raises `SchemaTooNew`."""
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


def current(connection: Connection) -> str | None:
    """The schema's version, or `None` for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
