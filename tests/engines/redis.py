"""A Redis of the tests' own: a private server on a free loopback port, gone when the tests end."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.programs import free_port, start, wait_for

_ARGUMENTS = ("--bind", "127.0.0.1", "--appendonly", "no", "--save", "", "--daemonize", "no")
"""What is kept is kept in memory: a server that is started again is empty."""


class Redis:
    """A running server; `stop`, `start` and `send` may be called by fault tests."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As `LATCHWORK_REDIS_URL` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *arguments: str) -> None:
        """Start the server and wait until it listens."""
        log = self.home / "log"
        with log.open("ab") as output:
            self._process = start(
                ["redis-server", "--port", str(self.port), "--dir", self.home, *_ARGUMENTS, *arguments],
                output,
            )
        wait_for(self._process, self.port, log)

    def send(self, what: signal.Signals) -> None:
        """Send the server a signal: `SIGSTOP` makes it silent, `SIGCONT` lets it go on."""
        assert self._process is not None
        self._process.send_signal(what)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server; `SIGKILL` is a crash."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def command(self, *words: str) -> str:
        """What the server answers to a command."""
        asked = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


@contextmanager
def redis_server(*arguments: str) -> Iterator[Redis]:
    """A fresh running server, ended and removed on the way out, however that is reached."""
    home = Path(tempfile.mkdtemp(prefix="latchwork-redis-"))
    server = Redis(home)
    try:
        server.start(*arguments)
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
