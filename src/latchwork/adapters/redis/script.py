"""The script's language: what is asked in one call, and what its answer says of each check."""

from collections import deque
from collections.abc import Sequence
from hashlib import sha1
from math import floor
from pathlib import Path
from typing import Any

from latchwork.domains.ratelimits import (
    ENFORCE,
    MOVING_WINDOW,
    SHADOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Held,
    LimitCheck,
    LimitState,
    moving_window,
    sliding_window,
    token_bucket,
)
from latchwork.domains.ratelimits.rules import settle
from latchwork.domains.ratelimits.standby import Standby
from latchwork.domains.ratelimits.token_bucket import Bucket

TEXT = Path(__file__).with_name("counters.lua").read_bytes()
SHA = sha1(TEXT, usedforsecurity=False).hexdigest().encode()

RAN, STALE, ANOTHER_EPOCH = 0, 1, 2
"""What became of a call: it ran; it belongs to a session that has ended; or all that was counted is gone."""

LETTERS: dict[Algorithm, str] = {SLIDING_WINDOW: "s", MOVING_WINDOW: "m", TOKEN_BUCKET: "b"}
WIDTHS: dict[Algorithm, int] = {SLIDING_WINDOW: 2, MOVING_WINDOW: 3, TOKEN_BUCKET: 4}
_AS_IF_THEN, _LOOKING, _REMEMBERING, _RESETTING, _ADDING, _RAISING = -1, -2, -3, -4, -5, -6

Operations = list[Any]


def add_request(operations: Operations, checks: Sequence[LimitCheck]) -> None:
    """The operation that takes the checks of one request."""
    if len(checks) == 1:
        (check,) = checks
        if check.algorithm == SLIDING_WINDOW and check.mode == ENFORCE:
            operations += (0, check.key, check.limit, check.duration_ms, check.cost)
            return
    if not checks:
        return
    operations.append(len(checks))
    for check in checks:
        operations += (
            check.key,
            check.limit,
            check.duration_ms,
            check.cost,
            LETTERS[check.algorithm],
            check.capacity,
            (check.mode == SHADOW and 1) or 0,
        )


def add_moment(operations: Operations, now_ms: int | None) -> None:
    """From here on it is as if it were `now_ms`; `None` is the present."""
    operations += (_AS_IF_THEN, now_ms or 0)


def add_look(operations: Operations, looking: bool) -> None:
    """Whether from here on nothing is taken."""
    operations += (_LOOKING, int(looking))


def add_memory(operations: Operations, windows_kept: int, grace_ms: int) -> None:
    """How many windows are remembered, and for how much longer than they must be."""
    operations += (_REMEMBERING, windows_kept, grace_ms)


def add_reset(operations: Operations, key: str, algorithm: Algorithm | None, duration_ms: int | None) -> None:
    """Forget what was taken from `key`: of all algorithms and durations, or of one."""
    operations += (_RESETTING, key, "" if algorithm is None else LETTERS[algorithm], duration_ms or 0)


def add_held(operations: Operations, held: Held, *, known: bool) -> None:
    """Count what this node admitted alone; or, of what is `known` to have been counted, what nobody told yet."""
    numbers = held.numbers
    if held.algorithm == TOKEN_BUCKET:
        level, at_ms, limit = numbers
        numbers = (*divmod(level, held.duration_ms), at_ms, limit)
    operations += (
        _RAISING if known else _ADDING,
        held.key,
        LETTERS[held.algorithm],
        held.duration_ms,
        *numbers,
        *([0] * (4 - len(numbers))),
    )


class Reading:
    """Reads the answers to requests, in the order they were asked."""

    __slots__ = ("_at", "_ends", "_looks", "_see", "_standby", "_values", "now_ms")

    def __init__(self, values: Sequence[int], at: int, now_ms: int, standby: Standby) -> None:
        """`values` from `at` on are what the script answered at `now_ms`; `standby` is told all of it."""
        self._values = values
        self._at = at
        self._standby = standby
        self._see = standby.see
        self._looks = False
        self._ends: dict[int, tuple[int, float]] = {}
        self.now_ms = now_ms

    def request(self, checks: Sequence[LimitCheck], now_ms: int | None, looks: bool) -> list[LimitState]:
        """The states of the next request, which was decided at `now_ms` or else when the script ran."""
        if now_ms is None and not looks and len(checks) == 1:
            (check,) = checks
            if check.algorithm == SLIDING_WINDOW and check.mode == ENFORCE:
                return [self._plain(check)]
        self._looks = looks
        return self._settled(checks, self.now_ms if now_ms is None else now_ms)

    def _plain(self, check: LimitCheck) -> LimitState:
        """The commonest question: kept flat on purpose."""
        at, values = self._at, self._values
        previous, current = values[at], values[at + 1]
        self._at = at + 2
        window = self._ends.get(check.duration_ms)
        if window is None:
            window = self._ends[check.duration_ms] = self._window(check.duration_ms)
        after = current + check.cost
        left = check.limit - after
        if previous:
            left -= floor(previous * window[1])
        if left < 0:
            self._see(check, (previous, current), self.now_ms)
            return sliding_window.judge(check, check.cost, previous, current, self.now_ms)
        self._see(check, (previous, after), self.now_ms)
        return LimitState(False, left, window[0])

    def _window(self, duration_ms: int) -> tuple[int, float]:
        into_ms = self.now_ms % duration_ms
        return self.now_ms - into_ms + duration_ms, sliding_window.weight(into_ms, duration_ms)

    def _settled(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        found: dict[tuple[str, str, int], Sequence[int]] = {}
        waits: dict[str, deque[int]] = {ENFORCE: deque(), SHADOW: deque()}
        for check in checks:
            width = WIDTHS[check.algorithm]
            seen = self._values[self._at : self._at + width]
            self._at += width
            self._see(check, told(check, seen), now_ms)
            found[check.key, check.algorithm, check.duration_ms] = seen
            if check.algorithm == MOVING_WINDOW and seen[2] >= 0:
                waits[check.mode].append(seen[2])
        moments = waits[ENFORCE] + waits[SHADOW]

        def judge(check: LimitCheck, cost: int) -> LimitState:
            seen = found[check.key, check.algorithm, check.duration_ms]
            if check.algorithm == SLIDING_WINDOW:
                return sliding_window.judge(check, cost, seen[0], seen[1], now_ms)
            if check.algorithm == MOVING_WINDOW:
                return moving_window.judge(check, cost, _SeenLog(check, seen, moments), now_ms)
            return token_bucket.judge(check, cost, Bucket.of(*told(check, seen)), now_ms)

        states = settle(checks, judge)
        if not self._looks:
            self._standby.saw(checks, states, now_ms)
        return states


def told(check: LimitCheck, seen: Sequence[int]) -> Sequence[int]:
    """What the script tells, as `LocalCounters.see` takes it."""
    if check.algorithm != TOKEN_BUCKET:
        return seen
    whole, part, at_ms, limit = seen
    return whole * check.duration_ms + part, at_ms, limit


class _SeenLog:
    """A log of which the script told what is asked here; refusals wait for its moments in the same order."""

    __slots__ = ("_held", "_moments", "matters_until_ms")

    def __init__(self, check: LimitCheck, seen: Sequence[int], moments: deque[int]) -> None:
        self._held, last_ms, _ = seen
        self._moments = moments
        self.matters_until_ms = last_ms + check.duration_ms if last_ms else 0

    def held(self, now_ms: int, duration_ms: int) -> int:
        return self._held

    def freed_ms(self, surplus: int, now_ms: int, duration_ms: int) -> int:
        return self._moments.popleft() + duration_ms
