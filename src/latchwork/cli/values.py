"""How limits, durations and moments are written on the command line."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(\d+)(ms|[smhdw])")
_LIMIT = re.compile(r"(?P<name>[^=]+)=(?P<limit>\d+)/(?P<duration>\w+)")


def duration_ms(text: str) -> int | None:
    """`90s`, `15m`, `30d`, … in milliseconds; `None` for anything else."""
    matched = _DURATION.fullmatch(text.strip())
    return None if matched is None else int(matched[1]) * _UNITS_MS[matched[2]]


def limit(text: str) -> dict[str, Any]:
    """`name=10/60s`: ten in sixty seconds, applied to every verification."""
    matched = _LIMIT.fullmatch(text)
    lasting_ms = None if matched is None else duration_ms(matched["duration"])
    if matched is None or lasting_ms is None:
        raise click.BadParameter(f"{text!r} is not a limit; write it as name=10/60s, in ms, s, m, h, d or w.")
    return {
        "name": matched["name"],
        "limit": int(matched["limit"]),
        "duration": lasting_ms,
        "autoApply": True,
    }


def moment_ms(text: str | None) -> int | None:
    """A moment in milliseconds since the epoch: `30d` from now, `2030-01-31`, or an ISO date and time."""
    if text is None:
        return None
    from_now_ms = duration_ms(text)
    if from_now_ms is not None:
        return int(time.time() * 1000) + from_now_ms
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        wanted = "30d for thirty days from now, 2030-01-31 or 2030-01-31T12:00:00+00:00"
        raise click.BadParameter(f"{text!r} is not a moment; write {wanted}.") from None
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
