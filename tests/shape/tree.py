"""The sources as data, for the rules beside this file."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "latchwork"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Sized:
    """Something with a name a person can find, and its length."""

    where: str
    lines: int

    def __str__(self) -> str:
        return f"{self.where} ({self.lines} lines)"


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git tracks, or would: new files that it does not ignore count too."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of every tracked text file that people write."""
    for path in tracked():
        if path.suffix in {".lock", ".png", ".ico", ".woff2", ".svg"}:
            continue
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def modules() -> list[Path]:
    """The package's modules; migrations are lists of statements and follow no measure."""
    return [path for path in sorted(SOURCE.rglob("*.py")) if "versions" not in path.parts]


def functions(path: Path) -> Iterator[Sized]:
    """The functions of a module with the lines of their bodies, docstrings not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, _Function):
            yield Sized(f"{path.relative_to(ROOT)}: {node.name}", _body_lines(node))


def _body_lines(function: _Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1
