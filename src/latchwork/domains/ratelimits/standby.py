"""Limits while the shared counters are out of reach: every node enforces its share of each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from latchwork.domains.ratelimits.ports import LocalCounters
from latchwork.domains.ratelimits.records import (
    ENFORCE,
    SLIDING_WINDOW,
    TOKEN_BUCKET,
    Algorithm,
    Counter,
    Held,
    LimitCheck,
    LimitState,
)
from latchwork.domains.ratelimits.token_bucket import Bucket

_PUT_RIGHT = 5_000
_FEW = 10_000  # what was taken alone is looked through for what has faded whenever it has doubled from there


class Standby:
    """Answers in the place of shared counters, from a mirror of what they last said.

    What is taken here weighs as if every node took as much: of what is left of a limit, a node admits its
    share, rounded up, so that a small limit does not become none. All nodes together exceed a limit by at
    most one less than there are nodes, where each knows what was taken before; by what it does not know
    of, each of them admits its share more. A node that is alone admits exactly what is left.
    """

    def __init__(self, mirror: LocalCounters, nodes: Callable[[], int]) -> None:
        """`nodes` says how many share the limits, this one included."""
        self._mirror = mirror
        self._debts = Debts()
        self._nodes = nodes
        self._shared: dict[Counter, list[Held]] = {}
        self._many = _FEW
        self.see = mirror.see

    def saw(self, checks: Sequence[LimitCheck], states: Sequence[LimitState], now_ms: int) -> None:
        """Note that the shared counters took what these states say, on top of what was seen of them."""
        for check in taken(checks, states):
            self._mirror.add(check, now_ms)

    def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """As `Counters.take`, of this node's share; `remaining` is what this node may still admit.

        Whether the shared counters will have to be told is another question: see `owe`.
        """
        nodes = max(1, self._nodes())
        for check in checks:
            counter = check.counter
            if counter not in self._shared:
                self._keep(counter)
        return _shares(self._mirror.take(_weighed(checks, nodes), now_ms), nodes)

    def peek(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """What `take` would answer."""
        nodes = max(1, self._nodes())
        return _shares(self._mirror.peek(_weighed(checks, nodes), now_ms), nodes)

    def owe(self, checks: Sequence[LimitCheck], now_ms: int) -> None:
        """Note what was admitted here, to be told to the shared counters."""
        for check in checks:
            self._debts.add(check, now_ms)

    def reset(self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None) -> None:
        """As `Counters.reset`."""
        self._mirror.reset(key, algorithm=algorithm, duration_ms=duration_ms)
        self._debts.forget(key, algorithm, duration_ms)
        for counter in self._shared:
            if _is_of(counter, key, algorithm, duration_ms):
                self._shared[counter] = []

    def known(self) -> Iterator[Held]:
        """What the shared counters held when they were last heard of, as far as this node knows."""
        for held in self._mirror.contents():
            if held.counter not in self._shared:
                yield held
        for parts in list(self._shared.values()):
            yield from parts

    def debts(self) -> list[Held]:
        """What was admitted here, which is owed no longer once this has been asked."""
        return self._debts.take()

    def owe_again(self, debts: Iterable[Held]) -> None:
        """Note debts that were not paid."""
        for held in debts:
            self._debts.put(held)

    def relieve(self) -> None:
        """Hand over to the shared counters: the mirror is what they last said once more.

        Where there are too many to do so in an instant, each is put right when it is next seen.
        """
        for (key, algorithm, duration_ms), parts in islice(self._shared.items(), _PUT_RIGHT):
            self._mirror.reset(key, algorithm=algorithm, duration_ms=duration_ms)
            for held in parts:
                self._mirror.put(held)
        self._shared = {}
        self._many = _FEW

    def _keep(self, counter: Counter) -> None:
        """Remember what the shared counter held, before what is taken here mixes with it."""
        if len(self._shared) >= self._many:
            held = self._mirror.held
            self._shared = {known: parts for known, parts in self._shared.items() if held(known)}
            self._many = 2 * len(self._shared) + _FEW
        self._shared[counter] = self._mirror.held(counter)


def _shares(states: list[LimitState], nodes: int) -> list[LimitState]:
    if nodes > 1:
        for state in states:
            state.remaining //= nodes
    return states


class Debts:
    """What was admitted by this node alone: by counter and window or moment; of a bucket, what has not leaked."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Counter, int], int] = {}
        self._buckets: dict[Counter, Bucket] = {}
        self._many = _FEW

    def add(self, check: LimitCheck, now_ms: int) -> None:
        """Note that the cost of `check` was admitted."""
        if not check.cost:
            return
        if len(self._parts) + len(self._buckets) >= self._many:
            self._drop_faded(now_ms)
        if check.algorithm == TOKEN_BUCKET:
            self._buckets.setdefault(check.counter, Bucket()).add(check, check.cost, now_ms)
            return
        into_ms = now_ms % check.duration_ms if check.algorithm == SLIDING_WINDOW else 0
        place = check.counter, now_ms - into_ms
        self._parts[place] = self._parts.get(place, 0) + check.cost

    def put(self, held: Held) -> None:
        """Note what was noted before and taken."""
        if held.algorithm == TOKEN_BUCKET:
            self._buckets.setdefault(held.counter, Bucket()).pour(*held.numbers)
        else:
            moment_ms, cost = held.numbers
            place = held.counter, moment_ms
            self._parts[place] = self._parts.get(place, 0) + cost

    def take(self) -> list[Held]:
        """All of it; nothing is left."""
        debts = [Held(*counter, (moment_ms, cost)) for (counter, moment_ms), cost in self._parts.items()]
        debts += [Held(*counter, bucket.numbers()) for counter, bucket in self._buckets.items()]
        self._parts, self._buckets, self._many = {}, {}, _FEW
        return debts

    def forget(self, key: str, algorithm: Algorithm | None, duration_ms: int | None) -> None:
        """Nothing is owed to those counters of `key`."""
        for place in [place for place in self._parts if _is_of(place[0], key, algorithm, duration_ms)]:
            del self._parts[place]
        for counter in [counter for counter in self._buckets if _is_of(counter, key, algorithm, duration_ms)]:
            del self._buckets[counter]

    def _drop_faded(self, now_ms: int) -> None:
        self._parts = {
            place: cost for place, cost in self._parts.items() if place[1] + 2 * place[0][2] > now_ms
        }
        self._buckets = {
            counter: bucket for counter, bucket in self._buckets.items() if bucket.matters_until_ms > now_ms
        }
        self._many = 2 * (len(self._parts) + len(self._buckets)) + _FEW


