"""A run of the tests that stands still ends by itself and tells where it stood."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_WATCHED = """
from tests.engines.stalls import watch_for_stalls

def pytest_configure(config):
    watch_for_stalls(config)
"""
_HELD = """
import os
import time

def test_holds_the_pipe_of_its_worker():
    if os.fork() == 0:  # what is forked keeps all that the worker had open
        time.sleep(45)
        os._exit(0)
    time.sleep(600)

def test_never_begins():
    pass
"""


_SILENT = """
def pytest_runtestloop(session):
    import time
    time.sleep(600)
"""


def _run(
    place: Path, test: str, more: str = "", how: tuple[str, ...] = ("-n", "1")
) -> "subprocess.Popen[bytes]":
    (place / "conftest.py").write_text(_WATCHED + more)
    (place / "test_held.py").write_text(test)
    (place / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {ROOT}\nfaulthandler_timeout = 3\nfaulthandler_exit_on_timeout = true\n"
    )
    command = [sys.executable, "-m", "pytest", *how, "-p", "no:cacheprovider", str(place)]
    with (place / "told").open("wb") as told:  # a pipe would be held open too
        return subprocess.Popen(command, cwd=place, stdout=told, stderr=told)


def test_a_run_whose_worker_ended_unseen_is_ended_and_tells_the_test(tmp_path: Path) -> None:
    run = _run(tmp_path, _HELD)
    assert run.wait(timeout=120) == pytest.ExitCode.INTERRUPTED
    told = (tmp_path / "told").read_text()
    assert (
        "the run stands still; it waits for\n  test_held.py::test_holds_the_pipe_of_its_worker, for " in told
    )


def test_a_run_of_which_nothing_is_heard_is_ended(tmp_path: Path) -> None:
    run = _run(tmp_path, _HELD, _SILENT, ("-p", "no:xdist"))
    assert run.wait(timeout=120) == pytest.ExitCode.INTERRUPTED
    assert "the run stands still; it waits for\n  no test\n" in (tmp_path / "told").read_text()


def test_a_run_that_is_told_to_end_tells_what_it_waits_for(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    run = _run(
        tmp_path, _HELD.replace("time.sleep(600)", f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    )
    while not begun.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == -signal.SIGTERM
    told = (tmp_path / "told").read_text()
    assert (
        "the run was told to end; it waits for\n  test_held.py::test_holds_the_pipe_of_its_worker, for "
        in told
    )
