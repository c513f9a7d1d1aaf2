"""Fixtures for everybody: fresh, migrated databases on both engines."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from latchwork.kernel.sql import Database, PostgresDatabase, SqliteDatabase
from tests.engines.clickhouse_http import ClickHouseServer, clickhouse_server
from tests.engines.fault_proxy import FaultProxy, fault_proxy
from tests.engines.postgres import Postgres, cluster, on_a_loop_of_its_own
from tests.engines.redis import Redis, redis_server
from tests.engines.s3 import S3, s3_server
from tests.engines.stalls import watch_for_stalls

# No test depends on how fast the machine is.
settings.register_profile("latchwork", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("latchwork")


def pytest_configure(config: pytest.Config) -> None:
    """A run that stands still is ended, and tells where."""
    watch_for_stalls(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A `house` stands on each database, and where a test is for everywhere it is a node of a cluster too."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "house" not in metafunc.fixturenames or any("house" in mark.args[0] for mark in marks):
        return
    everywhere = metafunc.definition.get_closest_marker("everywhere") is not None
    houses = ["sqlite", "postgres", "cluster"] if everywhere else ["sqlite", "postgres"]
    metafunc.parametrize("house", houses, indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL cluster for the whole session; started only when a test asks for it."""
    with cluster() as server:
        yield server


@pytest.fixture
def empty_postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a PostgreSQL database with nothing in it."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The name of a migrated database that others are copied from."""
    name = postgres.create()
    on_a_loop_of_its_own(_migrate(PostgresDatabase(postgres.url(name))))
    return name


@pytest.fixture
def postgres_url(postgres: Postgres, migrated_postgres: str) -> Iterator[str]:
    """The URL of a fresh, migrated PostgreSQL database."""
    name = postgres.create(template=migrated_postgres)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
async def postgres_proxy(postgres: Postgres) -> AsyncIterator[FaultProxy]:
    """A way to PostgreSQL that a test may spoil."""
    async with fault_proxy(postgres.port) as opened:
        yield opened


@pytest.fixture
def distant_url(postgres: Postgres, postgres_url: str, postgres_proxy: FaultProxy) -> str:
    """The URL of the database of `postgres_url`, by that way."""
    return postgres_url.replace(f":{postgres.port}/", f":{postgres_proxy.port}/")


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis for the whole session; started only when a test asks for it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def redis_url(redis: Redis) -> str:
    """The URL of an empty Redis."""
    redis.command("FLUSHALL")
    return redis.url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that others are copied from."""
    path = tmp_path_factory.mktemp("migrated") / "latchwork.db"
    on_a_loop_of_its_own(_migrate(SqliteDatabase(path)))
    return path


@pytest.fixture
def sqlite_path(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """A fresh, migrated SQLite file."""
    path = tmp_path / "latchwork.db"
    shutil.copy(migrated_sqlite, path)
    return path


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouseServer]:
    """A ClickHouse for the whole session; started only when a test asks for it."""
    with clickhouse_server() as server:
        yield server


@pytest.fixture
def clickhouse_url(clickhouse: ClickHouseServer) -> str:
    """The URL of a ClickHouse database that is not there yet."""
    return clickhouse.url(f"test_{uuid4().hex}")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A store that speaks S3 for the whole session; started only when a test asks for it."""
    with s3_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """A fresh, migrated, open database: the test runs once on SQLite and once on PostgreSQL."""
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(request.getfixturevalue("sqlite_path"))
    else:
        opened = PostgresDatabase(request.getfixturevalue("postgres_url"))
    await opened.open()
    yield opened
    await opened.close()


async def _migrate(database: Database) -> None:
    await database.open()
    await database.close()
