"""What rate limits need from a technology: counters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from latchwork.domains.ratelimits.records import Algorithm, Counter, Held, LimitCheck, LimitState


class Counters(Protocol):
    """Counts what is taken. Every verb is one atomic step; times are milliseconds since the epoch.

    A check that does not fit takes nothing. Checks in shadow mode are counted each for itself, whatever
    becomes of the others: their counters stand where they would if they alone were enforced.
    """

    def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        """Take the cost of `check` if it fits."""
        ...

    def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """Take the costs of all enforced checks if every one of them fits, else of none.

        Answers in the order of `checks`. Checks of the same counter count against each other, in that
        order. Where one does not fit, those that do answer with `remaining` as if their own cost had not
        been taken.
        """
        ...

    def peek(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        """What `take` would answer; takes nothing."""
        ...

    def reset(self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None) -> None:
        """Forget what was taken from the counters of `key`: of all, or of one algorithm or duration."""
        ...


class LocalCounters(Counters, Protocol):
    """Counters of this process that stand in for shared ones: they can be told what those hold."""

    def see(self, check: LimitCheck, seen: Sequence[int], now_ms: int) -> None:
        """Make the counter of `check` what was seen of the shared one.

        `seen` is, by algorithm: what was taken in the previous window and in this one; what a log holds and
        when it last took; or the level of a bucket, when that was, and the limit it was last filled under.
        """
        ...

    def add(self, check: LimitCheck, now_ms: int) -> None:
        """Take the cost of `check`, whether it fits or not."""
        ...

    def contents(self) -> Iterator[Held]:
        """All that is counted; may be asked for piece by piece while counting goes on."""
        ...

    def held(self, counter: Counter) -> list[Held]:
        """All that one counter holds."""
        ...

    def put(self, held: Held) -> None:
        """Count what was held elsewhere on top of what is counted here."""
        ...


Done = Callable[[list[LimitState]], None]
"""What is to be told the states of a request's checks, in their order."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whether counters are shared just now, or each node counts for itself; since when, and why."""

    mode: Literal["shared", "degraded"]
    since_ms: int
    reason: str = ""


class SharedCounters(Protocol):
    """Counts what is taken on all nodes together; see `Counters`, whose answers these are.

    Times are in the clock of whoever counts. A server with a test clock may say `now_ms` itself. Nothing here
    raises because the counters are out of reach, or waits for more than 50 ms: see `Sharing`.
    """

    @property
    def sharing(self) -> Sharing:
        """How it stands."""
        ...

    def ask(self, checks: Sequence[LimitCheck], done: Done, now_ms: int | None = None) -> None:
        """As `Counters.take`: one atomic step for each request, in the order asked.

        `done` is called on the event loop, once and never from within `ask`.
        """
        ...

    async def peek(self, checks: Sequence[LimitCheck], now_ms: int | None = None) -> list[LimitState]:
        """What `ask` would answer; takes nothing."""
        ...

    async def reset(
        self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None
    ) -> None:
        """As `Counters.reset`, on all nodes."""
        ...

    def now_ms(self) -> int:
        """The clock of whoever counts, as well as it is known."""
        ...

    async def open(self) -> None:
        """Begin to serve; an error would be a broken setting, not somebody out of reach."""
        ...

    async def close(self) -> None:
        """Answer whoever still waits, and leave."""
        ...
