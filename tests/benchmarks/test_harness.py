"""What the figures rest on: that processes are started, counted and ended as they should be."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Figure
from benchmarks.harness import BenchError, Served, free_port
from benchmarks.load import Load, Sent, script
from benchmarks.rounds import Round, Rounds

SPINNING = """
import http.server, os, subprocess, sys
child = "import time\\nwhile time.process_time() < 1.1: pass"
subprocess.run([sys.executable, "-c", child])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def _served(tmp_path: Path, program: str) -> Served:
    port = free_port()
    return Served([sys.executable, "-c", program, str(port)], port, log=tmp_path / "log", deadline_s=20)


def test_cpu_time_includes_children_that_have_ended(tmp_path: Path) -> None:
    with _served(tmp_path, SPINNING) as server:
        assert server.cpu_s() >= 1


def test_a_server_is_gone_after_its_measurement(tmp_path: Path) -> None:
    with _served(tmp_path, SPINNING) as server:
        pid = server.pid
        assert server.memory_bytes() > 1_000_000
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_does_not_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(BenchError, match="no port for you"),
        _served(tmp_path, "raise SystemExit('no port for you')"),
    ):
        pass


def test_a_ratio_above_one_is_a_goal_reached_whichever_way_it_points() -> None:
    floor, ceiling = Figure("F", "", 3, "least", 2), Figure("C", "", 3, "most", 2)
    assert (floor.ratio, floor.reached) == (1.5, True)
    assert (round(ceiling.ratio, 2), ceiling.reached) == (0.67, False)


def test_the_median_of_the_rounds_is_what_counts() -> None:
    sent = Sent(1000, 2.0, 0, 0, 1.0, 1.0, 2.0, 3.0, 4.0)
    rounds = Rounds(tuple(Round(sent, cpu_us, 0.0) for cpu_us in (30.0, 10.0, 900.0)))
    assert (rounds.cpu_us, rounds.per_s, rounds.worst_ms) == (30.0, 500.0, 4.0)


def test_the_load_sends_each_body_with_its_length_and_the_headers_given() -> None:
    load = Load("/v2/keys.verifyKey", ["{}"], headers=(("Authorization", "Bearer one"),), rate=1000)
    lua = script(load, 8765, Path("bodies"))
    assert "POST /v2/keys.verifyKey HTTP/1.1\\r\\n" in lua
    assert "Authorization: Bearer one\\r\\n" in lua
    assert "+ 1.000000000" in lua
