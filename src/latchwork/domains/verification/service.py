"""The verifier: one decision, from a digest to a verdict."""

from collections.abc import Sequence
from time import perf_counter_ns

from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Ledger
from latchwork.domains.permissions import compile_query
from latchwork.domains.ratelimits import Counters, LimitRule, LimitState
from latchwork.domains.verification.cache import MISSING, SnapshotCache
from latchwork.domains.verification.limits import Bound, chosen
from latchwork.domains.verification.records import Claim, LimitStates, Outcome, Refusal, Verdict
from latchwork.domains.verification.snapshots import KeySnapshot, Verifying
from latchwork.kernel.durations import spoken

_SAMPLE = 10  # one in ten verifications of an API whose analytics are sampled


class Verifier:
    """Decides verifications. `attempt` never waits; `verify` fetches what is not in memory first."""

    def __init__(
        self,
        keys: SnapshotCache[KeySnapshot],
        counters: Counters,
        ledger: Ledger,
        analytics: Analytics,
    ) -> None:
        self.keys = keys
        self.counters = counters
        self.ledger = ledger
        self._record = analytics.verifications.append
        self._sampled = 0

    async def verify(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict:
        """The verdict, with its spend durable.

        Raises `QuerySyntaxError`, `PreconditionFailed` for a limit that does not exist, `BadRequest`.
        """
        while (verdict := self.attempt(caller, claim, now_ms)) is None:
            await self._ready(claim.digest)
        if verdict.commit is not None:
            await verdict.commit
        return verdict

    async def verify_all(self, caller: Verifying, claims: Sequence[Claim], now_ms: int) -> list[Verdict]:
        """The verdict of each claim, as if they came one after another; faults as `verify`.

        Every query is parsed and every named limit looked up before anything is consumed; what is
        spent becomes durable together.
        """
        for claim in claims:
            snapshot = await self.keys.fetch(claim.digest)
            if snapshot is not None and self.may_know(caller, claim, snapshot):
                check_claim(snapshot, claim)
        verdicts = []
        for claim in claims:
            while (verdict := self.attempt(caller, claim, now_ms)) is None:
                await self._ready(claim.digest)
            verdicts.append(verdict)
        for commit in {id(v.commit): v.commit for v in verdicts if v.commit is not None}.values():
            await commit
        return verdicts

    async def _ready(self, digest: bytes) -> None:
        """Fetch what a decision about `digest` needs."""
        snapshot = await self.keys.fetch(digest)
        if snapshot is not None and snapshot.credits is not None:
            await self.ledger.settled(snapshot.key_id)

    def attempt(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict | None:
        """The verdict if memory suffices, else `None` with nothing consumed; see `verify` for faults.

        A spend may still be on its way to the disk: see `Verdict.commit`.
        """
        began = perf_counter_ns()
        found = self.keys.get(claim.digest)
        if found is None:
            return None
        if found is MISSING or not self.may_know(caller, claim, found):  # type: ignore[arg-type]
            return Verdict(Outcome.NOT_FOUND)
        snapshot: KeySnapshot = found  # type: ignore[assignment]
        metered = snapshot.credits is not None
        if metered and snapshot.key_id not in self.ledger.balances:
            return None
        verdict = self._decide(snapshot, claim, now_ms)
        spent = 0
        if verdict.outcome is Outcome.VALID and metered:
            spent = self._spend(verdict, snapshot, claim)
        if snapshot.observed == "full" or self._is_sampled(snapshot):
            latency_us = (perf_counter_ns() - began) // 1000
            self._record((now_ms, claim.request_id, snapshot, verdict.outcome, claim.tags, spent, latency_us))
        return verdict

    @staticmethod
    def may_know(caller: Verifying, claim: Claim, snapshot: KeySnapshot) -> bool:
        """Whether this caller may learn that the key exists; else it is NOT_FOUND and nothing more."""
        return (
            snapshot.workspace_id == caller.workspace_id
            and (caller.verifies_all or snapshot.api_id in caller.verifies_apis)
            and (not claim.keyspaces or snapshot.keyspace_id in claim.keyspaces)
        )

    def _decide(self, snapshot: KeySnapshot, claim: Claim, now_ms: int) -> Verdict:
        query = None if claim.query is None else compile_query(claim.query)
        for refuse in snapshot.checks:
            refusal = refuse(snapshot, claim.ip, now_ms)
            if refusal is not None:
                return self._refused(snapshot, refusal)
        if query is not None and not query.allows(snapshot.permissions):
            reason = f"The key lacks permissions: {query.missing(snapshot.permissions)}"
            return self._refused(snapshot, Refusal(Outcome.INSUFFICIENT_PERMISSIONS, reason))
        if claim.limits:
            bound = chosen(snapshot, claim.limits)
            return self._limited(snapshot, bound, now_ms)
        if len(snapshot.auto_checks) == 1:
            state = self.counters.take_one(snapshot.auto_checks[0], now_ms)
            limits = [(snapshot.auto_limits[0], state)]
            if state.exceeded:
                return self._over(snapshot, limits)
            return Verdict(Outcome.VALID, snapshot, None, limits)
        if snapshot.auto_checks:
            return self._limited(
                snapshot, list(zip(snapshot.auto_limits, snapshot.auto_checks, strict=True)), now_ms
            )
        return Verdict(Outcome.VALID, snapshot)

    def _limited(self, snapshot: KeySnapshot, bound: Sequence[Bound], now_ms: int) -> Verdict:
        states = self.counters.take([check for _, check in bound], now_ms)
        limits = [(limit, state) for (limit, _), state in zip(bound, states, strict=True)]
        if any(state.exceeded for state in states):
            return self._over(snapshot, limits)
        return Verdict(Outcome.VALID, snapshot, None, limits)

    def _over(self, snapshot: KeySnapshot, limits: LimitStates) -> Verdict:
        over = [(bound.rule, state) for bound, state in limits if state.exceeded]
        rule = over[0][0]
        reason = f"The limit '{rule.name}' of {rule.limit} in {spoken(rule.duration_ms)} is used up."
        verdict = self._refused(snapshot, Refusal(Outcome.RATE_LIMITED, reason, _when_all_fit(over)))
        verdict.limits = limits
        return verdict

    def _refused(self, snapshot: KeySnapshot, refusal: Refusal) -> Verdict:
        remaining = self.ledger.available(snapshot.key_id) if snapshot.credits is not None else None
        verdict = Verdict(refusal.outcome, snapshot, remaining)
        verdict.reason, verdict.retry_at_ms = refusal.reason, refusal.retry_at_ms
        return verdict

    def _spend(self, verdict: Verdict, snapshot: KeySnapshot, claim: Claim) -> int:
        """Spend for a verdict that is valid so far, and turn it into a refusal if that fails."""
        cost = 1 if claim.cost is None else claim.cost
        done = self.ledger.try_spend(snapshot.key_id, cost)
        verdict.remaining = self.ledger.available(snapshot.key_id)
        if done:
            if cost:
                verdict.commit = self.ledger.commit_of_now()
            return cost
        verdict.outcome = Outcome.USAGE_EXCEEDED
        verdict.reason = f"{verdict.remaining} credits remain, this costs {cost}."
        return 0

    def _is_sampled(self, snapshot: KeySnapshot) -> bool:
        if snapshot.observed != "sampled":
            return False
        self._sampled = (self._sampled + 1) % _SAMPLE
        return self._sampled == 0


def check_claim(snapshot: KeySnapshot, claim: Claim) -> None:
    """Raise what `verify` would raise for this claim, and consume nothing."""
    if claim.query is not None:
        compile_query(claim.query)
    if claim.limits:
        chosen(snapshot, claim.limits)


def _when_all_fit(over: list[tuple[LimitRule, LimitState]]) -> int | None:
    """The first moment at which every exceeded limit has room again; `None` if one never will."""
    moments = [state.retry_ms for _, state in over]
    return None if None in moments else max(moment for moment in moments if moment is not None)
