"""Seals that an earlier version kept in files: a torn line does no harm, and every worker's are found."""

import json
from dataclasses import asdict
from pathlib import Path

from latchwork.compose.data_dir import DataDir
from latchwork.compose.seals import SealFiles
from latchwork.domains.audit import Seal
from latchwork.domains.audit.seals import KEPT


def seal(seq: int, workspace_id: str = "ws_1") -> Seal:
    return Seal(workspace_id, seq, f"{seq:064x}", seq)


def write(directory: Path, *seals: Seal) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "audit.seals"
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in seals))
    return path


async def test_where_there_are_none_there_are_none(tmp_path: Path) -> None:
    files = SealFiles(DataDir(tmp_path))
    assert await files.all() == []
    await files.forget()


async def test_they_are_read_and_then_forgotten(tmp_path: Path) -> None:
    write(tmp_path, seal(1), seal(2, "ws_2"))
    write(tmp_path / "workers" / "1", seal(3))
    files = SealFiles(DataDir(tmp_path))
    assert sorted(each.seq for each in await files.all()) == [1, 2, 3]
    await files.forget()
    assert await files.all() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, seal(1))
    with path.open("ab") as file:
        file.write(b'{"workspace_id":"ws_1","se\n\xff\n{"seq":1}\n{"workspace_id":"\xff\xfe"}\n')
    assert await SealFiles(DataDir(tmp_path)).all() == [seal(1)]


async def test_the_latest_of_each_workspace_are_enough(tmp_path: Path) -> None:
    write(tmp_path, seal(1, "ws_2"), *(seal(seq) for seq in range(KEPT + 5)))
    seals = await SealFiles(DataDir(tmp_path)).all()
    assert [each.seq for each in seals if each.workspace_id == "ws_2"] == [1]
    assert [each.seq for each in seals if each.workspace_id == "ws_1"] == list(range(5, KEPT + 5))


async def test_those_of_workers_that_are_no_more_are_adopted(tmp_path: Path) -> None:
    write(tmp_path, seal(1))
    write(tmp_path / "workers" / "1", seal(2))
    own = DataDir(tmp_path / "workers" / "0")
    write(own.path, seal(3))
    own.create()
    own.adopt(tmp_path, 1)
    assert sorted(each.seq for each in await SealFiles(own).all()) == [1, 2, 3]
