"""The migrations and the tables of the domains say the same, on both databases."""

import importlib
import pkgutil
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import latchwork.domains
from latchwork.kernel import sql
from latchwork.kernel.sql import ALL_WORKSPACES, Database, metadata, migrate


def test_the_newest_migration_is_the_one_that_a_start_compares_with() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # SQLite does not show what they are of
async def test_a_migrated_database_has_exactly_the_tables_of_the_domains(database: Database) -> None:
    for domain in pkgutil.iter_modules(latchwork.domains.__path__, "latchwork.domains."):
        if importlib.util.find_spec(f"{domain.name}.tables") is not None:
            importlib.import_module(f"{domain.name}.tables")
    assert await database.read(_differences, ALL_WORKSPACES) == []


def _differences(connection: Connection) -> list[object]:
    options = {"include_name": _is_declared}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _is_declared(name: str | None, _type: str, _parents: object) -> bool:
    """Indexes of trigrams are of a kind that each database has its own words for."""
    return not (name or "").startswith(("key_search", "identity_search"))
