"""The verifier of one process: limits and credits are in its memory, so the decision is made at once."""

from collections.abc import Sequence
from time import perf_counter_ns

from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Ledger, Refills
from latchwork.domains.ratelimits import ENFORCE, Counters
from latchwork.domains.verification.cache import MISSING, SnapshotCache
from latchwork.domains.verification.limits import Bound, chosen
from latchwork.domains.verification.purses import Purse
from latchwork.domains.verification.records import Claim, LimitStates, Outcome, Refusal, Verdict
from latchwork.domains.verification.service import (
    Usual,
    UsualSpend,
    Verifier,
    credit_refusal,
    rate_refusal,
    stateless_refusal,
)
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot, Verifying

_VALID = Outcome.VALID


class LocalVerifier(Verifier):
    """See `Verifier`. Only a spend is waited for, until it is on the disk."""

    def __init__(
        self,
        keys: SnapshotCache[KeySnapshot],
        counters: Counters,
        ledger: Ledger,
        refills: Refills,
        analytics: Analytics,
    ) -> None:
        super().__init__(keys, refills, analytics)
        self.counters = counters
        self._take_one = counters.take_one
        self.ledger = ledger
        self._balances = ledger.balances
        self._take = ledger.take

    async def remaining(self, payer: str) -> int | None:
        """See `Verifier`."""
        return await self.ledger.settled(payer)

    async def _ready(self, digest: bytes, now_ms: int) -> None:
        await super()._ready(digest, now_ms)
        snapshot = self._found.get(digest)
        if snapshot is not None and snapshot.purse is not None:
            for payer in snapshot.purse.payers:
                await self.ledger.settled(payer)

    def usual(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> Usual | None:
        """See `Verifier`. What nearly every verification is; kept flat on purpose."""
        began = perf_counter_ns()
        snapshot = self._found.get(digest)
        if snapshot is None or not caller.verifies_all:
            return None
        bound, place = snapshot.usual, snapshot.scope
        if bound is None or place.workspace_id != caller.workspace_id or not place.live:
            return None
        state = self._take_one(bound.check, now_ms)
        if state.exceeded:
            return None  # nothing was taken, and asked again it is the same
        latency_us = (perf_counter_ns() - began) // 1000
        self._record((now_ms, request_id, snapshot, _VALID, tags, 0, latency_us))
        return snapshot, bound, state

    def usual_spend(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> UsualSpend | None:
        """See `Verifier`. What nearly every verification of a metered key is; flat for the same reason."""
        began = perf_counter_ns()
        snapshot = self._found.get(digest)
        if snapshot is None or not caller.verifies_all:
            return None
        purse, place, auto = snapshot.purse, snapshot.scope, snapshot.auto
        if (
            purse is None
            or now_ms >= purse.plain_until_ms
            or purse.identity_pays
            or snapshot.checks
            or len(auto) > 1
            or place.observed != "full"
            or place.workspace_id != caller.workspace_id
            or not place.live
        ):
            return None
        payer = purse.payer
        balance = self._balances.get(payer, 0)
        if balance < 1:
            return None  # or not in memory
        bound = state = None
        if auto:
            bound = auto[0]
            if bound.rule.mode != ENFORCE:
                return None
            state = self._take_one(bound.check, now_ms)
            if state.exceeded:
                return None  # nothing was taken, and asked again it is the same
        commit = self._take(payer, balance, 1)
        latency_us = (perf_counter_ns() - began) // 1000
        self._record((now_ms, request_id, snapshot, _VALID, tags, 1, latency_us))
        return snapshot, bound, state, balance - 1, commit

    def attempt(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict | None:
        """See `Verifier`; only a spend may still be on its way to the disk."""
        began = perf_counter_ns()
        snapshot = self._found.get(claim.digest)
        if snapshot is None or not snapshot.scope.live:
            return Verdict(Outcome.NOT_FOUND) if self.keys.get(claim.digest) is MISSING else None
        if not self.may_know(caller, claim, snapshot):
            return Verdict(Outcome.NOT_FOUND)
        purse = snapshot.purse
        if purse is not None and (
            purse.payer not in self._balances
            or (now_ms >= purse.plain_until_ms and not purse.is_at_hand(self._balances, now_ms))
        ):
            return None
        if snapshot.is_plain and claim.query is None and not claim.limits:
            verdict = self._under_one(snapshot, snapshot.auto[0], now_ms)
        else:
            verdict = self._decide(snapshot, claim, now_ms)
        spent = 0
        if purse is not None and verdict.outcome is _VALID:
            spent = self._spend(verdict, purse, claim)
        if snapshot.scope.observed == "full" or self._is_sampled(snapshot, now_ms):
            latency_us = (perf_counter_ns() - began) // 1000
            self._record((now_ms, claim.request_id, snapshot, verdict.outcome, claim.tags, spent, latency_us))
        return verdict

    def _decide(self, snapshot: KeySnapshot, claim: Claim, now_ms: int) -> Verdict:
        refusal = stateless_refusal(snapshot, claim, now_ms)
        if refusal is not None:
            return self._refused(snapshot, refusal)
        if claim.limits:
            return self._limited(snapshot, chosen(snapshot, claim.limits), now_ms)
        auto = snapshot.auto
        if len(auto) == 1:
            return self._under_one(snapshot, auto[0], now_ms)
        if auto:
            return self._limited(snapshot, [(bound, bound.check) for bound in auto], now_ms)
        return Verdict(Outcome.VALID, snapshot)

    def _under_one(self, snapshot: KeySnapshot, bound: BoundLimit, now_ms: int) -> Verdict:
        state = self._take_one(bound.check, now_ms)
        if state.exceeded:
            return self._refused(snapshot, rate_refusal([(bound, state)]), [(bound, state)])
        return Verdict(_VALID, snapshot, None, [(bound, state)])

    def _limited(self, snapshot: KeySnapshot, bound: Sequence[Bound], now_ms: int) -> Verdict:
        states = self.counters.take([check for _, check in bound], now_ms)
        limits = [(limit, state) for (limit, _), state in zip(bound, states, strict=True)]
        if any(state.exceeded for state in states):
            return self._refused(snapshot, rate_refusal(limits), limits)
        return Verdict(Outcome.VALID, snapshot, None, limits)

    def _refused(self, snapshot: KeySnapshot, refusal: Refusal, limits: LimitStates | None = None) -> Verdict:
        verdict = Verdict(refusal.outcome, snapshot, None, limits, refusal.reason, refusal.retry_at_ms)
        if snapshot.purse is not None:
            self._tell_credits(verdict, snapshot.purse)
        return verdict

    def _tell_credits(self, verdict: Verdict, purse: Purse) -> None:
        available = self.ledger.available
        verdict.remaining = None if purse.key_id is None else available(purse.key_id)
        verdict.identity_remaining = None if purse.identity_id is None else available(purse.identity_id)

    def _spend(self, verdict: Verdict, purse: Purse, claim: Claim) -> int:
        """Spend for a verdict that is valid so far, and turn it into a refusal if that fails."""
        cost = 1 if claim.cost is None else claim.cost
        ledger = self.ledger
        if purse.identity_pays:
            done = purse.spend(ledger, cost)
            self._tell_credits(verdict, purse)
        else:
            done = ledger.try_spend(purse.payer, cost)
            verdict.remaining = ledger.available(purse.payer)
        if done:
            if cost:
                verdict.commit = ledger.commit_of_now()
            return cost
        verdict.refuse(credit_refusal(verdict, purse, cost))
        return 0
