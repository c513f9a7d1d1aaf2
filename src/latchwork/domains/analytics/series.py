"""How often the keys of one identity were verified over time: a series for each key, without gaps; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from latchwork.domains.analytics.faults import BadQuestion, RangeExceedsRetention
from latchwork.domains.analytics.records import OUTCOMES, Bucket, Counts, VerificationsQuestion
from latchwork.domains.analytics.rules import DAY_MS, HOUR_MS, MINUTE_MS, buckets
from latchwork.kernel.durations import spoken

MOST_POINTS = 100_000
_BY_MINUTE_UP_TO_MS = 6 * HOUR_MS
_BY_HOUR_UP_TO_MS = 7 * DAY_MS
_LENGTHS: dict[Bucket, int] = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}


@dataclass(frozen=True, slots=True)
class SeriesQuestion:
    """Verifications in [start, end) of the keys that an identity had in a keyspace, or of one of them."""

    workspace_id: str
    keyspace_id: str
    external_id: str
    start_ms: int
    end_ms: int
    key_id: str | None = None

    @property
    def bucket(self) -> Bucket:
        """The length of the buckets: the longer the time asked for, the longer they are."""
        window_ms = self.end_ms - self.start_ms
        if window_ms <= _BY_MINUTE_UP_TO_MS:
            return "minute"
        return "hour" if window_ms <= _BY_HOUR_UP_TO_MS else "day"


@dataclass(frozen=True, slots=True)
class Series:
    """Counts per bucket of `bucket_ms`, oldest first: of all keys together, and of each key that has any."""

    bucket_ms: int
    total: tuple[Counts, ...]
    by_key: dict[str, tuple[Counts, ...]]


def counted(question: SeriesQuestion, retention_ms: int) -> VerificationsQuestion:
    """The question to count by; raises `BadQuestion`, `RangeExceedsRetention`."""
    if question.start_ms >= question.end_ms:
        raise BadQuestion("`startTime` must be before `endTime`.")
    if question.end_ms - question.start_ms > retention_ms:
        raise RangeExceedsRetention(
            f"`startTime` and `endTime` are further apart than the {spoken(retention_ms)} that events are kept."
        )
    return VerificationsQuestion(
        workspace_id=question.workspace_id,
        keyspace_id=question.keyspace_id,
        start_ms=question.start_ms,
        end_ms=question.end_ms,
        key_ids=() if question.key_id is None else (question.key_id,),
        external_id=question.external_id,
        group_by=frozenset({"key", question.bucket}),
    )


def series_of(question: SeriesQuestion, asked: VerificationsQuestion, found: Iterable[Counts]) -> Series:
    """The answer, every bucket of every key filled; raises `BadQuestion` for more than can be told."""
    starts = tuple(buckets(asked, question.bucket))
    present: dict[str, dict[int, Counts]] = {}
    total = {start: _nothing(start) for start in starts}
    for counts in found:
        time_ms = counts.time_ms or 0
        present.setdefault(counts.key_id or "", {})[time_ms] = counts
        _add(total[time_ms], counts)
    if len(present) * len(starts) > MOST_POINTS:
        raise BadQuestion(
            f"That is {len(present)} keys in {len(starts)} {question.bucket}s. "
            "Ask for a shorter time, or name one `keyId`."
        )
    by_key = {
        key_id: tuple(at.get(start) or _nothing(start) for start in starts)
        for key_id, at in sorted(present.items())
    }
    return Series(_LENGTHS[question.bucket], tuple(total.values()), by_key)


def _nothing(time_ms: int) -> Counts:
    return Counts(dict.fromkeys(OUTCOMES, 0), 0, time_ms)


def _add(total: Counts, counts: Counts) -> None:
    total.total += counts.total
    for name, count in counts.outcomes.items():
        total.outcomes[name] += count
