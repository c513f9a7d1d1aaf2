"""Buckets of time, empty ones included, and the order of answers; pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from latchwork.domains.analytics.faults import BadQuestion
from latchwork.domains.analytics.records import OUTCOMES, Bucket, Counts, VerificationsQuestion

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
_EVEN: dict[Bucket, int] = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}
MOST_BUCKETS = 10_000
MOST_KEYS = 100_000
"""Keys that one tag may be asked for: they are handed on as a list."""


def check(question: VerificationsQuestion) -> None:
    """Raise `BadQuestion` unless the question makes sense."""
    if question.start_ms >= question.end_ms:
        raise BadQuestion("`start` must be before `end`.")
    if {"tag", "tags"} <= question.group_by:
        raise BadQuestion("`groupBy` takes either tag or tags, not both.")
    bucket = question.bucket
    length_ms = 0 if bucket is None else _EVEN.get(bucket, 28 * DAY_MS)
    if length_ms and (question.end_ms - question.start_ms) // length_ms > MOST_BUCKETS:
        raise BadQuestion(f"That is more than {MOST_BUCKETS} {bucket}s; ask for a shorter time.")


def check_keys(found: Sequence[str]) -> None:
    """Raise `BadQuestion` where they are too many."""
    if len(found) > MOST_KEYS:
        raise BadQuestion(
            f"More than {MOST_KEYS} keys were verified with that `tag`; ask for one that says more."
        )


def truncated(time_ms: int, bucket: Bucket) -> int:
    """The start of the bucket that `time_ms` is in, in UTC."""
    if bucket in _EVEN:
        return time_ms - time_ms % _EVEN[bucket]
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000


def following(time_ms: int, bucket: Bucket) -> int:
    """The start of the bucket after the one that starts at `time_ms`."""
    if bucket in _EVEN:
        return time_ms + _EVEN[bucket]
    return truncated(time_ms + 31 * DAY_MS, "month")


def buckets(question: VerificationsQuestion, bucket: Bucket) -> Iterator[int]:
    """The starts of all buckets from that of `start` to before `end`."""
    time_ms = truncated(question.start_ms, bucket)
    while time_ms < question.end_ms:
        yield time_ms
        time_ms = following(time_ms, bucket)


def arranged(question: VerificationsQuestion, found: list[Counts], *, filled: bool = True) -> list[Counts]:
    """The answer: gaps `filled` with zeros where time is the only group, ordered, cut to the limit."""
    bucket = question.bucket
    if filled and bucket is not None and question.group_by <= {"month", "day", "hour"}:
        present = {counts.time_ms: counts for counts in found}
        found = [present.get(time_ms) or nothing(time_ms) for time_ms in buckets(question, bucket)]
    elif not question.group_by and not found:
        found = [nothing(None)]
    order_by = question.order_by or ("time" if bucket else "total")
    found.sort(key=_identity)
    found.sort(key=lambda counts: counts.value(order_by), reverse=question.descending)
    return found if question.limit is None else found[: question.limit]


def nothing(time_ms: int | None) -> Counts:
    """A group without events."""
    return Counts(dict.fromkeys(OUTCOMES, 0), 0, time_ms)


def _identity(counts: Counts) -> tuple[str, str, str, tuple[str, ...], int]:
    return (
        counts.key_id or "",
        counts.identity_id or "",
        counts.tag or "",
        counts.tags or (),
        counts.time_ms or 0,
    )
