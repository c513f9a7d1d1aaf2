"""Answers as JSON, as many of them as may be told."""

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from latchwork.domains.analytics.faults import QueryMemoryExceeded, QueryRowsExceeded
from latchwork.domains.analytics.sql.tree import Question
from latchwork.domains.analytics.sql.types import MOMENT, Type

MOST_BYTES = 4 * 1024 * 1024
MOST_ROWS = 10_000_000
_EXACT = 2**53  # integers up to here survive in clients that have only floats

_encode = msgspec.json.Encoder().encode


def rendered(
    question: Question,
    rows: Iterable[Sequence[Any]],
    most_bytes: int = MOST_BYTES,
    most_rows: int = MOST_ROWS,
) -> bytes:
    """The rows as a JSON list of objects; raises `QueryMemoryExceeded` or `QueryRowsExceeded` for too many."""
    parts: list[bytes] = []
    size = 0
    for row in rows:
        told = zip(question.names, question.types, row, strict=True)
        part = _encode({name: _plain(value, type_) for name, type_, value in told})
        size += len(part) + 1
        parts.append(part)
        if len(parts) > most_rows:
            raise QueryRowsExceeded
        if size > most_bytes:
            raise QueryMemoryExceeded(
                f"The answer is larger than {most_bytes >> 20} MiB; ask for less of it."
            )
    return b"[" + b",".join(parts) + b"]"


def _plain(value: Any, type_: Type) -> Any:
    """A value as JSON has it: times in UTC with a Z, integers that are too large as text, no infinity."""
    match value:
        case datetime():
            return f"{value.isoformat(timespec='milliseconds' if type_ == MOMENT else 'seconds')}Z"
        case date():
            return value.isoformat()
        case float():
            return value if math.isfinite(value) else None
        case bool():
            return value
        case int():
            return value if -_EXACT < value < _EXACT else str(value)
        case list() | tuple():
            return [_plain(each, type_.of or type_) for each in value]
    return value
