"""What the documents tell people to type is there to be typed."""

import re
import subprocess

import pytest

from tests.shape.tree import ROOT, texts

_ASKED = re.compile(r"(?:^|[`$(]|&& )\s*make ([a-z]+)\b", re.MULTILINE)


def _targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_make_target_of_the_documents_exists() -> None:
    asked = {
        (name, target) for name, text in texts() if name.endswith(".md") for target in _ASKED.findall(text)
    }
    assert {(name, target) for name, target in asked if target not in _targets()} == set()


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"make ([a-z]+) ", listed)) == _targets()


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "scripts").glob("*.sh")))
def test_scripts_stop_at_the_first_error_and_are_well_formed(script: str) -> None:
    path = ROOT / "scripts" / script
    assert re.search(r"^set -[e]?uo pipefail$", path.read_text(), re.MULTILINE)
    subprocess.run(["bash", "-n", path], check=True)
