"""The verifier of a cluster: limits and credits are counted for all nodes, so the verdict comes a little later."""

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Commit, Refills, Spending
from latchwork.domains.ratelimits import LimitState, SharedTally
from latchwork.domains.verification.cache import MISSING, SnapshotCache
from latchwork.domains.verification.limits import Bound, chosen
from latchwork.domains.verification.purses import Purse
from latchwork.domains.verification.records import Claim, Outcome, Refusal, Verdict
from latchwork.domains.verification.service import (
    Usual,
    Verifier,
    credit_refusal,
    rate_refusal,
    stateless_refusal,
)
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot, Verifying

_VALID = Outcome.VALID


class Payments(Protocol):
    """Takes credits for all nodes; `done` is called later, on the event loop."""

    def ask(self, subjects: Sequence[str], cost: int, done: Callable[[Spending], None]) -> None:
        """Take `cost` from every subject or from none; a cost of 0 only looks."""
        ...

    async def settled(self, subject_id: str) -> int | None:
        """What the subject has, `None` if it is unlimited; raises `Unavailable`."""
        ...


class SharedVerifier(Verifier):
    """See `Verifier`. What is cached decides at once; limits are asked next, and credits last."""

    def __init__(
        self,
        keys: SnapshotCache[KeySnapshot],
        tally: SharedTally,
        payments: Payments,
        refills: Refills,
        analytics: Analytics,
    ) -> None:
        super().__init__(keys, refills, analytics)
        self.count = tally.ask
        self.pay = payments.ask
        self.record = self._record
        self._payments = payments

    async def remaining(self, payer: str) -> int | None:
        """See `Verifier`."""
        return await self._payments.settled(payer)

    def usual_ask(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> "UsualAsking | None":
        """See `Verifier`. What nearly every verification is; kept flat on purpose."""
        snapshot = self._found.get(digest)
        if snapshot is None or not caller.verifies_all:
            return None
        bound, place = snapshot.usual, snapshot.scope
        if bound is None or place.workspace_id != caller.workspace_id or not place.live:
            return None
        return UsualAsking(self, snapshot, bound, request_id, tags, now_ms)

    def attempt(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict | None:
        """See `Verifier`."""
        began = perf_counter_ns()
        snapshot = self._found.get(claim.digest)
        if snapshot is None or not snapshot.scope.live:
            return Verdict(Outcome.NOT_FOUND) if self.keys.get(claim.digest) is MISSING else None
        if not self.may_know(caller, claim, snapshot):
            return Verdict(Outcome.NOT_FOUND)
        purse = snapshot.purse
        if purse is not None and now_ms >= purse.due_ms:
            return None
        verdict = Verdict(_VALID, snapshot)
        refusal = None
        if not snapshot.is_plain or claim.query is not None:
            refusal = stateless_refusal(snapshot, claim, now_ms)
        asking = Asking(self, verdict, snapshot, claim, now_ms, began)
        if refusal is not None:
            asking.refuse(refusal)
        else:
            asking.begin(
                chosen(snapshot, claim.limits)
                if claim.limits
                else [(bound, bound.check) for bound in snapshot.auto]
            )
        if not asking.settled:
            verdict.commit = asking
        return verdict

    def observe(
        self, snapshot: KeySnapshot, claim: Claim, outcome: Outcome, spent: int, now_ms: int, began: int
    ) -> None:
        """Record a verification that is decided; `began` in ns of the performance counter."""
        if snapshot.scope.observed == "full" or self._is_sampled(snapshot, now_ms):
            latency_us = (perf_counter_ns() - began) // 1000
            self._record((now_ms, claim.request_id, snapshot, outcome, claim.tags, spent, latency_us))


class UsualAsking:
    """See `UsualAsk`."""

    __slots__ = (
        "_began",
        "_bound",
        "_now_ms",
        "_refused",
        "_request_id",
        "_snapshot",
        "_tags",
        "_told",
        "_verifier",
    )

    def __init__(
        self,
        verifier: SharedVerifier,
        snapshot: KeySnapshot,
        bound: BoundLimit,
        request_id: str,
        tags: tuple[str, ...],
        now_ms: int,
    ) -> None:
        self._began = perf_counter_ns()
        self._verifier = verifier
        self._snapshot = snapshot
        self._bound = bound
        self._request_id = request_id
        self._tags = tags
        self._now_ms = now_ms

    def then(self, told: Callable[[Usual], None], refused: Callable[[Verdict], None]) -> None:
        """See `UsualAsk`."""
        self._told, self._refused = told, refused
        self._verifier.count((self._bound.check,), self._now_ms, self._counted)

    def _counted(self, states: list[LimitState]) -> None:
        (state,) = states
        snapshot, bound = self._snapshot, self._bound
        if not state.exceeded:
            self._record(_VALID)
            self._told((snapshot, bound, state))
            return
        verdict = Verdict(_VALID, snapshot, None, [(bound, state)])
        verdict.refuse(rate_refusal([(bound, state)]))
        self._record(verdict.outcome)
        self._refused(verdict)

    def _record(self, outcome: Outcome) -> None:
        latency_us = (perf_counter_ns() - self._began) // 1000
        self._verifier.record(
            (self._now_ms, self._request_id, self._snapshot, outcome, self._tags, 0, latency_us)
        )


class Asking(Commit):
    """A verification that is under way; it is settled when its verdict is final.

    Where credits cannot be taken it fails, with what limits counted staying counted.
    """

    __slots__ = ("_began", "_bound", "_claim", "_now_ms", "_snapshot", "_verdict", "_verifier")

    def __init__(
        self,
        verifier: SharedVerifier,
        verdict: Verdict,
        snapshot: KeySnapshot,
        claim: Claim,
        now_ms: int,
        began: int,
    ) -> None:
        super().__init__()
        self._verifier = verifier
        self._verdict = verdict
        self._snapshot = snapshot
        self._claim = claim
        self._now_ms = now_ms
        self._began = began
        self._bound: Sequence[Bound] = ()

    def begin(self, bound: Sequence[Bound]) -> None:
        """Ask for room under these limits, then for credits."""
        if bound:
            self._bound = bound
            self._verifier.count([check for _, check in bound], self._now_ms, self._counted)
        else:
            self._go_on()

    def refuse(self, refusal: Refusal) -> None:
        """Refuse, saying what credits remain where there are any."""
        self._verdict.refuse(refusal)
        purse = self._snapshot.purse
        if purse is None:
            self._finish(0)
        else:
            self._verifier.pay(purse.payers, 0, self._looked)

    def _counted(self, states: list[LimitState]) -> None:
        limits = [(limit, state) for (limit, _), state in zip(self._bound, states, strict=True)]
        self._verdict.limits = limits
        for state in states:
            if state.exceeded:
                self.refuse(rate_refusal(limits))
                return
        self._go_on()

    def _go_on(self) -> None:
        purse = self._snapshot.purse
        if purse is None:
            self._finish(0)
        else:
            self._verifier.pay(purse.payers, self._cost, self._paid)

    @property
    def _cost(self) -> int:
        return 1 if self._claim.cost is None else self._claim.cost

    def _looked(self, spending: Spending) -> None:
        """A refusal stands whether or not what remains could be seen."""
        if spending.error is None:
            self._tell(spending)
        self._finish(0)

    def _paid(self, spending: Spending) -> None:
        if spending.error is not None:
            self.settle(spending.error)
            return
        purse = self._tell(spending)
        if spending.spent:
            self._finish(self._cost)
        else:
            self._verdict.refuse(credit_refusal(self._verdict, purse, self._cost))
            self._finish(0)

    def _tell(self, spending: Spending) -> Purse:
        verdict, purse = self._verdict, self._snapshot.purse
        assert purse is not None
        remaining = dict(zip(purse.payers, spending.remaining, strict=True))
        verdict.remaining = remaining.get(purse.key_id or "")
        verdict.identity_remaining = remaining.get(purse.identity_id or "")
        return purse

    def _finish(self, spent: int) -> None:
        self._verifier.observe(
            self._snapshot, self._claim, self._verdict.outcome, spent, self._now_ms, self._began
        )
        self.settle(None)
