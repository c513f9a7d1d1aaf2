"""The file of seals: only its latest lines matter, and a torn one does no harm."""

import stat
from pathlib import Path

from latchwork.compose.seals import KEPT, SealFile
from latchwork.domains.audit import Seal


def seal(seq: int, workspace_id: str = "ws_1") -> Seal:
    return Seal(workspace_id, seq, f"{seq:064x}", seq)


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.seals"
    assert SealFile(path).all() == []
    SealFile(path).keep([seal(1), seal(2, "ws_2")])
    SealFile(path).keep([seal(3)])
    assert SealFile(path).all() == [seal(1), seal(2, "ws_2"), seal(3)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.seals"
    SealFile(path).keep([seal(1)])
    with path.open("ab") as file:
        file.write(b'{"workspace_id":"ws_1","se\n\xff\n{"seq":1}\n')
    SealFile(path).keep([seal(2)])
    assert SealFile(path).all() == [seal(1), seal(2)]


def test_the_file_keeps_the_latest_of_each_workspace_and_does_not_grow_for_ever(tmp_path: Path) -> None:
    seals = SealFile(tmp_path / "audit.seals")
    seals.keep([seal(1, "ws_2")])
    seals.keep([seal(seq) for seq in range(10 * KEPT)])
    seals.keep([seal(10 * KEPT)])
    kept = seals.all()
    assert [each for each in kept if each.workspace_id == "ws_2"] == [seal(1, "ws_2")]
    assert [each.seq for each in kept if each.workspace_id == "ws_1"] == list(
        range(9 * KEPT + 1, 10 * KEPT + 1)
    )
