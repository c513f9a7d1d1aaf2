"""Processes under measurement: started on a core of their own, watched through /proc, ended by their pid."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class BenchError(RuntimeError):
    """A measurement cannot be made or must not be believed; the message says why."""


@cache
def cores() -> tuple[int, int]:
    """The core of the servers and the core of the load."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("a server and its load need a core each, and this machine lends only one")
    return allowed[0], allowed[1]


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A directory that is removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"latchwork-bench-{name}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    parent: int
    ticks: int


class Served:
    """A server process on the servers' core; a context manager that starts and ends it.

    `ready` is the path whose 200 says that it serves; without one, an accepted connection does.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        port: int,
        *,
        ready: str | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        self.port = port
        self.ready_after_s = 0.0
        self._argv = ["taskset", "-c", str(cores()[0]), *map(str, argv)]
        self._ready = ready
        self._env = os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {})
        self._log = log
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, of a server that was started."""
        if self._process is None:
            raise BenchError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it serves; `ready_after_s` is how long that took."""
        output = self._log.open("ab") if self._log else subprocess.DEVNULL
        began = time.perf_counter()
        self._process = subprocess.Popen(self._argv, env=self._env, stdout=output, stderr=subprocess.STDOUT)
        while not self._serves():
            if self._process.poll() is not None or time.perf_counter() - began > self._deadline_s:
                self.stop()
                raise BenchError(f"did not start: {' '.join(self._argv)}{self._last_words()}")
            time.sleep(0.005)
        self.ready_after_s = time.perf_counter() - began

    def stop(self) -> None:
        """Ask it to end, insist after ten seconds."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            for stat in _tree(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stat.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def cpu_s(self) -> float:
        """CPU seconds used so far by the process, its threads and its children, in user and kernel."""
        return sum(stat.ticks for stat in _tree(self.pid)) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return sum(_resident_pages(stat.pid) for stat in _tree(self.pid)) * _PAGE_BYTES

    def waited_s(self) -> float:
        """Seconds its main thread was ready to run but somebody else had the core."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def _serves(self) -> bool:
        try:
            if self._ready is None:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
            with contextlib.closing(connection):
                connection.request("GET", self._ready)
                return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _last_words(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        return "\n" + "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def _tree(root: int) -> list[_Stat]:
    """The process and every living descendant."""
    stats = {stat.pid: stat for stat in _all_stats()}
    found = [root]
    for pid in found:
        found += [stat.pid for stat in stats.values() if stat.parent == pid]
    return [stats[pid] for pid in found if pid in stats]


def _all_stats() -> Iterator[_Stat]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield _parse(int(entry.name), (entry / "stat").read_text())


def _parse(pid: int, text: str) -> _Stat:
    """Own time and that of children already waited for, which no living process carries."""
    values = text.rpartition(")")[2].split()
    return _Stat(pid, int(values[1]), sum(map(int, values[11:15])))


def _resident_pages(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0
