"""Programs that tests start: on a free port, and gone when the tests are."""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_START_DEADLINE_S = 30


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end_with_parent() -> None:
    """In the child, before it runs: have the kernel end it should the tests be killed outright."""
    if sys.platform == "linux":
        death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(death_signal, signal.SIGINT)


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
