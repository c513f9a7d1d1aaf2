"""A process whose coverage is measured does not stand still when its threads end."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_THREADS_END = """
import faulthandler
import threading
import time

def ends():
    pass

def end_some():
    while True:
        some = [threading.Thread(target=ends) for _ in range(3)]
        for each in some:
            each.start()
        for each in some:
            each.join()

def called():
    pass

faulthandler.dump_traceback_later(60, exit=True)
for _ in range(3):
    threading.Thread(target=end_some, daemon=True).start()
until = time.monotonic() + 5
while time.monotonic() < until:
    called()
"""


def test_a_measured_process_survives_the_ends_of_its_threads(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_THREADS_END)
    measured = [
        sys.executable,
        "-m",
        "coverage",
        "run",
        "--rcfile=/dev/null",
        "--concurrency=thread,greenlet",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts/measured")}
    run = subprocess.run(
        [*measured, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
