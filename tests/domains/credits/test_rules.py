"""What a change makes of a balance."""

import pytest

from latchwork.domains.credits import Balance, Change, Refill
from latchwork.domains.credits.rules import MOST, changed, opened
from latchwork.kernel.faults import BadRequest

DAILY = Refill("daily", 10)
MONTHLY = Refill("monthly", 10, 31)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (None, Change(), None),
        (Balance(5, DAILY), Change(), Balance(5, DAILY)),
        (Balance(5, DAILY), Change(remaining=7), Balance(7, DAILY)),
        (Balance(5, DAILY), Change(remaining=None), None),
        (None, Change(remaining=0), Balance(0)),
        (None, Change(remaining=3, refill=MONTHLY), Balance(3, MONTHLY)),
        (Balance(5, DAILY), Change(refill=None), Balance(5)),
        (Balance(5), Change(refill=Refill("daily", 9, 4)), Balance(5, Refill("daily", 9))),
        (None, Change(refill=None), None),
        (None, Change(remaining=None, refill=None), None),
        (Balance(5, DAILY), Change(add=MOST - 5), Balance(MOST, DAILY)),
        (Balance(5, DAILY), Change(add=-5), Balance(0, DAILY)),
        (Balance(5), Change(add=-6), Balance(0)),
    ],
)
def test_a_change_touches_what_it_names(
    before: Balance | None, change: Change, after: Balance | None
) -> None:
    assert changed(before, change) == after


@pytest.mark.parametrize(
    ("before", "change", "sentence"),
    [
        (None, Change(add=1), "unlimited"),
        (None, Change(add=0), "unlimited"),
        (Balance(5), Change(add=MOST - 4), "exceed"),
        (Balance(5), Change(remaining=MOST + 1), "between 0 and"),
        (Balance(5), Change(remaining=-1), "between 0 and"),
        (None, Change(refill=DAILY), "Unlimited credits cannot be refilled"),
        (Balance(5), Change(remaining=None, refill=DAILY), "Unlimited credits cannot be refilled"),
        (Balance(5), Change(refill=Refill("monthly", 1)), "needs the day"),
        (Balance(5), Change(refill=Refill("monthly", 1, 32)), "between 1 and 31"),
        (Balance(5), Change(refill=Refill("daily", 0)), "A refill must be"),
    ],
)
def test_a_change_that_makes_no_sense_says_so(before: Balance | None, change: Change, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        changed(before, change)


def test_a_first_balance_is_bounded_like_any_other() -> None:
    assert opened(MOST, MONTHLY) == Balance(MOST, MONTHLY)
    with pytest.raises(BadRequest):
        opened(-1, None)
    with pytest.raises(BadRequest):
        opened(1, Refill("monthly", 1, 0))
