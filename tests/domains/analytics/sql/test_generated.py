"""Whatever is asked, both engines answer the same, or both cannot."""

from collections import Counter
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.domains.analytics import InvalidQuery, RangeExceedsRetention
from tests.domains.analytics.sql.engines import RANDOM, Both
from tests.domains.analytics.sql.generated import Made, queries

_EXAMPLES = 150


def test_both_engines_answer_any_query_the_same(both: Both) -> None:
    answered: Counter[bool] = Counter()

    @settings(max_examples=_EXAMPLES)
    @given(made=queries(), workspace_id=st.sampled_from(["ws_1", *RANDOM]))
    def ask(made: Made, workspace_id: str) -> None:
        with suppress(InvalidQuery, RangeExceedsRetention):
            rows = both.rows(made.sql, workspace_id=workspace_id, in_order=made.is_sorted)
            answered[bool(rows)] += 1

    ask()
    assert answered[True] > _EXAMPLES / 3, "too many queries are refused or find nothing"
