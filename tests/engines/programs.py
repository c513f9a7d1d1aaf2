"""Programs that tests start: on a free port, and gone when the tests are."""

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

_START_DEADLINE_S = 30


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_starter = ThreadPoolExecutor(1, thread_name_prefix="programs")


def start(
    command: Sequence[str | Path],
    output: IO[bytes],
    *,
    user: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program, as another user where one is named, that the kernel ends should the tests be killed outright.

    What the kernel watches is the thread that has started it: one that lives as long as the tests do. Those of
    an event loop end with the test, and took servers of the whole session with them. The program asks for that
    itself, by setpriv: what runs between fork and exec may wait for ever for a lock of another thread.
    """
    ending = ["setpriv", "--pdeathsig", "INT"] if sys.platform == "linux" else []

    def started() -> "subprocess.Popen[bytes]":
        whole = [*as_user(user), *ending, *command]
        return subprocess.Popen(whole, stdout=output, stderr=output, cwd=cwd, env=env)

    return _starter.submit(started).result()


def as_user(user: str | None) -> list[str]:
    """What to put before a command that `user` is to run; only root can, on Linux."""
    return [] if user is None else ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]


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
