"""Portions: every item once and in order, none heavier than it must be."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from latchwork.domains.migrations.taking import in_portions

MOST = 500


@given(st.lists(st.integers(1, 3 * MOST), max_size=40))
def test_portions_are_everything_in_order_and_light_unless_a_single_item_is_heavy(weights: list[int]) -> None:
    portions = list(in_portions(weights, lambda weight: weight))
    assert [weight for portion in portions for weight in portion] == weights
    assert all(portion for portion in portions)
    assert all(sum(portion) <= MOST or len(portion) == 1 for portion in portions)
    for one, next_ in pairwise(portions):
        assert sum(one) + next_[0] > MOST, "another would have had room"
