"""No rule without a test, and no test named that does not exist."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
NO_RULES = "not_here.toml"
LEDGER: dict[str, dict[str, object]] = {
    f"{file.stem}: {rule}": entry
    for file in sorted(HERE.glob("*.toml"))
    if file.name != NO_RULES
    for rule, entry in tomllib.loads(file.read_text()).items()
}


@cache
def _tests_in(file: str) -> frozenset[str]:
    path = TESTS / file
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def _cited() -> Iterator[tuple[str, str]]:
    for rule, entry in LEDGER.items():
        tests = entry["tests"]
        assert isinstance(tests, list)
        for test in tests:
            yield rule, test


@pytest.mark.parametrize("rule", LEDGER)
def test_a_rule_is_a_sentence_and_has_a_test(rule: str) -> None:
    entry = LEDGER[rule]
    rows = {"rows"} if rule.startswith("security: ") else set()
    assert entry.keys() == {"says", "tests"} | rows
    assert str(entry["says"]).endswith(".") and entry["tests"]


def test_every_cited_test_exists() -> None:
    missing = []
    for rule, test in _cited():
        file, _, name = test.partition("::")
        if not (TESTS / file).exists() or name not in _tests_in(file):
            missing.append((rule, test))
    assert missing == []


def test_no_rule_cites_a_test_twice() -> None:
    for rule, entry in LEDGER.items():
        tests = entry["tests"]
        assert isinstance(tests, list)
        assert len(set(tests)) == len(tests), rule
