"""Limits, the checks against them and what a check found."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import msgspec

Algorithm = Literal["sliding_window", "moving_window", "token_bucket"]
"""How a counter forgets: windows aligned to the epoch, of which the previous one is weighed; exactly, in
every interval of the duration; or by leaking evenly from a bucket of size `burst`."""

Mode = Literal["enforce", "shadow"]
"""Whether a limit refuses, or only tells that it would."""

SLIDING_WINDOW: Final = "sliding_window"
MOVING_WINDOW: Final = "moving_window"
TOKEN_BUCKET: Final = "token_bucket"  # noqa: S105
ENFORCE: Final = "enforce"
SHADOW: Final = "shadow"


class LimitCheck(msgspec.Struct, gc=False):
    """One question to a counter: may `cost` be taken, when at most `limit` may be per `duration_ms`?

    A counter is `key`, `algorithm` and `duration_ms` together: another duration is another counter,
    another limit is not. `key` comes from `counter_key`. A cost of 0 takes nothing and is refused only
    where the counter already stands above its limit. `burst` is the size of a token bucket, by default
    its limit; the other algorithms have none.

    Treat it as immutable: a check is made once and asked many times.
    """

    key: str
    limit: int
    duration_ms: int
    cost: int = 1
    algorithm: Algorithm = SLIDING_WINDOW
    burst: int | None = None
    mode: Mode = ENFORCE

    @property
    def counter(self) -> "Counter":
        """Which counter it asks."""
        return self.key, self.algorithm, self.duration_ms

    @property
    def capacity(self) -> int:
        """The most that the counter can hold at once; a cost above it is never admitted."""
        if self.algorithm == TOKEN_BUCKET and self.burst is not None and self.limit:
            return self.burst
        return self.limit


class LimitState(msgspec.Struct, gc=False):
    """What a check found, after it was counted where it was.

    `exceeded`: this check refuses (never in shadow mode). `would_exceed`: it did not fit, whatever the
    mode. `remaining`: what may still be taken, 0 when it did not fit. `reset_ms`: the end of the window
    for a sliding window; for the others the moment at which everything is available again.
    `retry_ms`: the first moment at which the same check fits if nobody takes anything meanwhile; 0 when
    it fits now, `None` when waiting will never help.
    """

    exceeded: bool
    remaining: int
    reset_ms: int
    would_exceed: bool = False
    retry_ms: int | None = 0


class Held(NamedTuple):
    """A part of what a counter holds.

    `numbers` are, of a sliding window, the start of one and what was taken in it; of a log, a moment and what was
    taken then; of a bucket its level (see `token_bucket`), when that was, and the limit it was filled under.
    """

    key: str
    algorithm: Algorithm
    duration_ms: int
    numbers: tuple[int, ...]

    @property
    def counter(self) -> "Counter":
        """Which counter that is."""
        return self.key, self.algorithm, self.duration_ms


Counter = tuple[str, Algorithm, int]
"""A counter: its key, algorithm and duration in milliseconds."""


class LimitRule(msgspec.Struct, frozen=True, gc=False):
    """A named limit of a key or an identity.

    An `auto_apply` rule is checked at every verification with a cost of 1, any other when asked for.
    """

    id: str
    name: str
    limit: int
    duration_ms: int
    auto_apply: bool = False
    algorithm: Algorithm = SLIDING_WINDOW
    burst: int | None = None
    mode: Mode = ENFORCE

    def check(self, key: str, cost: int = 1) -> LimitCheck:
        """The question whether `cost` may be taken from the counter `key` under this rule."""
        return LimitCheck(key, self.limit, self.duration_ms, cost, self.algorithm, self.burst, self.mode)


def limit_facts(limited: "LimitRule | Override") -> dict[str, Any]:
    """A limit as the audit log tells it."""
    return {"limit": limited.limit, "duration": limited.duration_ms}


@dataclass(frozen=True, slots=True)
class Namespace:
    """A space of identifiers, each limited for itself; deleted softly, and then gone to its users."""

    id: str
    workspace_id: str
    name: str
    deleted_at_ms: int | None = None
    created_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Override:
    """Another limit and duration for the identifiers of a namespace that `identifier` matches.

    `identifier` is a literal or a pattern in which `*` stands for any run of characters but newlines.
    It holds up to and including `expires_at_ms`, for ever where that is `None`.
    """

    id: str
    namespace_id: str
    identifier: str
    limit: int
    duration_ms: int
    expires_at_ms: int | None = None
    reason: str | None = None


def counter_key(workspace_id: str, owner_id: str, name: str) -> str:
    """The key of a counter: two never collide unless all three parts are equal.

    `owner_id` is the namespace of an identifier, or the key or identity that a named limit belongs to.
    Ids hold no colon, so `name`, the identifier or the limit's name, may be any text.
    """
    return f"{workspace_id}:{owner_id}:{name}"
