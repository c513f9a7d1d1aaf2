"""The verifier: one decision, from a digest to a verdict, wherever limits and credits are counted."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from latchwork.domains.analytics import Analytics
from latchwork.domains.credits import Commit, Refills
from latchwork.domains.permissions import compile_query
from latchwork.domains.ratelimits import LimitRule, LimitState
from latchwork.domains.verification.cache import SnapshotCache
from latchwork.domains.verification.limits import chosen
from latchwork.domains.verification.purses import Purse
from latchwork.domains.verification.records import Claim, LimitStates, Outcome, Refusal, Verdict
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot, Verifying
from latchwork.kernel.durations import spoken

Usual = tuple[KeySnapshot, BoundLimit, LimitState]
"""Of a key that is VALID: its one limit, and how that stands."""


class UsualAsk(Protocol):
    """A verification that only one limit can still refuse."""

    def then(self, told: Callable[[Usual], None], refused: Callable[["Verdict"], None]) -> None:
        """Count it, and call one of them once."""
        ...


UsualSpend = tuple[KeySnapshot, BoundLimit | None, LimitState | None, int, Commit]
"""Of a key that is VALID and pays a credit: its one limit, if it has one, what it has left, and the commit of that."""
_SAMPLE = 10  # one in ten verifications of an API whose analytics are sampled


class Verifier(ABC):
    """Decides verifications. `attempt` never waits; `verify` fetches what is not in memory first."""

    def __init__(self, keys: SnapshotCache[KeySnapshot], refills: Refills, analytics: Analytics) -> None:
        self.keys = keys
        self._found = keys.found
        self._refills = refills
        self._record = analytics.verifications.append
        self._uses = analytics.uses
        self._sampled = 0

    @abstractmethod
    def attempt(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict | None:
        """The verdict if memory suffices, else `None` with nothing consumed; see `verify` for faults.

        It may still be on its way: see `Verdict.commit`.
        """

    def usual(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> Usual | None:
        """What `attempt` would say of a claim that asks for nothing in particular, where that is VALID by one limit.

        `None` of everything else and whenever that is not certain at once; nothing is consumed then.
        """
        return None

    def usual_ask(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> "UsualAsk | None":
        """The same where counters answer later: a question that is still to be asked.

        `None` of everything else and whenever that is not certain at once; nothing is consumed then.
        """
        return None

    def usual_spend(
        self, caller: Verifying, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> UsualSpend | None:
        """The same for a key that pays one credit of its own; final when the commit is settled.

        `None` of everything else and whenever that is not certain at once; nothing is consumed then.
        """
        return None

    @abstractmethod
    async def remaining(self, payer: str) -> int | None:
        """The credits that a key or an identity has, `None` if they are unlimited; raises `Unavailable`."""

    async def verify(self, caller: Verifying, claim: Claim, now_ms: int) -> Verdict:
        """The verdict, with its spend durable.

        Raises `QuerySyntaxError`, `PreconditionFailed` for a limit that does not exist, `BadRequest`.
        """
        while (verdict := self.attempt(caller, claim, now_ms)) is None:
            await self._ready(claim.digest, now_ms)
        if verdict.commit is not None:
            await verdict.commit
        return verdict

    def waits_for_database(self, digest: bytes) -> bool:
        """Whether a verification of the key has to ask the database, or to tell it of a spend."""
        snapshot = self.keys.found.get(digest)
        return snapshot is None or snapshot.purse is not None

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

    def _is_sampled(self, snapshot: KeySnapshot, now_ms: int) -> bool:
        """Whether to record a verification that need not be; of others only the moment is noted."""
        if snapshot.scope.observed == "sampled":
            self._sampled = (self._sampled + 1) % _SAMPLE
            if self._sampled == 0:
                return True
        self._uses[snapshot.key_id] = now_ms
        return False


def stateless_refusal(snapshot: KeySnapshot, claim: Claim, now_ms: int) -> Refusal | None:
    """What refuses the claim before anything is counted, if anything does; raises `QuerySyntaxError`."""
    query = None if claim.query is None else compile_query(claim.query)
    for refuse in snapshot.checks:
        refusal: Refusal | None = refuse(snapshot, claim.ip, now_ms)
        if refusal is not None:
            return refusal
    if query is not None and not query.allows(snapshot.permissions):
        reason = f"The key lacks permissions: {query.missing(snapshot.permissions)}"
        return Refusal(Outcome.INSUFFICIENT_PERMISSIONS, reason)
    return None


def rate_refusal(limits: LimitStates) -> Refusal:
    """The refusal of a request whose limits are these, at least one of them exceeded."""
    over = [(bound.rule, state) for bound, state in limits if state.exceeded]
    rule = over[0][0]
    reason = f"The limit '{rule.name}' of {rule.limit} in {spoken(rule.duration_ms)} is used up."
    return Refusal(Outcome.RATE_LIMITED, reason, _when_all_fit(over))


def credit_refusal(verdict: Verdict, purse: Purse, cost: int) -> Refusal:
    """The refusal of a verdict that says what remains, and that is too little."""
    remaining = {purse.key_id: verdict.remaining, purse.identity_id: verdict.identity_remaining}
    return Refusal(Outcome.USAGE_EXCEEDED, _too_few(verdict, cost), purse.retry_ms(remaining, cost))


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
