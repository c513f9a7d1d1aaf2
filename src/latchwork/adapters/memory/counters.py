"""Counters in memory, for one process: every check is an arithmetic on two numbers."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import floor

from latchwork.adapters.memory.shelf import Shelf
from latchwork.adapters.memory.windows import Table, Windows
from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counter,
    Held,
    LimitCheck,
    LimitState,
    moving_window,
    sliding_window,
    token_bucket,
)
from latchwork.domains.ratelimits.moving_window import MovingLog
from latchwork.domains.ratelimits.rules import settle
from latchwork.domains.ratelimits.token_bucket import Bucket

_FREED_AT_ONCE = 1_000  # counts of a table that is let go as a whole: some 50 microseconds
_TAKEN_APART = 4  # counts of a larger one for each new count: old tables are gone before new ones are large
_LOOKS = 2  # at other durations whenever a window turns

_UNTOUCHED_LOG = MovingLog()
_UNTOUCHED_BUCKET = Bucket()


class MemoryCounters:
    """The port `Counters`, exact within one process; owned by one thread, such as an event loop's.

    It remembers `windows_kept` windows of each duration, counted by when they were entered. Two are all that
    matter to a clock that never runs backwards. To be right under a clock that is set back and forth, give
    the number of windows it may wander through.
    """

    __slots__ = ("_buckets", "_durations", "_kept", "_logs", "_retired", "_windows")

    def __init__(self, *, windows_kept: int = 2) -> None:
        self._kept = windows_kept
        self._windows: dict[int, Windows] = {}
        self._durations: deque[int] = deque()  # the keys of `_windows`, each once, in turn
        self._retired: list[Table] = []  # tables being taken apart, as freeing a large one at once is a pause
        self._logs = Shelf(MovingLog, grace=windows_kept - 2)
        self._buckets = Shelf(Bucket, grace=windows_kept - 2)

    def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """Take the cost of `check` if it fits. The hottest lines of the product: kept flat on purpose."""
        if check.algorithm != SLIDING_WINDOW:
            return self._take_judged(check, now_ms)
        windows = self._windows.get(check.duration_ms)
        if windows is None or windows.now_ms != now_ms:
            windows = self._at(check.duration_ms, now_ms)
        key = check.key
        current = windows.current.get(key, 0)
        after = current + check.cost
        left = check.limit - after
        previous = windows.previous.get(key)
        if previous:
            left -= floor(previous * windows.weight)  # `carried`, in half the time
        if left < 0:
            return sliding_window.judge(check, check.cost, previous or 0, current, now_ms)
        if after != current:
            windows.current[key] = after
            if self._retired and not current:
                self._take_apart()
        return LimitState(False, left, windows.end_ms)

    def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """Take the costs of all enforced checks if every one of them fits, else of none."""
        if len(checks) == 1:
            return [self.take_one(checks[0], now_ms)]
        for check in checks:
            if check.algorithm != SLIDING_WINDOW or check.mode == SHADOW:
                return self._take_settled(checks, now_ms)
        return self._take_hopefully(checks, now_ms)

    def peek(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """What `take` would answer; takes nothing."""
        return settle(checks, lambda check, cost: self._judge(check, cost, now_ms))

    def reset(self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None) -> None:
        """Forget what was taken from the counters of `key`: of all, or of one algorithm or duration."""
        if algorithm in (SLIDING_WINDOW, None):
            for windows in self._windows.values():
                if duration_ms in (windows.duration_ms, None):
                    windows.forget(key)
        if algorithm in (MOVING_WINDOW, None):
            self._logs.forget(key, duration_ms)
        if algorithm in (TOKEN_BUCKET, None):
            self._buckets.forget(key, duration_ms)

    def see(self, check: LimitCheck, seen: Sequence[int], now_ms: int) -> None:
        """See `LocalCounters`; of a log's takings that are new to it, it assumes the latest moment."""
        key, duration_ms = check.key, check.duration_ms
        if check.algorithm == SLIDING_WINDOW:
            windows = self._windows.get(duration_ms)
            if windows is None or windows.now_ms != now_ms:
                windows = self._at(duration_ms, now_ms)
            if seen[1]:
                windows.current[key] = seen[1]
                if self._retired:
                    self._take_apart()
            else:
                windows.current.pop(key, None)
            if windows.previous.get(key, 0) != seen[0]:
                windows.correct(key, seen[0])
        elif check.algorithm == MOVING_WINDOW:
            log = self._logs.claim(key, duration_ms, now_ms) if seen[0] else self._logs.find(key, duration_ms)
            if log is not None:
                log.correct(seen[0], seen[1], now_ms, duration_ms)
        else:
            bucket = self._buckets.claim(key, duration_ms, now_ms) if seen[0] else None
            if bucket is not None or (bucket := self._buckets.find(key, duration_ms)) is not None:
                bucket.correct(*seen)

    def add(self, check: LimitCheck, now_ms: int) -> None:
        """Take the cost of `check`, whether it fits or not."""
        self._add(check, now_ms)

    def contents(self) -> Iterator[Held]:
        """See `LocalCounters`."""
        for duration_ms, windows in list(self._windows.items()):
            for start_ms, table in windows.counts():
                for key, count in list(table.items()):
                    yield Held(key, SLIDING_WINDOW, duration_ms, (start_ms, count))
        for (key, duration_ms), log in self._logs.items():
            for entry in list(log.entries()):
                yield Held(key, MOVING_WINDOW, duration_ms, entry)
        for (key, duration_ms), bucket in self._buckets.items():
            yield Held(key, TOKEN_BUCKET, duration_ms, bucket.numbers())

    def held(self, counter: Counter) -> list[Held]:
        """See `LocalCounters`."""
        key, algorithm, duration_ms = counter
        if algorithm == SLIDING_WINDOW:
            windows = self._windows.get(duration_ms)
            counts = [] if windows is None else windows.counts()
            return [Held(*counter, (start_ms, table[key])) for start_ms, table in counts if key in table]
        if algorithm == MOVING_WINDOW:
            log = self._logs.find(key, duration_ms)
            return [] if log is None else [Held(*counter, entry) for entry in log.entries()]
        bucket = self._buckets.find(key, duration_ms)
        return [] if bucket is None else [Held(*counter, bucket.numbers())]

    def put(self, held: Held) -> None:
        """See `LocalCounters`."""
        key, algorithm, duration_ms, numbers = held
        if algorithm == SLIDING_WINDOW:
            if duration_ms in self._windows:
                self._windows[duration_ms].put(key, *numbers)
        elif algorithm == MOVING_WINDOW:
            moment_ms, cost = numbers
            self._logs.claim(key, duration_ms, moment_ms).add(cost, moment_ms, duration_ms)
        else:
            level, at_ms, limit = numbers
            if level:
                self._buckets.claim(key, duration_ms, at_ms).pour(level, at_ms, limit)

    def __len__(self) -> int:
        """How many counts are remembered, those being taken apart not included."""
        sliding = sum(len(table) for windows in self._windows.values() for table in windows.tables())
        return sliding + len(self._logs) + len(self._buckets)

    def _take_hopefully(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """Take one by one and give back if it was in vain: nearly always all fit."""
        states: list[LimitState] = []
        for check in checks:
            state = self.take_one(check, now_ms)
            if state.exceeded:
                for taken in checks[: len(states)]:
                    self._give_back(taken)
                return self.peek(checks, now_ms)
            states.append(state)
        return states

    def _give_back(self, check: LimitCheck) -> None:
        current = self._windows[check.duration_ms].current
        if check.cost:
            current[check.key] -= check.cost
            if not current[check.key]:
                del current[check.key]

    def _take_settled(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        states = self.peek(checks, now_ms)
        admitted = not any(state.exceeded for state in states)
        for check, state in zip(checks, states, strict=True):
            if (admitted or check.mode == SHADOW) and not state.would_exceed:
                self._add(check, now_ms)
        return states

    def leaving(self) -> int:
        """How many counts are being taken apart."""
        return sum(map(len, self._retired))

    def _take_judged(self, check: LimitCheck, now_ms: int) -> LimitState:
        state = self._judge(check, check.cost, now_ms)
        if not state.would_exceed:
            self._add(check, now_ms)
        return state

    def _judge(self, check: LimitCheck, cost: int, now_ms: int) -> LimitState:
        key, duration_ms = check.key, check.duration_ms
        if check.algorithm == SLIDING_WINDOW:
            windows = self._at(duration_ms, now_ms)
            previous, current = windows.previous.get(key, 0), windows.current.get(key, 0)
            return sliding_window.judge(check, cost, previous, current, now_ms)
        if check.algorithm == MOVING_WINDOW:
            log = self._logs.find(key, duration_ms) or _UNTOUCHED_LOG
            return moving_window.judge(check, cost, log, now_ms)
        bucket = self._buckets.find(key, duration_ms) or _UNTOUCHED_BUCKET
        return token_bucket.judge(check, cost, bucket, now_ms)

    def _add(self, check: LimitCheck, now_ms: int) -> None:
        key, cost, duration_ms = check.key, check.cost, check.duration_ms
        if not cost:
            return
        if check.algorithm == SLIDING_WINDOW:
            current = self._at(duration_ms, now_ms).current
            current[key] = current.get(key, 0) + cost
        elif check.algorithm == MOVING_WINDOW:
            self._logs.claim(key, duration_ms, now_ms).add(cost, now_ms, duration_ms)
        else:
            self._buckets.claim(key, duration_ms, now_ms).add(check, cost, now_ms)
        if self._retired:
            self._take_apart()

    def _at(self, duration_ms: int, now_ms: int) -> Windows:
        windows = self._windows.get(duration_ms)
        if windows is None or not windows.holds(now_ms):
            windows = self._turn(duration_ms, now_ms)
        windows.move(now_ms)
        return windows

    def _turn(self, duration_ms: int, now_ms: int) -> Windows:
        """Turn to another window; the moment to look whether other durations are still in use."""
        self._drop_unused(now_ms)
        windows = self._windows.get(duration_ms)
        if windows is None:
            windows = self._windows[duration_ms] = Windows(duration_ms, self._kept)
            self._durations.append(duration_ms)
        self._retire(windows.turn(now_ms))
        return windows

    def _drop_unused(self, now_ms: int) -> None:
        for _ in range(min(_LOOKS, len(self._durations))):
            duration_ms = self._durations.popleft()
            if self._windows[duration_ms].matters(now_ms):
                self._durations.append(duration_ms)
            else:
                self._retire(self._windows.pop(duration_ms).tables())

    def _retire(self, tables: Iterable[Table]) -> None:
        self._retired += [table for table in tables if len(table) > _FREED_AT_ONCE]

    def _take_apart(self) -> None:
        table = self._retired[-1]
        for _ in range(min(_TAKEN_APART, len(table))):
            table.popitem()
        if not table:
            self._retired.pop()
