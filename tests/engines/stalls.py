"""What to do when a run of the tests stands still: tell which tests it waits for, and end it as failed.

The watchdog of pytest ends a worker whose test takes too long. Where a process that the worker forked holds the
worker's pipe open, nobody sees that end, and the run would wait for ever. So it would for the part of a worker that
ended, which others are not always given.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType

import pytest

_LOOK_S = 1.0
_LEAVE_S = 30.0


class Stalls:
    """Follows which tests run, of all workers: one that outlived the watchdog by a tenth, or silence, ends the run."""

    def __init__(self, watchdog_s: float) -> None:
        self._limit_s = watchdog_s * 1.1
        self._began: dict[str, float] = {}
        self._heard = time.monotonic()
        self._over = threading.Event()

    def pytest_sessionstart(self) -> None:
        signal.signal(signal.SIGTERM, self._told_to_end)
        threading.Thread(target=self._watch, name="stalls", daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        self._over.set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._heard = self._began[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._heard = time.monotonic()
        self._began.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when not in {"setup", "call", "teardown"}:  # that of a test whose worker is gone
            self._began.pop(report.nodeid, None)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            if max([time.monotonic() - self._heard, *self._running().values()]) > self._limit_s:
                self._tell("the run stands still")
                os.kill(os.getpid(), signal.SIGINT)
                if not self._over.wait(_LEAVE_S):
                    os._exit(pytest.ExitCode.INTERRUPTED)
                return

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:
        self._tell("the run was told to end")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _running(self) -> dict[str, float]:
        now = time.monotonic()
        return {name: now - began for name, began in self._began.copy().items()}

    def _tell(self, why: str) -> None:
        tests = [f"  {name}, for {took:.0f} s" for name, took in self._running().items()] or ["  no test"]
        lines = [f"\n{why}; it waits for", *tests]
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, ("\n".join(lines) + "\n").encode())


def watch_for_stalls(config: pytest.Config) -> None:
    """To be called where pytest is configured; workers of a run are watched by the process that started them."""
    watchdog_s = float(config.getini("faulthandler_timeout"))
    if watchdog_s > 0 and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Stalls(watchdog_s), "stalls")
