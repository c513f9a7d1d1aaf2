"""A ClickHouse of the tests' own: its engine (chDB) behind its HTTP interface, on a free loopback port."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.programs import free_port, start, wait_for

PASSWORD = "not-to-be-told"


class ClickHouseServer:
    """A running server; `stop`, `start` and `send` may be called by fault tests. What it holds survives both."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, port: int | None = None) -> str:
        """As `LATCHWORK_CLICKHOUSE_URL` takes it; another `port` is that of a proxy before it."""
        return f"http://latchwork:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it listens."""
        log = self.home / "log"
        script = Path(__file__).with_name("clickhouse_http_process.py")
        with log.open("ab") as output:
            self._process = start(
                [sys.executable, script, self.home / "data", str(self.port), "latchwork", PASSWORD],
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
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def clickhouse_server() -> Iterator[ClickHouseServer]:
    """A fresh running server, ended and removed on the way out, however that is reached."""
    home = Path(tempfile.mkdtemp(prefix="latchwork-clickhouse-"))
    server = ClickHouseServer(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
