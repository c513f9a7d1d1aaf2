"""Calendar months, in UTC; pure."""

from datetime import UTC, datetime

_LONGEST_MONTH_MS = 31 * 86_400_000


def month_start_ms(time_ms: int) -> int:
    """The first moment of the month that `time_ms` is in."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return first_of(moment.year, moment.month)


def following_month_ms(time_ms: int) -> int:
    """The first moment of the month after the one that `time_ms` is in."""
    return month_start_ms(month_start_ms(time_ms) + _LONGEST_MONTH_MS)


def first_of(year: int, month: int) -> int:
    """The first moment of a month."""
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
