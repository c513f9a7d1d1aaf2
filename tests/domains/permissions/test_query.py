"""The permission query language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.permissions import QuerySyntaxError, compile_query


@pytest.mark.parametrize(
    ("query", "held", "allowed"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "", False),
        ("a AND b", "a b", True),
        ("a AND b", "a", False),
        ("a OR b", "b", True),
        ("a OR b", "c", False),
        ("a OR b AND c", "a", True),  # AND binds tighter
        ("a OR b AND c", "b", False),
        ("(a OR b) AND c", "a", False),
        ("(a OR b) AND c", "b c", True),
        ("a AND b OR c AND d", "c d", True),
        ("a AND b OR c AND d", "b c", False),
        ("a and b Or c", "c", True),
        ("((a))", "a", True),
        ("\ta\r\nAND\n b ", "a b", True),
        ("a OR(b)AND(c)", "b c", True),
        ("android", "android", True),
        ("or_x AND x.and", "or_x x.and", True),
        ("documents.*", "documents.read", False),  # a star is a character
        ("documents.*", "documents.*", True),
        ("a:b/c-d_e.f*", "a:b/c-d_e.f*", True),
        ("Read", "read", False),
        ("a AND a", "a", True),
    ],
)
def test_what_a_query_allows(query: str, held: str, allowed: bool) -> None:
    assert compile_query(query).allows(frozenset(held.split())) is allowed


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "The permission query is empty."),
        (" \t\r\n", "The permission query is empty."),
        ("()", "Empty parentheses at position 1: they must hold a permission."),
        ("a AND ( )", "Empty parentheses at position 8: they must hold a permission."),
        ("(a", "The query ends at position 2, and the '(' at position 0 is not closed."),
        ("(a OR (b", "The query ends at position 8, and the '(' at position 6 is not closed."),
        ("(", "The query ends at position 1 after '(': a permission or '(' must come here."),
        ("a)", "Unexpected ')' at position 1: no parenthesis is open."),
        (")", "Unexpected ')' at position 0: a permission or '(' must come here."),
        ("AND a", "Unexpected 'AND' at position 0: a permission or '(' must come here."),
        ("or", "Unexpected 'or' at position 0: a permission or '(' must come here."),
        ("a OR", "The query ends at position 4 after 'OR': a permission or '(' must come here."),
        ("a AND OR b", "Unexpected 'OR' at position 6: a permission or '(' must come here."),
        ("(a AND )", "Unexpected ')' at position 7: a permission or '(' must come here."),
        ("a b", "Unexpected 'b' at position 2: AND, OR or ')' must come here."),
        ("a (b)", "Unexpected '(' at position 2: AND, OR or ')' must come here."),
        ("(a) b", "Unexpected 'b' at position 4: AND, OR or ')' must come here."),
        ("a".ljust(1_001), "The permission query is 1001 characters long; at most 1000 are allowed."),
    ],
)
def test_what_is_wrong_with_a_query_is_said_with_its_position(query: str, detail: str) -> None:
    with pytest.raises(QuerySyntaxError) as refusal:
        compile_query(query)
    assert refusal.value.detail == detail


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("a AND b@c", "Invalid character '@' at position 7"),
        ("$", "Invalid character '$' at position 0"),
        ("a\u00a0OR b", "Invalid character '\\xa0' at position 1"),  # not one of the four kinds of space
        ("a\x00", "Invalid character '\\x00' at position 1"),
        ("\ud800", "Invalid character '\\ud800' at position 0"),
        ("é", "Invalid character 'é' at position 0"),
    ],
)
def test_an_illegal_character_is_named_in_a_way_that_can_be_sent(query: str, told: str) -> None:
    with pytest.raises(QuerySyntaxError) as refusal:
        compile_query(query)
    assert refusal.value.detail.startswith(told)
    assert refusal.value.detail.encode()


def test_the_fault_is_the_one_of_the_contract() -> None:
    with pytest.raises(QuerySyntaxError) as refusal:
        compile_query("(")
    fault = refusal.value
    assert (fault.code, fault.status, fault.title) == (
        "user/bad_request/permissions_query_syntax_error",
        400,
        "Bad Request",
    )


def test_nesting_is_limited_by_length_alone() -> None:
    assert compile_query("(" * 499 + "a" + ")" * 499).allows({"a"})
    left = "a OR(b AND(" * 70 + "c" + "))" * 70
    assert compile_query(left).allows({"b", "c"})
    assert not compile_query(left).allows({"c"})


def test_a_query_is_compiled_once() -> None:
    assert compile_query("seen AND again") is compile_query("seen AND again")
    assert repr(compile_query("seen")) == "PermissionQuery('seen')"


@pytest.mark.parametrize(
    ("query", "held", "told"),
    [
        ("a", "", "a"),
        ("a OR b", "", "a or b"),
        ("a AND b", "", "a and b"),
        ("a AND b", "b", "a"),
        ("a AND b OR c", "", "c or (a and b)"),
        ("(a OR b) AND (a OR c)", "", "a or (b and c)"),
        ("(a OR b) AND c", "a", "c"),
        ("a OR b OR c OR d OR e OR f", "", "a or b or c or d or e or other combinations"),
    ],
)
def test_what_is_missing_is_told_smallest_first(query: str, held: str, told: str) -> None:
    missing = compile_query(query).missing(frozenset(held.split()))
    assert missing
    assert str(missing) == told


def test_nothing_is_missing_where_the_query_is_satisfied() -> None:
    missing = compile_query("a OR b").missing({"b"})
    assert not missing
    assert missing.alternatives == ()


def test_what_is_missing_from_a_hostile_query_is_still_told_and_true() -> None:
    query = compile_query(" AND ".join(f"(a{n} OR b{n} AND c{n})" for n in range(40)))
    missing = query.missing(frozenset())
    assert missing.more
    assert str(missing).endswith("or other combinations")
    for slugs in missing.alternatives:
        assert query.allows(set(slugs))
        assert not any(query.allows(set(slugs) - {slug}) for slug in slugs)


def test_no_alternative_has_idle_permissions_even_where_some_were_left_out() -> None:
    any_of_many = " OR ".join(f"a{n}" for n in range(40))
    missing = compile_query(f"({any_of_many}) AND (a39 OR q)").missing(frozenset())
    assert missing.alternatives[0] == ("a39",)
    assert missing.more


# A tree is a slug or a pair of a keyword and its parts, so that the oracle needs no parser.
Tree = str | tuple[str, list["Tree"]]
slugs = st.sampled_from(["a", "b", "c", "d", "x.y:*"])
trees: st.SearchStrategy[Tree] = st.recursive(
    slugs, lambda parts: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(parts, min_size=1, max_size=4))
)


def written(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    keyword, parts = tree
    return f" {keyword} ".join(part if isinstance(part, str) else f"({written(part)})" for part in parts)


def holds(tree: Tree, held: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in held
    keyword, parts = tree
    return (all if keyword == "AND" else any)(holds(part, held) for part in parts)


@given(trees, st.sets(slugs))
def test_a_query_allows_what_its_tree_says(tree: Tree, held: set[str]) -> None:
    text = written(tree)
    if len(text) <= 1_000:
        assert compile_query(text).allows(held) == holds(tree, held)


@given(st.lists(st.lists(slugs, min_size=1, max_size=6), min_size=1, max_size=8), st.sets(slugs))
def test_and_binds_tighter_than_or(terms: list[list[str]], held: set[str]) -> None:
    text = " or ".join(" and ".join(term) for term in terms)
    assert compile_query(text).allows(held) == any(held.issuperset(term) for term in terms)


@given(trees, st.sets(slugs))
def test_every_alternative_is_enough_and_none_of_its_permissions_is_idle(tree: Tree, held: set[str]) -> None:
    text = written(tree)
    if len(text) > 1_000 or holds(tree, held):
        return
    missing = compile_query(text).missing(held)
    assert missing.alternatives
    for alternative in missing.alternatives:
        assert holds(tree, held | set(alternative))
        assert not any(holds(tree, held | set(alternative) - {slug}) for slug in alternative)


@given(st.text("ab()ANDORandor @", max_size=40) | st.text(max_size=40))
def test_any_text_is_either_understood_or_refused(text: str) -> None:
    try:
        query = compile_query(text)
    except QuerySyntaxError as refusal:
        assert refusal.detail
    else:
        assert query.text == text
