"""What must hold of balances, changes and holds; pure."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from msgspec import UNSET, UnsetType

from latchwork.domains.credits.records import Balance, Change, Refill
from latchwork.kernel.faults import BadRequest

MOST = 2**53 - 1
"""The highest balance: the largest integer that every reader of JSON takes exactly."""

DAY_MS = 24 * 60 * 60 * 1000

LONGEST_HOLD_MS = DAY_MS
"""A day: whoever has not settled by then has gone away, and the credits are missed elsewhere."""


def changed(before: Balance | None, change: Change) -> Balance | None:
    """`before` after `change`, `None` for unlimited; raises `BadRequest` where it makes no sense."""
    return _refilled(_counted(before, change), change.refill)


def opened(remaining: int, refill: Refill | None) -> Balance:
    """A first balance; raises `BadRequest` when it is out of bounds."""
    return Balance(_bounded(remaining), None if refill is None else _sensible(refill))


def next_refill_ms(refill: Refill, after_ms: int) -> int:
    """The first midnight of UTC after `after_ms` at which the refill is due.

    A monthly one whose day a month does not have is due on that month's last day.
    """
    if refill.day is None:
        return (after_ms // DAY_MS + 1) * DAY_MS
    month = datetime.fromtimestamp(after_ms / 1000, UTC).replace(day=1)
    due_ms = _midnight_ms(month, refill.day)
    return due_ms if due_ms > after_ms else _midnight_ms(month + timedelta(days=32), refill.day)


def _midnight_ms(month: datetime, day: int) -> int:
    """The midnight with which that day of a month begins, or its last day."""
    last = monthrange(month.year, month.month)[1]
    return int(datetime(month.year, month.month, min(day, last), tzinfo=UTC).timestamp() * 1000)


def check_hold(amount: int, ttl_ms: int) -> None:
    """Raise `BadRequest` unless a hold may have this size and this time to live."""
    if not 1 <= amount <= MOST:
        raise BadRequest(f"A reservation must be of 1 to {MOST} credits.")
    if not 1 <= ttl_ms <= LONGEST_HOLD_MS:
        raise BadRequest(f"A reservation may last 1 to {LONGEST_HOLD_MS} milliseconds.")


def _counted(before: Balance | None, change: Change) -> Balance | None:
    if change.remaining is None:
        return None
    refill = None if before is None else before.refill
    if not isinstance(change.remaining, UnsetType):
        before = Balance(_bounded(change.remaining), refill)
    if change.add is None:
        return before
    if before is None:
        raise BadRequest("Credits cannot be added to or taken from a key or identity with unlimited credits.")
    return Balance(_raised(before.remaining, change.add), refill)


def _raised(remaining: int, add: int) -> int:
    if remaining + add > MOST:
        raise BadRequest(f"Adding {add} to {remaining} would exceed the highest balance, {MOST}.")
    return max(0, remaining + add)


def _bounded(remaining: int) -> int:
    if not 0 <= remaining <= MOST:
        raise BadRequest(f"Remaining credits must be between 0 and {MOST}.")
    return remaining


def _refilled(balance: Balance | None, refill: Refill | UnsetType | None) -> Balance | None:
    if refill is UNSET or (balance is None and refill is None):
        return balance
    if balance is None:
        raise BadRequest("Unlimited credits cannot be refilled: give the remaining credits as a number.")
    assert not isinstance(refill, UnsetType)
    return Balance(balance.remaining, None if refill is None else _sensible(refill))


def _sensible(refill: Refill) -> Refill:
    if not 1 <= refill.amount <= MOST:
        raise BadRequest(f"A refill must be of 1 to {MOST} credits.")
    if refill.interval == "daily":
        return Refill("daily", refill.amount)
    if refill.day is None:
        raise BadRequest("A monthly refill needs the day of the month on which it happens.")
    if not 1 <= refill.day <= 31:
        raise BadRequest("The day of a monthly refill must be between 1 and 31.")
    return refill
