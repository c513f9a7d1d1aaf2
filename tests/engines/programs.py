"""Programs that tests start: on a free port, and gone when the tests are."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

_START_DEADLINE_S = 30


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_starter = ThreadPoolExecutor(1, thread_name_prefix="programs")
_setpriv = shutil.which("setpriv") if sys.platform == "linux" else None


def start(command: Sequence[str | Path], output: IO[bytes], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a program that the kernel ends should the tests be killed outright; `options` are those of `Popen`.

    What the kernel watches is the thread that has started it: one that lives as long as the tests do. Those of
    an event loop end with the test, and took servers of the whole session with them. The program asks for that
    itself, by setpriv: Python that runs between fork and exec may wait for ever for a lock of another thread.
    """
    ending = [_setpriv, "--pdeathsig", "INT"] if _setpriv else []

    def started() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*ending, *command], stdout=output, stderr=output, **options)

    return _starter.submit(started).result()


def wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until a program that was just started listens; raises with what it wrote when it does not."""
    deadline = time.monotonic() + _START_DEADLINE_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the program did not start: {log.read_text()}")
        time.sleep(0.01)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
