"""Explaining: the same checks, all of them, told to record; nothing is spent and nothing is recorded."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from latchwork.domains.permissions import compile_query
from latchwork.domains.ratelimits import LimitState, Tally
from latchwork.domains.verification import store
from latchwork.domains.verification.checks import CHECKS
from latchwork.domains.verification.limits import Bound, chosen
from latchwork.domains.verification.purses import Purse
from latchwork.domains.verification.records import Claim, Outcome
from latchwork.domains.verification.service import Verifier
from latchwork.domains.verification.snapshots import Grant, KeySnapshot
from latchwork.kernel.durations import moment, spoken
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Database

_PROCEDURES = {"credits": "keys.updateCredits", "identityCredits": "identities.updateCredits"}


@dataclass(frozen=True, slots=True)
class Step:
    """One check: what it found, and what would make it pass. `outcome` is passed, failed or skipped."""

    check: str
    outcome: str
    detail: str
    rule: str | None = None
    code: Outcome | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `verify` would answer, and every check in order, also those after the first failure."""

    code: Outcome
    steps: list[Step] = field(default_factory=list)

    @property
    def remedies(self) -> list[str]:
        """What would make each failed check pass, in order."""
        return [step.remedy for step in self.steps if step.remedy]


_UNKNOWN = Explanation(
    Outcome.NOT_FOUND,
    [
        Step(
            "key",
            "failed",
            "No key that you may verify has this text or id.",
            code=Outcome.NOT_FOUND,
            remedy="Check the text of the key, its workspace, and that neither key nor API was deleted.",
        )
    ],
)


class Explainer:
    """Explains verifications."""

    def __init__(self, verifier: Verifier, tally: Tally, db: Database) -> None:
        self._verifier = verifier
        self._tally = tally
        self._db = db

    async def digest_of(self, who: Principal, key_id: str) -> bytes:
        """The digest of the key with that id; one that no key has when there is no such key."""
        found = await self._db.read(
            lambda connection: store.digest_of_key(connection, who.workspace_id, key_id), who.workspace_id
        )
        return b"" if found is None else found

    async def explain(
        self, who: Principal, claim: Claim, now_ms: int, *, is_supposed: bool = False
    ) -> Explanation:
        """What `verify` would decide and why; raises the same faults. Needs to verify and to read the key.

        `is_supposed`: as if it were `now_ms`, which it is not.
        """
        snapshot = await self._verifier.keys.fetch(claim.digest) if claim.digest else None
        if snapshot is None or not self._may(who, claim, snapshot):
            return _UNKNOWN
        steps = [Step("key", "passed", f"The key is {snapshot.key_id} of API {snapshot.api_id}.")]
        steps += self._stateless(snapshot, claim, now_ms)
        steps += await self._limits(snapshot, claim, now_ms, is_supposed)
        steps += [step async for step in self._credits(snapshot, claim, now_ms)]
        failed = [step.code for step in steps if step.code is not None]
        return Explanation(failed[0] if failed else Outcome.VALID, steps)

    def _may(self, who: Principal, claim: Claim, snapshot: KeySnapshot) -> bool:
        grant = Grant.of(who.workspace_id, who.permissions)
        return self._verifier.may_know(grant, claim, snapshot) and who.may(
            "api", snapshot.api_id, "read_key", snapshot.key_id
        )

    def _stateless(self, snapshot: KeySnapshot, claim: Claim, now_ms: int) -> Iterator[Step]:
        for check in CHECKS:
            refusal = check.refuse(snapshot, claim.ip, now_ms)
            if refusal is None:
                yield Step(check.name, "passed", check.passes(snapshot))
            else:
                remedy = check.remedy(snapshot)
                yield Step(check.name, "failed", refusal.reason, code=refusal.outcome, remedy=remedy)
        yield self._permissions(snapshot, claim)

    @staticmethod
    def _permissions(snapshot: KeySnapshot, claim: Claim) -> Step:
        if claim.query is None:
            return Step("permissions", "skipped", "The request asks for no permissions.")
        query = compile_query(claim.query)
        if query.allows(snapshot.permissions):
            return Step("permissions", "passed", "The key holds what the query asks for.", claim.query)
        missing = query.missing(snapshot.permissions)
        return Step(
            "permissions",
            "failed",
            f"The key lacks permissions: {missing}",
            claim.query,
            Outcome.INSUFFICIENT_PERMISSIONS,
            f"Give the key {missing}, directly or through a role.",
        )

    async def _limits(
        self, snapshot: KeySnapshot, claim: Claim, now_ms: int, is_supposed: bool
    ) -> list[Step]:
        bound = chosen(snapshot, claim.limits)
        if not bound:
            return [Step("ratelimits", "skipped", "No limit applies to this request.")]
        states = await self._tally.peek([check for _, check in bound], now_ms, is_supposed=is_supposed)
        return [_limit_step(limit, state) for limit, state in zip(bound, states, strict=True)]

    async def _credits(self, snapshot: KeySnapshot, claim: Claim, now_ms: int) -> AsyncIterator[Step]:
        purse, cost = snapshot.purse, 1 if claim.cost is None else claim.cost
        if purse is None or purse.key_id is None:
            yield Step("credits", "skipped", "The key is not limited by credits.")
        else:
            yield await self._paying("credits", purse, purse.key_id, cost, now_ms)
        if purse is None or purse.identity_id is None:
            yield Step("identityCredits", "skipped", "The key has no identity that is limited by credits.")
        else:
            yield await self._paying("identityCredits", purse, purse.identity_id, cost, now_ms)

    async def _paying(self, check: str, purse: Purse, payer: str, cost: int, now_ms: int) -> Step:
        remaining = purse.foreseen(payer, await self._verifier.remaining(payer) or 0, now_ms)
        detail = f"{remaining} credits remain, this costs {cost}."
        if remaining >= cost:
            return Step(check, "passed", detail)
        procedure = _PROCEDURES[check]
        remedy = f"add at least {cost - remaining} credits: {procedure} with operation increment."
        refill = purse.refills.get(payer)
        if refill is not None and refill.amount >= cost and refill.due_ms > now_ms:
            remedy = f"wait for the refill at {moment(refill.due_ms)}, or {remedy}"
        remedy = remedy[0].upper() + remedy[1:]
        return Step(check, "failed", detail, code=Outcome.USAGE_EXCEEDED, remedy=remedy)


def _limit_step(bound: Bound, state: LimitState) -> Step:
    rule, check = bound[0].rule, bound[1]
    size = f"{rule.limit} in {spoken(rule.duration_ms)}"
    if state.exceeded:
        wait = "" if state.retry_ms is None else f"wait until {moment(state.retry_ms)}, "
        remedy = f"{wait}lower the cost, or raise the limit '{rule.name}'."
        remedy = remedy[0].upper() + remedy[1:]
        detail = f"The limit '{rule.name}' of {size} has no room for a cost of {check.cost}."
        return Step("ratelimits", "failed", detail, rule.name, Outcome.RATE_LIMITED, remedy)
    left = f"The limit '{rule.name}' of {size} would have {state.remaining} left."
    return Step("ratelimits", "passed", left, rule.name)
