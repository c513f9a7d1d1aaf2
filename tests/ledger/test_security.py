"""Each row of the security checklist that is about this surface is held by tests, or it is said why not."""

import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HELD: dict[str, dict[str, Any]] = tomllib.loads((HERE / "security.toml").read_text())
NOT_HERE: dict[str, dict[str, str]] = tomllib.loads((HERE / "not_here.toml").read_text())
ROWS = [f"S{number}" for number in chain(range(1, 24), range(41, 50), range(90, 103))] + ["S99a", "S99b"]


def _held() -> set[str]:
    return {row for entry in HELD.values() for row in entry["rows"]}


def test_every_row_is_held_or_it_is_said_why_not() -> None:
    assert sorted(set(ROWS) - _held() - NOT_HERE.keys()) == []


def test_no_row_is_named_that_there_is_not() -> None:
    assert sorted((_held() | NOT_HERE.keys()) - set(ROWS)) == []


def test_a_row_that_is_held_and_said_not_to_be_is_so_in_part() -> None:
    """`part` names what of a row is left out, and such a row has tests for the rest."""
    in_part = {row for row, entry in NOT_HERE.items() if "part" in entry}
    assert in_part == _held() & NOT_HERE.keys()


def test_a_reason_is_a_sentence() -> None:
    for row, entry in NOT_HERE.items():
        assert {"says"} <= entry.keys() <= {"says", "part"}, row
        assert entry["says"].endswith("."), row
