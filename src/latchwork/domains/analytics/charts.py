"""Charts: counts in whole buckets of time; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from latchwork.domains.analytics.records import Bucket, Counts, VerificationsQuestion
from latchwork.domains.analytics.rules import arranged, following, nothing, truncated


def counted(question: VerificationsQuestion) -> VerificationsQuestion | None:
    """The question to count by, `None` where no bucket is asked for whole.

    An hour counts if it begins in [start, end]; a day or a month if one of its days does, whole in either case.
    """
    bucket = question.bucket
    if bucket is None:
        return question
    first_ms = truncated(question.start_ms, bucket)
    if bucket == "hour" and first_ms < question.start_ms:
        first_ms = following(first_ms, bucket)
    end_ms = following(truncated(question.end_ms, bucket), bucket)
    return replace(question, start_ms=first_ms, end_ms=end_ms) if first_ms < end_ms else None


def drawn(question: VerificationsQuestion, found: Sequence[Counts]) -> list[Counts]:
    """The answer in order; where time is the only group, each bucket from that of start to before that of end."""
    bucket = question.bucket
    if bucket is None or not question.group_by <= {"month", "day", "hour"}:
        return arranged(question, list(found), filled=False)
    known = {counts.time_ms for counts in found}
    gaps = [nothing(time_ms) for time_ms in _before_the_last(question, bucket) if time_ms not in known]
    return arranged(question, [*found, *gaps], filled=False)


def _before_the_last(question: VerificationsQuestion, bucket: Bucket) -> Iterator[int]:
    time_ms, end_ms = truncated(question.start_ms, bucket), truncated(question.end_ms, bucket)
    while time_ms < end_ms:
        yield time_ms
        time_ms = following(time_ms, bucket)
