"""Which override holds for an identifier."""

import re
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.ratelimits import Override, OverrideMatcher

NOW = 1_700_000_000_000


def override(id: str, identifier: str, expires_at_ms: int | None = None) -> Override:
    return Override(id, "rlns_1", identifier, 10, 60_000, expires_at_ms)


def found(identifier: str, *overrides: Override, now_ms: int = NOW) -> str | None:
    holding = OverrideMatcher(overrides).find(identifier, now_ms)
    return None if holding is None else holding.id


@pytest.mark.parametrize(
    ("pattern", "identifier", "matches"),
    [
        ("user_1", "user_1", True),
        ("user_1", "user_12", False),
        ("user_1", "USER_1", False),
        ("user_*", "user_1", True),
        ("user_*", "user_", True),
        ("user_*", "a_user_1", False),
        ("*_admin", "root_admin", True),
        ("*_admin", "root_admins", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),  # the two ends may not share a character
        ("ab*ba", "abba", True),
        ("a*aa*a", "aaa", False),
        ("a*aa*a", "aaaa", True),
        ("**", "", True),
        ("*", "", True),
        ("*", "anything at all", True),
        ("a.c*", "abc", False),
        ("a.c*", "a.cd", True),
        ("[ab]+*", "ab", False),
        ("user_*", "user_1\nuser_2", False),
        ("*", "\n", False),
        ("a\n*", "a\nb", True),
        ("*\n*", "a\nb", True),
        ("*\n*", "a\nb\nc", False),
        ("*", "a\rb\u2028c", True),
    ],
)
def test_what_a_pattern_matches(pattern: str, identifier: str, matches: bool) -> None:
    assert found(identifier, override("o", pattern)) == ("o" if matches else None)


def test_an_exact_identifier_wins_over_a_longer_pattern() -> None:
    assert found("user_1", override("a", "*user_1*"), override("b", "user_1")) == "b"


def test_a_pattern_is_an_exact_identifier_too() -> None:
    assert found("u*", override("a", "u*"), override("b", "u**")) == "a"


def test_the_most_literal_pattern_wins() -> None:
    overrides = [override("a", "*"), override("b", "user_*"), override("c", "*_1"), override("d", "us*")]
    assert found("user_1", *overrides) == "b"
    assert found("abc_1", *overrides) == "c"
    assert found("abc", *overrides) == "a"


def test_of_equally_literal_patterns_the_lowest_id_wins_in_whatever_order_they_come() -> None:
    overrides = [override("b", "user*"), override("c", "*er_1"), override("a", "u*r_1")]
    assert found("user_1", *overrides) == found("user_1", *reversed(overrides)) == "a"


def test_an_override_holds_until_it_expires_and_the_next_one_after_it() -> None:
    overrides = [override("a", "user_1", NOW), override("b", "user_*", NOW + 1), override("c", "*")]
    assert [found("user_1", *overrides, now_ms=NOW + later) for later in (0, 1, 2)] == ["a", "b", "c"]


def test_nobody_matches_where_there_are_no_overrides() -> None:
    assert found("user_1") is None


texts = st.text("ab*\n", max_size=12)


@given(st.lists(texts, max_size=6, unique=True), st.text("ab*\n", max_size=12))
def test_it_finds_what_regular_expressions_find(patterns: list[str], identifier: str) -> None:
    overrides = [override(f"o{number}", pattern) for number, pattern in enumerate(patterns)]

    def better(best: Override | None, other: Override) -> Override:
        if best is None or best.identifier == identifier:
            return best or other
        literals = len(other.identifier.replace("*", "")) - len(best.identifier.replace("*", ""))
        return other if literals > 0 or other.identifier == identifier else best

    matching = [
        candidate
        for candidate in overrides
        if re.fullmatch(".*".join(map(re.escape, candidate.identifier.split("*"))), identifier)
    ]
    best: Override | None = reduce(better, matching, None)
    assert found(identifier, *overrides) == (None if best is None else best.id)


def test_a_hostile_pattern_is_answered_like_any_other() -> None:
    pattern = "a*" * 250 + "b"
    assert found("a" * 512, override("o", pattern)) is None
    assert found("a" * 511 + "b", override("o", pattern)) == "o"
