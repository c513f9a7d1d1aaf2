"""What is asked of a verification and what it answers."""

from enum import StrEnum

import msgspec

from latchwork.domains.credits import Commit
from latchwork.domains.ratelimits import LimitState
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot


class Outcome(StrEnum):
    """How a verification ended; every one of them is an answer, none an error."""

    VALID = "VALID"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"
    INSUFFICIENT_PERMISSIONS = "INSUFFICIENT_PERMISSIONS"
    RATE_LIMITED = "RATE_LIMITED"
    USAGE_EXCEEDED = "USAGE_EXCEEDED"


class LimitClaim(msgspec.Struct, frozen=True, gc=False):
    """A limit the request names: a stored one by its name, or its own when limit and duration are given."""

    name: str
    cost: int = 1
    limit: int | None = None
    duration_ms: int | None = None

    @property
    def is_its_own(self) -> bool:
        """Whether the request brings limit and duration itself."""
        return self.limit is not None and self.duration_ms is not None


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One verification: the digest of the key's text, and what the key is to be used for.

    `cost` is in credits; `None` costs 1 where the key has credits. `keyspaces` are the only ones
    the key may belong to; empty means any.
    """

    digest: bytes
    ip: str
    request_id: str
    tags: tuple[str, ...] = ()
    query: str | None = None
    cost: int | None = None
    limits: tuple[LimitClaim, ...] = ()
    keyspaces: tuple[str, ...] = ()


class Refusal:
    """Why a key is refused, in one sentence, and when time alone will help (ms), if it will."""

    __slots__ = ("outcome", "reason", "retry_at_ms")

    def __init__(self, outcome: Outcome, reason: str, retry_at_ms: int | None = None) -> None:
        self.outcome = outcome
        self.reason = reason
        self.retry_at_ms = retry_at_ms


LimitStates = list[tuple[BoundLimit, LimitState]]


class Verdict(msgspec.Struct):
    """The decision. `snapshot` is `None` for NOT_FOUND, which tells nothing else.

    `remaining` are the key's credits, `None` when it is unlimited, and `identity_remaining` those of its
    identity. While `commit` is not `None` the verdict is not final until that is settled: a spend is not yet
    durable, or the counters of a cluster have not answered. Before that it is not to be read.
    """

    outcome: Outcome
    snapshot: KeySnapshot | None = None
    remaining: int | None = None
    limits: LimitStates | None = None
    reason: str | None = None
    retry_at_ms: int | None = None
    commit: Commit | None = None
    identity_remaining: int | None = None

    def refuse(self, refusal: "Refusal") -> None:
        """Turn it into a refusal."""
        self.outcome = refusal.outcome
        self.reason, self.retry_at_ms = refusal.reason, refusal.retry_at_ms
