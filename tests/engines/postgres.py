"""A PostgreSQL of the tests' own: a private cluster on a free loopback port, gone when the tests end.

`python -m tests.engines.postgres` prints where its programs are, or fails when there are none.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from tests.engines.programs import as_user, free_port, start

T = TypeVar("T")
OLDEST = 15
ROLE = "latchwork"
"""Who owns the databases: no superuser, so that what row-level security holds back is held back from tests too."""
SUPERUSER = "postgres"
_START_DEADLINE_S = 60
_ROOM_BYTES = 2 * 1024**3
"""What has to be free in memory for a cluster to be kept there; it needs some 300 MB."""
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
    "max_wal_size": "128MB",
    "autovacuum": "off",
}
"""Fast rather than durable. A test about durability passes its own settings to `cluster`."""


class PostgresMissing(RuntimeError):
    """The machine has no PostgreSQL new enough; tests that need one fail, they are not skipped."""


def programs() -> Path:
    """The directory that holds `initdb` and `postgres`, of the newest version that is installed."""
    found = [(_major(place), place) for place in _places() if (place / "initdb").exists()]
    newest = max(found, default=(0, Path()))
    if newest[0] < OLDEST:
        raise PostgresMissing(
            f"PostgreSQL {OLDEST} or newer is not installed (Debian: apt-get install postgresql)"
        )
    return newest[1]


def _places() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    for root in (Path("/usr/lib/postgresql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")):
        yield from root.glob("*/bin")


def _major(place: Path) -> int:
    try:
        answer = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(answer.stdout.split()[2].split(".")[0])


class Postgres:
    """A running cluster. `create` makes databases in it; `stop` and `start` may be called by fault tests."""

    def __init__(self, home: Path, settings: dict[str, str] | None = None) -> None:
        self.home = home
        self.data = home / "data"
        self.port = free_port()
        self._settings = _SETTINGS | (settings or {})
        self._password = secrets.token_hex(16)
        self._user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def url(self, database: str, role: str = ROLE) -> str:
        """The URL of `database`, as `LATCHWORK_DATABASE_URL` takes it: of a role that owns it and is no superuser."""
        return f"postgresql://{role}:{self._password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Lay out the cluster's directory."""
        secret = self.home / "password"
        secret.write_text(self._password)
        if self._user is not None:
            shutil.chown(self.home, self._user)
            shutil.chown(secret, self._user)
        arguments = ["--auth=scram-sha-256", f"--pwfile={secret}", f"--username={SUPERUSER}", "--no-sync"]
        locale = ["--encoding=UTF8", "--no-locale", "--locale-provider=libc"]
        made = subprocess.run(
            [*as_user(self._user), programs() / "initdb", f"--pgdata={self.data}", *arguments, *locale],
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self.home / "log").open("ab") as log:
            self._process = start(
                [programs() / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.home, *options],
                log,
                user=self._user,
                cwd=self.home,
            )
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(self.home / 'log').read_text()}")
            time.sleep(0.02)

    def admit(self) -> None:
        """Make the role that owns databases."""
        self.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self._password}'")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: `SIGINT` disconnects everybody and shuts down, `SIGQUIT` is a crash."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def create(self, template: str = "template0") -> str:
        """Make a database as a copy of `template`, which nobody may be using; returns its name."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f'CREATE DATABASE {name} OWNER {ROLE} TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, disconnecting whoever still uses it."""
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as the superuser."""
        on_a_loop_of_its_own(self._execute(statement, database))

    async def _execute(self, statement: str, database: str) -> None:
        connection = await asyncpg.connect(self.url(database, SUPERUSER), timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True


@contextmanager
def cluster(settings: dict[str, str] | None = None) -> Iterator[Postgres]:
    """A fresh running cluster, ended and removed on the way out, however that is reached."""
    programs()
    home = Path(tempfile.mkdtemp(prefix="latchwork-pg-", dir=_reachable_temp()))
    server = Postgres(home, settings)
    try:
        server.initialise()
        server.start()
        server.admit()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def on_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end beside whatever event loop this thread may have."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _reachable_temp() -> str | None:
    """A place for temporary files that another user may enter: memory where there is room; TMPDIR need not be one."""
    memory = Path("/dev/shm")  # making a database there takes a tenth of the time
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES:
        return str(memory)
    return "/tmp" if os.geteuid() == 0 and Path("/tmp").is_dir() else None


if __name__ == "__main__":
    try:
        print(programs())  # noqa: T201
    except PostgresMissing as missing:
        sys.exit(str(missing))
