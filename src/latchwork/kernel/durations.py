"""Durations and moments in words, for sentences that people read."""

from datetime import UTC, datetime

_UNITS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond"))


def spoken(duration_ms: int) -> str:
    """`30 days`, `1 minute`, `1500 milliseconds`: in the largest unit that tells it exactly."""
    size, unit = next((size, unit) for size, unit in _UNITS if duration_ms % size == 0)
    count = duration_ms // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def moment(time_ms: int) -> str:
    """`2027-01-15T08:00:00.000Z`, from milliseconds since the epoch; those beyond the calendar as numbers."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    except (ValueError, OverflowError, OSError):
        return str(time_ms)
