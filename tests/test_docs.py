"""The pages that tell people what to type: every command is run, every answer they promise is looked for."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from latchwork.kernel.sealing import SealingKey
from tests.cli.processes import environment, serving

ROOT = Path(__file__).parent.parent
ROOT_KEY = "lw_root_only_for_the_test_of_the_documents"
_BLOCK = re.compile(r"(<!-- run -->\n)?^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
_PROMISE = "# -> "
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # with `latchwork` in it


class Command(NamedTuple):
    """Shell lines, and what they are promised to print."""

    script: str
    promises: list[str]


def commands(page: str, marked_only: bool) -> list[Command]:
    """The commands of a page, cut after each group of promises, in order."""
    found = []
    for mark, block in _BLOCK.findall((ROOT / page).read_text()):
        if marked_only and not mark:
            continue
        script: list[str] = []
        promises: list[str] = []
        for line in block.splitlines():
            if line.startswith(_PROMISE):
                promises.append(line.removeprefix(_PROMISE))
                continue
            if promises:
                found.append(Command("\n".join(script), promises))
                script, promises = [], []
            script.append(line)
        found.append(Command("\n".join(script), promises))
    return found


@pytest.mark.parametrize(
    ("page", "marked_only"),
    [
        ("README.md", True),
        ("docs/tutorial.md", False),
        ("docs/how-to/recoverable-keys.md", True),
        ("docs/reference/analytics-sql.md", True),
        ("docs/how-to/credits.md", True),
        ("docs/how-to/forward-auth.md", False),
        ("docs/how-to/permissions-and-roles.md", True),
        ("docs/how-to/portals.md", False),
        ("docs/how-to/moving-to-latchwork.md", True),
    ],
)
def test_what_a_page_says_to_type_answers_what_it_says(page: str, marked_only: bool, tmp_path: Path) -> None:
    every = commands(page, marked_only)
    assert sum(len(command.promises) for command in every) >= 2
    settings = {
        "LATCHWORK_BOOTSTRAP_ROOT_KEY": ROOT_KEY,
        "LATCHWORK_ENCRYPTION__KEY": SealingKey.fresh().reveal(),
    }
    with serving(tmp_path, **settings) as server:
        # One shell for all, so that variables stay; a separator tells the answers apart.
        script = "\n".join(f"{command.script}\nprintf '\\036'" for command in every)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment({"URL": server.ready["url"], "ROOT_KEY": ROOT_KEY, "PATH": _PATH}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    answers = ran.stdout.split("\036")
    broken = [
        (promise, answer)
        for command, answer in zip(every, answers, strict=False)
        for promise in command.promises
        if promise not in answer
    ]
    assert broken == []


def test_every_link_between_the_pages_leads_somewhere() -> None:
    pages = [path for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")]
    pages += ROOT.glob("*.md")
    links = [(page, link) for page in pages for link in _LINK.findall(page.read_text())]
    assert [(str(page), link) for page, link in links if not (page.parent / link).exists()] == []
