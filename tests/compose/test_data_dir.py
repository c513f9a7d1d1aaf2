"""One owner of the data directory at a time."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from latchwork.compose.data_dir import DataDir, DataDirLocked, DataDirUnusable

_HOLDER = """
import sys
from pathlib import Path
from latchwork.compose.data_dir import DataDir
with DataDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    """A process of its own that owns `path` until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def test_a_new_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "deep" / "data")
    with directory.lock():
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(directory.spool.stat().st_mode) == 0o700


def test_its_files_have_their_places(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    names = {directory.database.name, directory.analytics.name, directory.control_socket.name}
    assert names == {"latchwork.db", "analytics.duckdb", "control.sock"}


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    holder = _holder(tmp_path)
    with pytest.raises(DataDirLocked) as caught, DataDir(tmp_path).lock():
        pass
    _end(holder)
    assert caught.value.pid == holder.pid
    assert str(caught.value) == f"The data directory {tmp_path} is in use by process {holder.pid}."


def test_even_the_same_process_owns_it_once(tmp_path: Path) -> None:
    with DataDir(tmp_path).lock(), pytest.raises(DataDirLocked), DataDir(tmp_path).lock():
        pass


def test_it_is_free_again_when_the_owner_lets_go(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDir(tmp_path).lock():
            pass


def test_it_is_free_again_when_the_owner_is_killed(tmp_path: Path) -> None:
    holder = _holder(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with DataDir(tmp_path).lock():
        pass


def test_a_shorter_process_number_replaces_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / "latchwork.lock").write_text("99999999999")
    directory = DataDir(tmp_path)
    with directory.lock(), pytest.raises(DataDirLocked) as caught, DataDir(tmp_path).lock():
        pass
    assert caught.value.pid == os.getpid()


def test_an_owner_that_has_not_written_its_number_yet_is_another_process(tmp_path: Path) -> None:
    assert (
        str(DataDirLocked(tmp_path, None)) == f"The data directory {tmp_path} is in use by another process."
    )


def test_a_file_in_its_place_makes_it_unusable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with (
        pytest.raises(DataDirUnusable, match="cannot be written: file exists"),
        DataDir(tmp_path / "data").lock(),
    ):
        pass


def test_a_directory_where_the_lock_belongs_makes_it_unusable(tmp_path: Path) -> None:
    (tmp_path / "latchwork.lock").mkdir()
    with pytest.raises(DataDirUnusable, match="cannot be written: is a directory"), DataDir(tmp_path).lock():
        pass


def test_a_directory_on_a_read_only_file_system_is_unusable() -> None:
    with pytest.raises(DataDirUnusable, match="The data directory /proc/latchwork cannot be written"):
        DataDir(Path("/proc/latchwork")).create()


@pytest.mark.parametrize(
    ("own", "workers", "adopted"),
    [
        (".", 0, {"w0", "w1", "w2", "own"}),
        ("workers/0", 2, {"w0", "w2", "own"}),
        ("workers/0", 4, {"w0", "own"}),
    ],
    ids=["one process", "fewer workers", "as many workers"],
)
def test_events_that_nobody_sends_any_more_are_adopted(
    tmp_path: Path, own: str, workers: int, adopted: set[str]
) -> None:
    for number in range(3):
        DataDir(tmp_path / "workers" / str(number)).create()
        (tmp_path / "workers" / str(number) / "spool" / f"w{number}.batch").touch()
    DataDir(tmp_path).create()
    (tmp_path / "spool" / "own.batch").touch()
    directory = DataDir(tmp_path / own)
    directory.adopt(tmp_path, workers)
    assert {path.stem for path in directory.spool.iterdir()} == adopted
