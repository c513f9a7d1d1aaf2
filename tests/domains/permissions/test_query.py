"""The language in which a verification asks for permissions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.permissions import QuerySyntaxError, compile_query

slugs = st.sampled_from(["a", "b", "documents.read", "or_x", "android", "x:*/y"])
queries = st.recursive(
    slugs,
    lambda inner: st.tuples(inner, st.sampled_from([" AND ", " or "]), inner).map(
        lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"
    ),
    max_leaves=8,
)


@given(queries, st.frozensets(slugs))
def test_a_query_means_what_the_same_boolean_expression_means(query: str, held: frozenset[str]) -> None:
    expression = query.replace("(", " ( ").replace(")", " ) ")
    words = {"AND": "and", "or": "or", "(": "(", ")": ")"}
    python = " ".join(words.get(word, str(word in held)) for word in expression.split())
    assert compile_query(query).allows(held) == eval(python)


def test_and_binds_tighter_than_or() -> None:
    assert compile_query("a OR b AND c").allows(frozenset("a"))
    assert not compile_query("(a OR b) AND c").allows(frozenset("a"))


@pytest.mark.parametrize(
    "wrong", ["", "  ", "()", "(a", "a)", "AND a", "a OR", "a b", "a AND AND b", "a § b", "a, b"]
)
def test_what_is_not_a_query_is_refused_with_a_place(wrong: str) -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        compile_query(wrong)
    assert refused.value.detail


def test_an_illegal_character_is_named_with_its_position() -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        compile_query("a AND b$")
    assert "$" in refused.value.detail and "7" in refused.value.detail


def test_deep_nesting_is_no_danger() -> None:
    assert compile_query("(" * 499 + "a" + ")" * 499).allows(frozenset("a"))


def test_what_is_missing_is_told() -> None:
    assert "b" in str(compile_query("a AND b").missing(frozenset("a")))
