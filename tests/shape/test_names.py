"""Names that say nothing, words that do not belong, tests that do not run."""

import ast
import io
import re
import tokenize
from pathlib import Path

from tests.shape.tree import ROOT, modules, texts, tracked

HOLLOW_NAMES = {
    "base",
    "bases",
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "util",
    "utils",
}
# Written so that this file does not match itself.
MACHINE_PATHS = re.compile(rf"{re.escape(str(ROOT))}/|/(?:root|wor[k])/[\w.]|bash[_]jobs")
ISSUE_NUMBERS = re.compile(r"\b[Ii]ssues?\s+#?\d+|(?:^|[\s(])#\d+\b(?!-)", re.MULTILINE)
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b")
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    hollow = [m for m in modules() if {m.stem, m.parent.name} & HOLLOW_NAMES]
    assert hollow == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert _lines_with(MACHINE_PATHS) == []


def test_no_tracked_file_cites_a_number_of_the_tracker() -> None:
    assert _lines_with(ISSUE_NUMBERS) == []


def test_no_source_is_left_unfinished() -> None:
    assert _lines_with(UNFINISHED) == []


def test_comments_are_sentences_and_not_code_that_was_switched_off() -> None:
    switched_off = [
        f"{module.relative_to(ROOT)}: {comment}"
        for module in modules()
        for comment in _comments(module)
        if _is_statement(comment)
    ]
    assert switched_off == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    skipping = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in tracked()
        if path.suffix == ".py" and "tests" in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and _of_pytest(node)
    ]
    assert skipping == []


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for name, text in texts()
        for match in pattern.finditer(text)
    ]


def _comments(module: Path) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(module.read_text()).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]


def _is_statement(comment: str) -> bool:
    """Whether a comment reads as an assignment, an import, a call or a return rather than as words."""
    if not re.search(r"[=()]|^import |^return", comment):
        return False
    try:
        body = ast.parse(comment).body
    except SyntaxError:
        return False
    code = (ast.Assign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.Return)
    return any(isinstance(node, code) or _is_call(node) for node in body)


def _is_call(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _of_pytest(node: ast.Attribute) -> bool:
    owner = node.value.value if isinstance(node.value, ast.Attribute) else node.value
    return isinstance(owner, ast.Name) and owner.id == "pytest"
