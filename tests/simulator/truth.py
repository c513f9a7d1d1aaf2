"""What must be true, whatever happens: said of what clients were told and of what the servers hold."""

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, field

from latchwork.domains.ratelimits import Counter, LimitCheck, LimitState
from latchwork.domains.ratelimits.standby import taken
from latchwork.domains.verification.records import Outcome, Verdict
from tests.simulator.node import Node

REVOKED_WITHIN_S = 1.0
"""How long after a change was acknowledged a node may still decide by what was before."""


class Violation(AssertionError):
    """Something was not true that must be."""


@dataclass(eq=False)
class Known:
    """A key: what each version of it says, and when versions were acknowledged, by which node."""

    enabled: dict[int, bool] = field(default_factory=lambda: {1: True})
    acknowledged: list[tuple[float, int, Node]] = field(default_factory=list)


@dataclass(eq=False)
class Purse:
    """The credits of a key: what may have been granted and what certainly was, what was given, and what is unknown."""

    most: int
    least: int
    given: int = 0
    unknown: int = 0


@dataclass(eq=False)
class Ask:
    """A verification that a client asked for: when, of whom, and what had to be known there."""

    asked_s: float
    node: Node
    digest: bytes
    heard: int


@dataclass(eq=False)
class Alone:
    """What one node gave out alone, since it last shared, and what it may."""

    since_ms: int
    given: int = 0
    nodes: int = 10**9


class Truth:
    """Hears of everything that clients ask and are told."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Known] = {}
        self.purses: dict[bytes, Purse] = {}
        self.told: Tally[Counter] = Tally()
        self.alone: Tally[tuple[Node, Counter]] = Tally()
        self.jobs: dict[str, int] = {}
        self._episodes: dict[tuple[Node, Counter], Alone] = {}
        self._seen: dict[tuple[Node, Counter], int] = {}

    # Keys

    def answered(self, ask: Ask, verdict: Verdict) -> None:
        """A verification was answered."""
        if verdict.snapshot is None or verdict.snapshot.name is None:
            raise Violation(f"{ask.node.host.name} knows no key {ask.digest!r}")
        self._is_current(ask, int(verdict.snapshot.name), verdict.outcome)
        purse = self.purses.get(ask.digest)
        if purse is not None and verdict.outcome is Outcome.VALID:
            purse.given += 1
            if purse.given > purse.most:
                raise Violation(f"{purse.given} credits were given of {purse.most}")

    def _is_current(self, ask: Ask, version: int, outcome: Outcome) -> None:
        known, where = self.keys[ask.digest], ask.node.host.name
        if version < ask.heard:
            raise Violation(f"{where} decided by version {version} after it heard of {ask.heard}")
        for at_s, acknowledged, node in known.acknowledged:
            grace_s = 0.0 if node is ask.node else REVOKED_WITHIN_S
            if version < acknowledged and ask.asked_s > at_s + grace_s:
                late_s = ask.asked_s - at_s
                raise Violation(f"{where} decided by version {version}, {late_s:.3f} s after {acknowledged}")
        if (outcome is Outcome.DISABLED) is known.enabled[version]:
            raise Violation(f"{where} said {outcome} by version {version}")

    def unanswered(self, ask: Ask) -> None:
        """Nobody can say what became of a verification: it failed, or its node ended."""
        if ask.digest in self.purses:
            self.purses[ask.digest].unknown += 1

    # Limits

    def counted(self, node: Node, checks: Sequence[LimitCheck], states: list[LimitState]) -> None:
        """A node was told by its counters, or told itself, what was taken."""
        is_alone = node.cluster.counters.sharing.mode != "shared"
        for check, state in zip(checks, states, strict=True):
            place = (node, check.counter)
            if not is_alone:
                self._seen[place] = check.limit - state.remaining
        for check in taken(checks, states):
            self.told[check.counter] += check.cost
            if is_alone:
                self._gave_alone(node, check)

    def _gave_alone(self, node: Node, check: LimitCheck) -> None:
        place = (node, check.counter)
        self.alone[place] += check.cost
        since_ms = node.cluster.counters.sharing.since_ms
        alone = self._episodes.get(place)
        if alone is None or alone.since_ms != since_ms:
            alone = self._episodes[place] = Alone(since_ms)
        alone.given += check.cost
        alone.nodes = min(alone.nodes, node.cluster.bus.known_nodes())
        share = -(-(check.limit - self._seen.get(place, 0)) // alone.nodes)
        if check.algorithm == "sliding_window" and alone.given > share:
            raise Violation(f"{node.host.name} gave out {alone.given} alone, more than its share of {share}")
