"""Counters against models that are written differently: random calls, every answer compared."""

from collections import defaultdict
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond, strategies
from limits.storage import MemoryStorage

from latchwork.domains.ratelimits import (
    ENFORCE,
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counters,
    LimitCheck,
    Mode,
)

START = 1_799_971_200_000
MINUTE = 60_000

_keys = (f"ws_1:id_{number}:exact" for number in count())

# Every example has keys of its own, so that one set of counters serves them all.
shared_counters = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

pauses = st.sampled_from([0, 0, 1, 999, 5_000, 20_000, 59_999, 60_000, 61_000, 200_000, 10**9])
costs = st.integers(0, 5)
calls = st.lists(st.tuples(pauses, costs), min_size=1, max_size=50)
algorithms: st.SearchStrategy[Algorithm] = st.sampled_from((SLIDING_WINDOW, MOVING_WINDOW, TOKEN_BUCKET))
modes: st.SearchStrategy[Mode] = st.sampled_from((ENFORCE, ENFORCE, SHADOW))


class Naive:
    """Everything that was taken, ever, in a list; every question answered by adding it up."""

    def __init__(self) -> None:
        self.taken: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)

    def room(self, asked: LimitCheck, now_ms: int) -> Fraction:
        """How much still fits; negative if the limit was lowered below what is held."""
        history = self.taken[asked.key, asked.algorithm]
        if asked.algorithm == SLIDING_WINDOW:
            return Fraction(asked.limit - self._windowed(history, now_ms))
        if asked.algorithm == MOVING_WINDOW:
            return Fraction(asked.limit - sum(cost for at, cost in history if at > now_ms - MINUTE))
        level, last_ms = Fraction(0), START
        for at, cost in [*history, (now_ms, 0)]:
            level = max(Fraction(0), level - Fraction(asked.limit, MINUTE) * (at - last_ms)) + cost
            last_ms = at
        return asked.limit - level

    def take(self, asked: LimitCheck, now_ms: int) -> None:
        self.taken[asked.key, asked.algorithm].append((now_ms, asked.cost))

    def give_back(self, asked: LimitCheck) -> None:
        self.taken[asked.key, asked.algorithm].pop()

    @staticmethod
    def _windowed(history: list[tuple[int, int]], now_ms: int) -> int:
        sequence, into_ms = divmod(now_ms, MINUTE)
        current = sum(cost for at, cost in history if at // MINUTE == sequence)
        previous = sum(cost for at, cost in history if at // MINUTE == sequence - 1)
        return current + int(previous * (1.0 - into_ms / MINUTE))


@shared_counters
@given(calls=calls, limit=st.integers(1, 9), algorithm=algorithms)
def test_every_call_is_answered_as_by_adding_up_all_calls_before(
    counters: Counters, calls: list[tuple[int, int]], limit: int, algorithm: Algorithm
) -> None:
    key, now_ms, naive = next(_keys), START, Naive()
    for pause, cost in calls:
        now_ms += pause
        asked = LimitCheck(key, limit, MINUTE, cost, algorithm)
        room = naive.room(asked, now_ms) - cost
        state = counters.take_one(asked, now_ms)
        assert (state.exceeded, state.remaining) == (room < 0, max(0, room // 1))
        if room >= 0:
            naive.take(asked, now_ms)


batches = st.lists(
    st.tuples(
        pauses,
        st.lists(st.tuples(st.sampled_from("abc"), costs, algorithms, modes), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=20,
)


@shared_counters
@given(batches=batches, limit=st.integers(1, 9))
def test_batches_are_all_or_nothing_and_count_what_the_model_counts(
    counters: Counters, batches: list[tuple[int, list[tuple[str, int, Algorithm, Mode]]]], limit: int
) -> None:
    key, now_ms, naive = next(_keys), START, Naive()
    for pause, entries in batches:
        now_ms += pause
        checks = [
            LimitCheck(f"{key} {name} {mode}", limit, MINUTE, cost, algorithm, None, mode)
            for name, cost, algorithm, mode in entries
        ]
        looked = counters.peek(checks, now_ms)
        states = counters.take(checks, now_ms)
        assert looked == states
        told = [(state.would_exceed, state.remaining) for state in states]
        assert told == expected(naive, checks, now_ms)
        for asked, state in zip(checks, states, strict=True):
            assert state.exceeded == (state.would_exceed and asked.mode == ENFORCE)


def expected(naive: Naive, checks: list[LimitCheck], now_ms: int) -> list[tuple[bool, int]]:
    """Play the batch on the model: add all, look at each, take everything back if one is over."""
    enforced = [asked for asked in checks if asked.mode == ENFORCE]
    rooms: dict[int, Fraction] = {}
    for place, asked in enumerate(checks):
        room = naive.room(asked, now_ms) - asked.cost
        rooms[place] = room
        if asked.mode == ENFORCE or room >= 0:
            naive.take(asked, now_ms)
    refused = any(room < 0 for place, room in rooms.items() if checks[place].mode == ENFORCE)
    if refused:
        for asked in reversed(enforced):
            naive.give_back(asked)
    back = [asked.cost if refused and asked.mode == ENFORCE else 0 for asked in checks]
    return [(room < 0, 0 if room < 0 else int((room + back[at]) // 1)) for at, room in rooms.items()]


@shared_counters
@given(calls=calls, limit=st.integers(1, 9))
def test_no_interval_of_a_moving_window_ever_holds_more_than_the_limit(
    counters: Counters, calls: list[tuple[int, int]], limit: int
) -> None:
    key, now_ms = next(_keys), START
    admitted = []
    for pause, cost in calls:
        now_ms += pause
        if not counters.take_one(LimitCheck(key, limit, MINUTE, cost, MOVING_WINDOW), now_ms).exceeded:
            admitted.append((now_ms, cost))
    for begin_ms, _ in admitted:
        inside = [cost for at, cost in admitted if begin_ms <= at < begin_ms + MINUTE]
        assert sum(inside) <= limit


@shared_counters
@given(calls=calls, limit=st.integers(1, 9), burst=st.integers(1, 20))
def test_no_interval_of_a_token_bucket_admits_more_than_burst_and_rate(
    counters: Counters, calls: list[tuple[int, int]], limit: int, burst: int
) -> None:
    key, now_ms = next(_keys), START
    admitted = []
    for pause, cost in calls:
        now_ms += pause
        bucket = LimitCheck(key, limit, MINUTE, cost, TOKEN_BUCKET, burst)
        if not counters.take_one(bucket, now_ms).exceeded:
            admitted.append((now_ms, cost))
    for begin, (begin_ms, _) in enumerate(admitted):
        total = 0
        for at_ms, cost in admitted[begin:]:
            total += cost
            assert total <= burst + Fraction(limit, MINUTE) * (at_ms - begin_ms)


class StillStorage(MemoryStorage):
    """The library's storage without the thread that tidies up behind it: what has expired is not read anyway."""

    def __init__(self) -> None:
        super().__init__()
        self.timer.cancel()
        self.timer.join()

    def _MemoryStorage__schedule_expiry(self) -> None:
        """Start no thread: hundreds of them, each born and gone in an instant, have hung the coverage tracer."""


_LIBRARY = StillStorage()


class SteppedTime:
    """Stands where the `limits` library looks for the time."""

    def __init__(self) -> None:
        self.now_ms = START

    def time(self) -> float:
        return self.now_ms / 1_000


@pytest.fixture
def library_time(monkeypatch: pytest.MonkeyPatch) -> SteppedTime:
    stepped = SteppedTime()
    monkeypatch.setattr("limits.storage.memory.time", stepped)
    monkeypatch.setattr("limits.strategies.time", stepped)
    return stepped


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    calls=st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 6)), min_size=1, max_size=40),
    limit=st.integers(1, 25),
)
def test_a_sliding_window_decides_as_the_limits_library_does(
    counters: Counters, library_time: SteppedTime, calls: list[tuple[int, int]], limit: int
) -> None:
    """Compared: every decision, and `remaining` after an admission.

    The library takes its share of the window from a time in seconds, so that where the weighed count is a
    whole number, or within a millionth of one, it may truncate to the other side. Examples that come to such
    a place are left out, except at the very beginning of a window, where both are exact. `reset` is not
    compared: the library tells when the count next changes, the contract the end of the window.
    """
    key, now_ms, naive = next(_keys), START, Naive()
    library = strategies.SlidingWindowCounterRateLimiter(_LIBRARY)
    item = RateLimitItemPerSecond(limit, 60)
    for pause, cost in calls:
        now_ms += pause
        library_time.now_ms = now_ms
        asked = LimitCheck(key, limit, MINUTE, cost)
        assume(_is_clear(naive.taken[key, SLIDING_WINDOW], now_ms))
        state = counters.take_one(asked, now_ms)
        assert state.exceeded != library.hit(item, key, cost=cost)
        if not state.exceeded:
            naive.take(asked, now_ms)
            assert state.remaining == library.get_window_stats(item, key).remaining


def _is_clear(history: list[tuple[int, int]], now_ms: int) -> bool:
    sequence, into_ms = divmod(now_ms, MINUTE)
    previous = sum(cost for at, cost in history if at // MINUTE == sequence - 1)
    weighed = Fraction(previous * (MINUTE - into_ms), MINUTE)
    return not previous or not into_ms or abs(weighed - round(weighed)) > Fraction(1, 10**6)
