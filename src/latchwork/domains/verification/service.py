"""The verifier: one decision, from a digest to a verdict."""

from collections.abc import Sequence
from time import perf_counter_ns

from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Ledger, Refills
from latchwork.domains.permissions import compile_query
from latchwork.domains.ratelimits import Counters, LimitRule, LimitState
from latchwork.domains.verification.cache import MISSING, SnapshotCache
from latchwork.domains.verification.limits import Bound, chosen
from latchwork.domains.verification.purses import Purse
from latchwork.domains.verification.records import Claim, LimitStates, Outcome, Refusal, Verdict
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot, Verifying
from latchwork.kernel.durations import spoken

_VALID = Outcome.VALID
_SAMPLE = 10  # one in ten verifications of an API whose analytics are sampled


class Verifier:
    """Decides verifications. `attempt` never waits; `verify` fetches what is not in memory first."""

    def __init__(
        self,
        keys: SnapshotCache[KeySnapshot],
        counters: Counters,
        ledger: Ledger,
        refills: Refills,
        analytics: Analytics,
    ) -> None:
        self.keys = keys
        self._found = keys.found
        self.counters = counters
        self._take_one = counters.take_one
        self.ledger = ledger
        self._balances = ledger.balances
        self._refills = refills
        self._record = analytics.verifications.append
        self._uses = analytics.uses
        self._sampled = 0

    async def verify(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict:
        """The verdict, with its spend durable.

        Raises `QuerySyntaxError`, `PreconditionFailed` for a limit that does not exist, `BadRequest`.
        """
        while (verdict := self.attempt(caller, claim, now_ms)) is None:
            await self._ready(claim.digest, now_ms)
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
                await self._ready(claim.digest, now_ms)
            verdicts.append(verdict)
        for commit in {id(v.commit): v.commit for v in verdicts if v.commit is not None}.values():
            await commit
        return verdicts

    async def _ready(self, digest: bytes, now_ms: int) -> None:
        """Fetch what a decision about `digest` needs, and refill the credits whose moment it is."""
        snapshot = await self.keys.fetch(digest)
        if snapshot is None or snapshot.purse is None:
            return
        purse = snapshot.purse
        if now_ms >= purse.due_ms:
            purse.renew(await self._refills.ensure(purse.payers, now_ms))
        for payer in purse.payers:
            await self.ledger.settled(payer)

    def attempt(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict | None:
        """The verdict if memory suffices, else `None` with nothing consumed; see `verify` for faults.

        A spend may still be on its way to the disk: see `Verdict.commit`.
        """
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

    @staticmethod
    def may_know(caller: Verifying, claim: Claim, snapshot: KeySnapshot) -> bool:
        """Whether this caller may learn that the key exists; else it is NOT_FOUND and nothing more."""
        place = snapshot.scope
        return (
            place.workspace_id == caller.workspace_id
            and (
                caller.verifies_all
                or place.api_id in caller.verifies_apis
                or _may_verify_alone(caller.verifies_apis, place.api_id, snapshot.key_id)
            )
            and (not claim.keyspaces or place.keyspace_id in claim.keyspaces)
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
            return self._over(snapshot, [(bound, state)])
        return Verdict(_VALID, snapshot, None, [(bound, state)])

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
        verdict = Verdict(refusal.outcome, snapshot)
        if snapshot.purse is not None:
            self._tell_credits(verdict, snapshot.purse)
        verdict.reason, verdict.retry_at_ms = refusal.reason, refusal.retry_at_ms
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
        verdict.outcome = Outcome.USAGE_EXCEEDED
        verdict.reason, verdict.retry_at_ms = _too_few(verdict, cost), purse.retry_ms(ledger, cost)
        return 0

    def _is_sampled(self, snapshot: KeySnapshot, now_ms: int) -> bool:
        """Whether to record a verification that need not be; of others only the moment is noted."""
        if snapshot.scope.observed == "sampled":
            self._sampled = (self._sampled + 1) % _SAMPLE
            if self._sampled == 0:
                return True
        self._uses[snapshot.key_id] = now_ms
        return False


def _too_few(verdict: Verdict, cost: int) -> str:
    """Why the credits do not suffice; of the key's own, where those of its identity do not either."""
    if verdict.remaining is not None and verdict.remaining < cost:
        return f"{verdict.remaining} credits remain, this costs {cost}."
    return f"{verdict.identity_remaining} credits of the key's identity remain, this costs {cost}."


def _may_verify_alone(named: frozenset[str], api_id: str, key_id: str) -> bool:
    """Whether a URN names this one key."""
    return bool(named) and (f"{api_id}/{key_id}" in named or f"*/{key_id}" in named)


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