def _is_of(counter: Counter, key: str, algorithm: Algorithm | None, duration_ms: int | None) -> bool:
    return counter[0] == key and algorithm in (counter[1], None) and duration_ms in (counter[2], None)


def taken(checks: Sequence[LimitCheck], states: Sequence[LimitState]) -> list[LimitCheck]:
    """Which checks of a request were counted, by what they were told."""
    admitted = not any(state.exceeded for state in states)
    return [
        check
        for check, state in zip(checks, states, strict=True)
        if check.cost and not state.would_exceed and (admitted or check.mode != ENFORCE)
    ]


def _weighed(checks: Sequence[LimitCheck], nodes: int) -> Sequence[LimitCheck]:
    return checks if nodes == 1 else [_weigh(check, nodes) for check in checks]


def _weigh(check: LimitCheck, nodes: int) -> LimitCheck:
    """The question whose answer is this node's: `own + cost <= ceil(left / nodes)`, times the nodes."""
    rounding = nodes - 1 if check.limit else 0
    burst = check.burst
    if burst is not None and check.algorithm == TOKEN_BUCKET:
        burst += rounding
    return LimitCheck(
        check.key,
        check.limit + rounding,
        check.duration_ms,
        check.cost * nodes,
        check.algorithm,
        burst,
        check.mode,
    )
