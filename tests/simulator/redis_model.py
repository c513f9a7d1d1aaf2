"""A model of Redis: the script of the counters, by the counters in memory that are its oracle, and the bus."""

from collections.abc import Callable
from functools import partial
from typing import Any

import hiredis
import msgspec

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import script
from latchwork.domains.ratelimits import (
    MOVING_WINDOW,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counter,
    Held,
    LimitCheck,
)
from latchwork.domains.ratelimits.records import SHADOW
from latchwork.domains.ratelimits.standby import taken
from latchwork.domains.ratelimits.token_bucket import Bucket
from tests.simulator.network import Wire

_decode = msgspec.msgpack.Decoder().decode
_ALGORITHMS: dict[str, Algorithm] = {letter: name for name, letter in script.LETTERS.items()}


Call = tuple[str, int]
"""A call of the script: by which node, and its number."""
Took = dict[Counter, int]
"""What a call took, of which counters."""


class Redis:
    """The server. `count_of` is what a counter holds; `untold` what calls took whose answer is unheard."""

    def __init__(
        self, now_ms: Callable[[], int], took: Callable[[LimitCheck, int], None], lost: Callable[[], None]
    ) -> None:
        """`took` hears of everything that is taken, and when; `lost` when all of it is forgotten."""
        self.now_ms = now_ms
        self.took = took
        self.untold: dict[Call, Took] = {}
        self.losses = 0
        self._lost = lost
        self._wires: list[Wire] = []
        self._knows_script = False
        self._begin()

    def _begin(self) -> None:
        self.counters = MemoryCounters()
        self.epoch = ""
        self.fences: dict[str, tuple[int, int]] = {}
        self.raised: dict[Any, Any] = {}

    def forget(self) -> None:
        """Lose all data."""
        self.losses += 1
        self._begin()
        self._lost()

    def count_of(self, counter: Counter) -> int:
        """What a counter holds that has been there for one window only; of a bucket, in whole tokens."""
        held = [each.numbers for each in self.counters.held(counter)]
        if counter[1] != TOKEN_BUCKET:
            return sum(count for _, count in held)
        level = sum(_level(numbers, self.now_ms()) for numbers in held)
        return -(-level // counter[2])

    def accept(self, wire: Wire) -> None:
        _Client(self, wire)

    def restart(self) -> None:
        """End every connection; scripts are forgotten."""
        self._knows_script = False
        for wire in list(self._wires):
            wire.close()
        self._wires.clear()

    def attend(self, wire: Wire) -> None:
        """A subscriber."""
        self._wires.append(wire)

    def publish(self, message: bytes) -> int:
        hearing = [wire for wire in self._wires if wire.server_open and getattr(wire, "hears", False)]
        for wire in hearing:
            wire.down(_packed([b"message", b"lw:news", message]))
        return len(hearing)

    def hear(self, call: Call) -> None:
        """The answer to a call was taken."""
        del self.untold[call]

    def evaluate(self, command: list[bytes]) -> tuple[Any, Call | None]:
        """The answer to EVAL or EVALSHA, and the call if it ran."""
        if command[0] == b"EVALSHA" and not self._knows_script:
            return hiredis.ReplyError("NOSCRIPT No matching script"), None
        self._knows_script = True
        run = _Run(self, _decode(command[3]))
        answer = run.answer()
        if answer[0] != script.RAN:
            return answer, None
        self.untold[run.call] = run.took
        return answer, run.call


class _Client:
    """A connection to it."""

    def __init__(self, redis: Redis, wire: Wire) -> None:
        self._redis = redis
        self._wire = wire
        self._reader = hiredis.Reader()
        wire.server_got = self._got
        redis.attend(wire)

    def _got(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self._do(command)

    def _do(self, command: list[bytes]) -> None:
        redis, wire = self._redis, self._wire
        if command[0] == b"PUBLISH":
            wire.down(_packed(redis.publish(command[2])))
        elif command[0] == b"SUBSCRIBE":
            wire.hears = True  # type: ignore[attr-defined]
            wire.down(_packed([b"subscribe", command[1], 1]))
        else:
            answer, call = redis.evaluate(command)
            wire.down(_packed(answer), None if call is None else partial(redis.hear, call))


class _Run:
    """One call of the script."""

    def __init__(self, redis: Redis, asked: list[Any]) -> None:
        self._redis = redis
        self._rest = iter(asked)
        _, self._node, self._session, self._number, self._knows, self._next_epoch = (
            next(self._rest) for _ in range(6)
        )
        self._now_ms = redis.now_ms()
        self._looks = False
        self._out: list[Any] = []
        self.call: Call = (self._node, self._number)
        self.took: Took = {}

    def answer(self) -> list[Any]:
        redis = self._redis
        redis.epoch = redis.epoch or self._next_epoch
        newest, ran = redis.fences.get(self._node, (0, 0))
        head = [redis.epoch.encode(), self._now_ms, ran]
        if self._session < newest:
            return [script.STALE, *head]
        redis.fences[self._node] = (self._session, self._number)
        if redis.epoch != self._knows:
            return [script.ANOTHER_EPOCH, *head]
        for code in self._rest:
            self._operation(code)
        return [script.RAN, *head, *self._out]

    def _take(self, many: int) -> list[Any]:
        return [next(self._rest) for _ in range(many)]

    def _operation(self, code: int) -> None:
        if code == 0:
            key, limit, duration_ms, cost = self._take(4)
            self._request([LimitCheck(key, limit, duration_ms, cost)], is_plain=True)
        elif code > 0:
            self._request([_check(self._take(7)) for _ in range(code)])
        elif code == -1:
            self._now_ms = self._take(1)[0] or self._redis.now_ms()
        elif code == -2:
            self._looks = self._take(1)[0] == 1
        elif code == -4:
            key, letter, duration_ms = self._take(3)
            self._redis.counters.reset(
                key, algorithm=_ALGORITHMS.get(letter), duration_ms=duration_ms or None
            )
        else:
            assert code in (-5, -6)
            self._add(self._take(7), is_known=code == -6)

    def _request(self, checks: list[LimitCheck], *, is_plain: bool = False) -> None:
        counters = self._redis.counters
        tells = [self._tell(check) for check in checks]
        act = counters.peek if self._looks else counters.take
        states = act(checks, self._now_ms)
        for check, tell, state in zip(checks, tells, states, strict=True):
            if check.algorithm == MOVING_WINDOW and state.would_exceed and state.retry_ms is not None:
                tell[2] = state.retry_ms - check.duration_ms
            self._out += tell
        for check in () if self._looks else taken(checks, states):
            self.took[check.counter] = self.took.get(check.counter, 0) + check.cost
            self._redis.took(check, self._now_ms)

    def _tell(self, check: LimitCheck) -> list[int]:
        parts = [held.numbers for held in self._redis.counters.held(check.counter)]
        if check.algorithm == TOKEN_BUCKET:
            level, at_ms, limit = parts[0] if parts else (0, 0, 0)
            return [*divmod(level, check.duration_ms), at_ms, limit]
        if check.algorithm == SLIDING_WINDOW:
            start_ms = self._now_ms - self._now_ms % check.duration_ms
            counts = {began_ms: count for began_ms, count in parts}  # noqa: C416 - mypy knows no length
            return [counts.get(start_ms - check.duration_ms, 0), counts.get(start_ms, 0)]
        held = sum(cost for at_ms, cost in parts if at_ms > self._now_ms - check.duration_ms)
        return [held, max((at_ms for at_ms, _ in parts), default=0), -1]

    def _add(self, told: list[Any], *, is_known: bool) -> None:
        key, letter, duration_ms, *numbers = told
        counter: Counter = (key, _ALGORITHMS[letter], duration_ms)
        if counter[1] == TOKEN_BUCKET:
            whole, part, at_ms, limit = numbers
            self._pour(counter, (whole * duration_ms + part, at_ms, limit), is_known=is_known)
            return
        moment_ms, count, *_ = numbers
        is_log = counter[1] == MOVING_WINDOW
        if is_log and moment_ms <= self._now_ms - duration_ms:
            return
        if is_known:
            count = self._above(counter, moment_ms, count)
        if count > 0:
            self._redis.counters.peek([LimitCheck(key, 1, duration_ms, 0, counter[1])], self._now_ms)
            self._redis.counters.put(Held(*counter, (moment_ms, count)))

    def _above(self, counter: Counter, moment_ms: int, count: int) -> int:
        """What one node knows above what others have told: of a window, or of a log in all."""
        raised = self._redis.raised
        place: Any = counter if counter[1] == MOVING_WINDOW else (counter, moment_ms)
        if counter[1] == MOVING_WINDOW:
            mine = (counter, self._node, self._session)
            count = raised[mine] = raised.get(mine, 0) + count
        before: int = raised.get(place, 0)
        raised[place] = max(before, count)
        return count - before

    def _pour(self, counter: Counter, numbers: tuple[int, int, int], *, is_known: bool) -> None:
        level, limit = _level(numbers, self._now_ms), numbers[2]
        if is_known:
            before = _level(self._redis.raised.get(counter, (0, 0, 0)), self._now_ms)
            if level <= before:
                return
            self._redis.raised[counter] = (level, self._now_ms, limit)
            level -= before
        self._redis.counters.put(Held(*counter, (level, self._now_ms, limit)))


def _level(numbers: tuple[int, ...], now_ms: int) -> int:
    """What a bucket still holds."""
    level, at_ms, limit = numbers
    return Bucket.of(level, at_ms, limit).held(limit, now_ms)


def _check(asked: list[Any]) -> LimitCheck:
    key, limit, duration_ms, cost, letter, capacity, is_shadow = asked
    algorithm = _ALGORITHMS[letter]
    burst = capacity if algorithm == TOKEN_BUCKET else None
    return LimitCheck(key, limit, duration_ms, cost, algorithm, burst, SHADOW if is_shadow else "enforce")


def _packed(answer: Any) -> bytes:
    """An answer as Redis writes it."""
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    if isinstance(answer, list):
        return b"*%d\r\n%b" % (len(answer), b"".join(map(_packed, answer)))
    if isinstance(answer, hiredis.ReplyError):
        return b"-%b\r\n" % str(answer).encode()
    return b":%d\r\n" % answer
