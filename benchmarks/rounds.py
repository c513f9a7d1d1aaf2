"""Rounds in alternation: whatever disturbs the machine disturbs every contender alike."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.harness import Served
from benchmarks.load import Load, Sent, send

ROUNDS = 5
SECONDS = 2


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the load it gets."""

    server: Served
    load: Load


@dataclass(frozen=True, slots=True)
class Round:
    """One run: what came back, and the CPU of the server's process tree for each answer."""

    sent: Sent
    cpu_us: float
    waited_ms: float

    @property
    def per_s(self) -> float:
        """Answers a second by the wall clock."""
        return self.sent.requests / self.sent.seconds


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of one contender that count."""

    each: tuple[Round, ...]

    @property
    def cpu_us(self) -> float:
        """Median CPU microseconds per request."""
        return statistics.median(r.cpu_us for r in self.each)

    @property
    def per_s(self) -> float:
        """Median answers a second."""
        return statistics.median(r.per_s for r in self.each)

    def median(self, name: str) -> float:
        """Median of a field of `Sent`."""
        return statistics.median(float(getattr(r.sent, name)) for r in self.each)

    @property
    def worst_ms(self) -> float:
        """The longest any answer took."""
        return max(r.sent.max_ms for r in self.each)

    def beside(self) -> dict[str, float]:
        """The figures that are printed next to a ratio."""
        return {
            "cpu_us": round(self.cpu_us, 2),
            "cpu_us_min": round(min(r.cpu_us for r in self.each), 2),
            "per_s": round(self.per_s),
            "p50_ms": round(self.median("p50_ms"), 3),
            "p99_ms": round(self.median("p99_ms"), 3),
        }


def one_round(contender: Contender, seconds: int = SECONDS) -> Round:
    """Load a contender once."""
    cpu, waited = contender.server.cpu_s(), contender.server.waited_s()
    sent = send(contender.server.port, contender.load, seconds)
    spent = contender.server.cpu_s() - cpu
    return Round(sent, spent * 1e6 / sent.requests, (contender.server.waited_s() - waited) * 1e3)


def alternate(
    contenders: Mapping[str, Contender], *, rounds: int = ROUNDS, seconds: int = SECONDS
) -> dict[str, Rounds]:
    """Load the contenders in turn, `rounds` times after a first time that does not count."""
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, contender in contenders.items():
            found[name].append(one_round(contender, seconds))
    return {name: Rounds(tuple(each[1:])) for name, each in found.items()}
