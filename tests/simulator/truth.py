"""What must be true, whatever happens: said of what clients were told and of what the servers hold."""

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, field

from latchwork.domains.ratelimits import Counter, LimitCheck, LimitState
from latchwork.domains.ratelimits.standby import taken
from latchwork.domains.verification.records import Outcome, Verdict
from tests.simulator.admissions import Admissions
from tests.simulator.furniture import LONG, MIDNIGHT_MS, REFILL, SLOW
from tests.simulator.node import Node
from tests.simulator.redis_model import Call
from tests.simulator.violation import Violation

REVOKED_WITHIN_S = 1.0
"""How long after a change was acknowledged a node may still decide by what was before."""


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
    refills: int = 0


@dataclass(eq=False)
class Ask:
    """A verification that a client asked for: when, of whom, and what had to be known there."""

    asked_s: float
    node: Node
    digest: bytes
    heard: int
    at_ms: int  # by the node's clock, at the earliest


@dataclass(eq=False)
class Standing:
    """A hold of which a client was told; `tries` is how often somebody began to settle it."""

    id: str
    digest: bytes
    amount: int
    expires_ms: int
    tries: int = 0
    settled: int = 0


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
        self.doubted: dict[Call, Tally[Counter]] = {}
        self.admissions = Admissions()
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
        if purse is None:
            return
        if verdict.outcome is Outcome.VALID:
            self.spent(purse, 1)
        elif verdict.outcome is Outcome.USAGE_EXCEEDED and ask.at_ms >= MIDNIGHT_MS and not purse.refills:
            raise Violation(f"{ask.node.host.name} refused who was to be refilled first")

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

    # Credits

    def spent(self, purse: Purse, amount: int) -> None:
        """A client was told that credits are theirs."""
        purse.given += amount
        if purse.given > purse.most:
            raise Violation(f"{purse.given} credits were given of {purse.most}")

    def refilled(self, digest: bytes, added: int, left: int, latest_ms: int) -> None:
        """A refill was committed, no later than `latest_ms` by anybody's clock: by how much, and to what."""
        purse = self.purses[digest]
        purse.refills += 1
        purse.most += added
        purse.least += added
        if purse.refills > 1:
            raise Violation(f"{digest!r} was refilled {purse.refills} times")
        if latest_ms < MIDNIGHT_MS:
            raise Violation(f"{digest!r} was refilled {MIDNIGHT_MS - latest_ms} ms too soon")
        if left < REFILL or added < 0:
            raise Violation(f"{digest!r} was refilled by {added} to {left}")

    def settled(self, hold: Standing, spent: int) -> None:
        """A client was told that a hold was settled."""
        hold.settled += 1
        if hold.settled > 1:
            raise Violation("a hold was settled twice")
        self.spent(self.purses[hold.digest], spent)

    def missed(self, hold: Standing, latest_ms: int) -> None:
        """A client was told that there is no such hold, no later than `latest_ms` by anybody's clock."""
        if hold.tries == 1 and latest_ms < hold.expires_ms:
            raise Violation(f"a hold was gone {hold.expires_ms - latest_ms} ms before its time")

    # Limits

    def counted(self, node: Node, checks: Sequence[LimitCheck], states: list[LimitState]) -> None:
        """A node was told by its counters, or told itself, what was taken."""
        is_alone = node.cluster.counters.sharing.mode != "shared"
        for check, state in zip(checks, states, strict=True):
            place = (node, check.counter)
            if not is_alone:
                self._seen[place] = check.capacity - state.remaining
        for check in taken(checks, states):
            self.told[check.counter] += check.cost
            if is_alone:
                self._gave_alone(node, check)
                if node.doubting is not None:
                    call = (node.calls_as, node.doubting)
                    self.doubted.setdefault(call, Tally())[check.counter] += check.cost

    def _gave_alone(self, node: Node, check: LimitCheck) -> None:
        place = (node, check.counter)
        self.alone[place] += check.cost
        since_ms = node.cluster.counters.sharing.since_ms
        alone = self._episodes.get(place)
        if alone is None or alone.since_ms != since_ms:
            alone = self._episodes[place] = Alone(since_ms)
        alone.given += check.cost
        alone.nodes = min(alone.nodes, node.cluster.bus.known_nodes())
        share = -(-(check.capacity - self._seen.get(place, 0)) // alone.nodes)
        if check.counter in (LONG, SLOW) and alone.given > share:
            raise Violation(f"{node.host.name} gave out {alone.given} alone, more than its share of {share}")
