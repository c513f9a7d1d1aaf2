"""A model of Redis: the script of the counters, by the counters in memory that are its oracle, and the bus."""

from collections.abc import Callable
from random import Random
from typing import Any

import hiredis
import msgspec

from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import script
from latchwork.domains.ratelimits import MOVING_WINDOW, SLIDING_WINDOW, Algorithm, Counter, Held, LimitCheck
from latchwork.domains.ratelimits.records import SHADOW
from tests.simulator.network import Wire

_decode = msgspec.msgpack.Decoder().decode
_ALGORITHMS: dict[str, Algorithm] = {letter: name for name, letter in script.LETTERS.items()}


class Redis:
    """The server. `count_of` is what a counter holds; `unheard` what calls asked for whose answer nobody took."""

    def __init__(self, now_ms: Callable[[], int], chance: Random) -> None:
        self.now_ms = now_ms
        self.unheard: dict[Counter, int] = {}
        self.losses = 0
        self._chance = chance
        self._wires: list[Wire] = []
        self._knows_script = False
        self.forget()
        self.losses = 0

    def forget(self) -> None:
        """Lose all data."""
        self.losses += 1
        self.counters = MemoryCounters()
        self.epoch = ""
        self.fences: dict[str, tuple[int, int]] = {}
        self.raised: dict[tuple[Counter, int], int] = {}

    def count_of(self, counter: Counter) -> int:
        return sum(held.numbers[1] for held in self.counters.held(counter))

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

    def evaluate(self, command: list[bytes]) -> tuple[Any, dict[Counter, int]]:
        """The answer to EVAL or EVALSHA, and what it asked to be taken."""
        if command[0] == b"EVALSHA" and not self._knows_script:
            return hiredis.ReplyError("NOSCRIPT No matching script"), {}
        self._knows_script = True
        return _Run(self, _decode(command[3])).answer()


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
            answer, asked = redis.evaluate(command)

            def heard() -> None:
                for counter, cost in asked.items():
                    redis.unheard[counter] -= cost

            for counter, cost in asked.items():
                redis.unheard[counter] = redis.unheard.get(counter, 0) + cost
            wire.down(_packed(answer), heard)


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
        self._asked: dict[Counter, int] = {}

    def answer(self) -> tuple[list[Any], dict[Counter, int]]:
        redis = self._redis
        redis.epoch = redis.epoch or self._next_epoch
        newest, ran = redis.fences.get(self._node, (0, 0))
        head = [redis.epoch.encode(), self._now_ms, ran]
        if self._session < newest:
            return [script.STALE, *head], {}
        redis.fences[self._node] = (self._session, self._number)
        if redis.epoch != self._knows:
            return [script.ANOTHER_EPOCH, *head], {}
        for code in self._rest:
            self._operation(code)
        return [script.RAN, *head, *self._out], self._asked

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
        for check, tell, state in zip(checks, tells, act(checks, self._now_ms), strict=True):
            if check.algorithm == MOVING_WINDOW and state.would_exceed and state.retry_ms is not None:
                tell[2] = state.retry_ms - check.duration_ms
            self._out += tell
            if not self._looks:
                self._asked[check.counter] = self._asked.get(check.counter, 0) + check.cost

    def _tell(self, check: LimitCheck) -> list[int]:
        parts = [held.numbers for held in self._redis.counters.held(check.counter)]
        if check.algorithm == SLIDING_WINDOW:
            start_ms = self._now_ms - self._now_ms % check.duration_ms
            counts = {began_ms: count for began_ms, count in parts}  # noqa: C416 - mypy knows no length
            return [counts.get(start_ms - check.duration_ms, 0), counts.get(start_ms, 0)]
        assert check.algorithm == MOVING_WINDOW, "the model counts in windows"
        held = sum(cost for at_ms, cost in parts if at_ms > self._now_ms - check.duration_ms)
        return [held, max((at_ms for at_ms, _ in parts), default=0), -1]

    def _add(self, told: list[Any], *, is_known: bool) -> None:
        key, letter, duration_ms, moment_ms, count, _, _ = told
        algorithm = _ALGORITHMS[letter]
        counter = (key, algorithm, duration_ms)
        if is_known:
            before = self._redis.raised.get((counter, moment_ms), 0)
            if count <= before:
                return
            self._redis.raised[counter, moment_ms] = count
            count -= before
        self._redis.counters.peek([LimitCheck(key, 1, duration_ms, 0, algorithm)], self._now_ms)
        if algorithm == SLIDING_WINDOW or moment_ms > self._now_ms - duration_ms:
            self._redis.counters.put(Held(*counter, (moment_ms, count)))


def _check(asked: list[Any]) -> LimitCheck:
    key, limit, duration_ms, cost, letter, _, is_shadow = asked
    algorithm = _ALGORITHMS[letter]
    return LimitCheck(key, limit, duration_ms, cost, algorithm, None, SHADOW if is_shadow else "enforce")


def _packed(answer: Any) -> bytes:
    """An answer as Redis writes it."""
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    if isinstance(answer, list):
        return b"*%d\r\n%b" % (len(answer), b"".join(map(_packed, answer)))
    if isinstance(answer, hiredis.ReplyError):
        return b"-%b\r\n" % str(answer).encode()
    return b":%d\r\n" % answer
