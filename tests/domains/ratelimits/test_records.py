"""Checks and the keys of their counters."""

from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SHADOW,
    TOKEN_BUCKET,
    LimitCheck,
    LimitRule,
    counter_key,
)

ids = st.text("abc_19", min_size=1)
parts = st.tuples(ids, ids, st.text())


@given(parts, parts)
def test_counters_of_different_owners_or_names_never_share_a_key(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (counter_key(*one) == counter_key(*other)) == (one == other)


def test_a_rule_asks_with_everything_it_says() -> None:
    rule = LimitRule("rl_1", "bursts", 10, 1_000, True, TOKEN_BUCKET, 20, SHADOW)
    assert rule.check("k", 3) == LimitCheck("k", 10, 1_000, 3, TOKEN_BUCKET, 20, SHADOW)


def test_only_a_token_bucket_has_a_burst() -> None:
    assert LimitCheck("k", 10, 1_000, 1, TOKEN_BUCKET, 20).capacity == 20
    assert LimitCheck("k", 10, 1_000, 1, MOVING_WINDOW, 20).capacity == 10
