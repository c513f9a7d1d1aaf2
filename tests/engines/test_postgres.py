"""The engine that other tests rely on."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys

import asyncpg
from sqlalchemy import text

from latchwork.kernel.sql import ALL_WORKSPACES, Database
from tests.engines.postgres import Postgres


async def test_a_fresh_database_is_migrated_and_empty(database: Database) -> None:
    version = await database.read(
        lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar(), ALL_WORKSPACES
    )
    keys = await database.read(
        lambda c: c.execute(text("SELECT count(*) FROM keys")).scalar(), ALL_WORKSPACES
    )
    assert (bool(version), keys) == (True, 0)


def test_databases_do_not_share_what_is_in_them(postgres: Postgres) -> None:
    one, other = postgres.create(), postgres.create()
    postgres.execute("CREATE TABLE mine (id int)", one)
    postgres.execute("CREATE TABLE mine (id int)", other)
    postgres.drop(one)
    postgres.drop(other)


async def test_text_is_ordered_by_its_bytes(empty_postgres_url: str) -> None:
    connection = await asyncpg.connect(empty_postgres_url)
    rows = await connection.fetch("SELECT * FROM unnest(ARRAY['b', 'B', 'a', '_']) AS word ORDER BY word")
    await connection.close()
    assert [row["word"] for row in rows] == ["B", "_", "a", "b"]


def test_the_cluster_ends_even_when_the_tests_are_killed() -> None:
    script = (
        "import os, signal\n"
        "from tests.engines.postgres import cluster\n"
        "with cluster() as server:\n"
        "    print(server.home, server._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    home, pid = killed.stdout.split()
    assert killed.returncode == -signal.SIGKILL
    _wait_for_end(int(pid))
    shutil.rmtree(home)


def _wait_for_end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        watch = os.pidfd_open(pid)
        ended, _, _ = select.select([watch], [], [], 20)
        os.close(watch)
        assert ended, "the cluster is still running"
