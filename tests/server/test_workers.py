"""Workers: begun, begun again, renewed and ended, as processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 30
WORKER = """
import asyncio, os, socket, sys
from latchwork.server.workers import call_when_orphaned
number, listener, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if number == 0 and os.path.exists(folder + "/broken"):
    sys.exit(7)
async def main():
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(15, stopped.set)
    if os.path.exists(folder + "/stubborn"):
        loop.add_signal_handler(15, lambda: None)
    call_when_orphaned(loop, stopped.set)
    async def greet(reader, writer):
        writer.write(b"%d" % os.getpid())
        writer.close()
    listening = socket.socket(fileno=listener)
    server = await asyncio.start_server(greet, sock=listening)
    open(f"{folder}/{number}", "w").write(str(os.getpid()))
    print("ready", number, flush=True)
    await stopped.wait()
    loop.remove_reader(listening.fileno())  # `close` would drop whoever was accepted in this very turn
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.01)
    server.close()
asyncio.run(main())
"""
SUPERVISOR = """
import asyncio, json, logging, socket, sys
from latchwork.server.workers import WorkerFailed, Workers
folder, count = sys.argv[1], int(sys.argv[2])
logging.basicConfig()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
worker = open(folder + "/worker.py").read()
fd = listener.fileno()
workers = Workers(lambda n: [sys.executable, "-c", worker, str(n), str(fd), folder], count, fd, grace_s=1)
def ready(line):
    print(json.dumps({"line": line.strip(), "port": listener.getsockname()[1]}), flush=True)
try:
    asyncio.run(workers.run(ready))
except WorkerFailed as failed:
    sys.exit(failed.code)
"""


class Crew:
    """A supervisor with its workers."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]", port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port

    def pid(self, number: int) -> int:
        """The process that a worker is now."""
        return int((self.folder / str(number)).read_text() or 0)

    def greeted_by(self) -> int:
        """The worker that answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            return int(connection.recv(100))


@contextmanager
def crew(folder: Path, count: int = 2) -> Iterator[Crew]:
    (folder / "worker.py").write_text(WORKER)
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), str(count)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["line"] == "ready 0"
        yield Crew(folder, process, told["port"])
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_all_workers_serve_on_one_socket_and_end_with_their_supervisor(tmp_path: Path) -> None:
    with crew(tmp_path, 3) as running:
        pids = {running.pid(number) for number in range(3)}
        assert len(pids) == 3
        assert running.greeted_by() in pids
        running.process.terminate()
        assert running.process.wait(PATIENCE_S) == 0
    assert not any(map(lives, pids))


def test_a_worker_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        before = running.pid(1)
        os.kill(before, signal.SIGKILL)
        until(lambda: running.pid(1) not in (before, 0))
        assert lives(running.pid(1))


def test_a_hangup_renews_every_worker_while_another_answers(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        before = {running.pid(0), running.pid(1)}
        running.process.send_signal(signal.SIGHUP)
        answered = 0
        while {running.pid(0), running.pid(1)} & before:
            assert running.greeted_by()
            answered += 1
        assert answered
        assert lives(running.pid(0)) and lives(running.pid(1))


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        pids = [running.pid(0), running.pid(1)]
        running.process.kill()
        running.process.wait()
        until(lambda: not any(map(lives, pids)))


def test_a_worker_that_does_not_finish_is_killed(tmp_path: Path) -> None:
    (tmp_path / "stubborn").touch()
    with crew(tmp_path, 1) as running:
        pid = running.pid(0)
        running.process.terminate()
        assert running.process.wait(PATIENCE_S) == 0
    assert not lives(pid)


@pytest.mark.parametrize("count", [1, 3])
def test_a_first_worker_that_cannot_start_ends_it_all_with_its_status(tmp_path: Path, count: int) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "broken").touch()
    ran = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), str(count)], timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 7
    assert not (tmp_path / "1").exists()
