"""Verification in the family `keys`: verify one, verify many."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.permissions import QuerySyntaxError
from latchwork.domains.verification import (
    CallerSnapshot,
    Claim,
    Grant,
    LimitClaim,
    Outcome,
    Usual,
    UsualAsk,
    Verdict,
)
from latchwork.kernel.faults import Fault, PreconditionFailed, Unavailable
from latchwork.kernel.ids import new_request_id
from latchwork.surfaces.http.hot import Answer, HotHandler
from latchwork.surfaces.http.later import AfterCommit
from latchwork.surfaces.rpc import keys
from latchwork.surfaces.rpc.bodies import Body, Count, Data, TolerantBody
from latchwork.surfaces.rpc.envelope import failed
from latchwork.surfaces.rpc.procedures import BULK_BYTES, Rendered
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import IdentityData
from latchwork.surfaces.rpc.verdicts import data_of, one, paid_answer, usual_answer

family = keys.family  # verification adds to it

MOST_COST = 1_000_000_000_000
MigrationId = Annotated[
    str,
    Meta(max_length=256, description="The migration under which an unknown key may wait for its first use."),
]
KeyText = Annotated[str, Meta(min_length=1, max_length=512, description="The whole key.")]


class CreditsOf(Body):
    """What the use costs."""

    cost: Annotated[int, Meta(ge=0, le=MOST_COST, description="0 checks without spending.")]


class LimitOf(TolerantBody):
    """A limit to check: a stored one by name, or one of its own with `limit` and `duration`."""

    name: Annotated[str, Meta(min_length=3, max_length=255)]
    cost: Count = 1
    limit: Count | UnsetType = UNSET
    duration: Annotated[Count, Meta(description="In milliseconds, at least 1000.")] | UnsetType = UNSET

    def record(self) -> LimitClaim:
        """The record."""
        return LimitClaim(
            self.name,
            self.cost,
            None if isinstance(self.limit, UnsetType) else self.limit,
            None if isinstance(self.duration, UnsetType) else self.duration,
        )


SomeLimits = Annotated[
    tuple[LimitOf, ...], Meta(max_length=100, description="Each is checked; all are taken, or none.")
]


class VerifyKey(Body):
    """A key, and what it is to be used for."""

    key: KeyText
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...],
        Meta(max_length=20, description="Kept with the event, for analytics."),
    ] = ()
    permissions: (
        Annotated[str, Meta(min_length=1, max_length=1000, description="Such as `a AND (b OR c)`.")]
        | UnsetType
    ) = UNSET
    credits: CreditsOf | UnsetType = UNSET
    ratelimits: SomeLimits = ()
    migration_id: MigrationId | UnsetType = UNSET
    keyspaces: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(max_length=5, description="The only keyspaces the key may belong to."),
    ] = ()

    def claim(self, ip: str, request_id: str, digest: bytes | None = None) -> Claim:
        """The record; `digest` is that of the key, where it is known."""
        if digest is None:
            digest = sha256(self.key.encode()).digest()
        if self.permissions is UNSET and self.credits is UNSET and not self.ratelimits:
            return Claim(digest, ip, request_id, self.tags, None, None, (), self.keyspaces)
        return claim_of(self, digest, ip, request_id)


class Asked(Protocol):
    """What a key is to be used for, in a request of whatever kind."""

    tags: tuple[str, ...]
    permissions: str | UnsetType
    credits: CreditsOf | UnsetType
    ratelimits: tuple[LimitOf, ...]
    keyspaces: tuple[str, ...]


def claim_of(body: Asked, digest: bytes, ip: str, request_id: str) -> Claim:
    """The record of what a request asks, for the key with that digest."""
    return Claim(
        digest,
        ip,
        request_id,
        body.tags,
        None if isinstance(body.permissions, UnsetType) else body.permissions,
        None if isinstance(body.credits, UnsetType) else body.credits.cost,
        tuple([limit.record() for limit in body.ratelimits]) if body.ratelimits else (),
        body.keyspaces,
    )


class CheckedLimitData(Data):
    """A limit that was checked. `wouldExceed` is told of limits in shadow mode only."""

    id: str
    name: str
    limit: int
    duration: int
    auto_apply: bool
    exceeded: bool
    remaining: int
    reset: int
    would_exceed: bool | UnsetType = UNSET


class VerifiedKey(Data):
    """The verdict. For NOT_FOUND only `valid` and `code`.

    `credits` are what is left to the key, `identityCredits` what is left to all keys of its identity.
    """

    valid: bool
    code: Outcome
    key_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    expires: int | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    permissions: list[str] | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    identity: IdentityData | UnsetType = UNSET
    keyspace_id: str | UnsetType = UNSET
    credits: int | UnsetType = UNSET
    identity_credits: int | UnsetType = UNSET
    ratelimits: list[CheckedLimitData] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    retry_at: int | UnsetType = UNSET


def hot_verify(services: Services) -> HotHandler:
    """The handler that answers from memory; what it does not accept goes the ordinary way."""
    decode = msgspec.json.Decoder(VerifyKey).decode
    known, attempt, now = services.callers.known, services.verifier.attempt, services.clock.now_ms
    usual, usual_later, refused = services.verifier.usual, _usual_later(services), _refused(services)
    waiting, waits_for_database = services.decisions, services.verifier.waits_for_database

    def verify(token: bytes, body: bytes, ip: str) -> "bytes | AfterCommit | UsualLater | None":
        now_ms = now()
        caller = known(token, now_ms)
        if caller is None or not body.isascii():
            return None
        try:
            request_id = new_request_id()
            asked = decode(body)
            digest = sha256(asked.key.encode()).digest()
            if (
                asked.permissions is UNSET
                and asked.credits is UNSET
                and not asked.ratelimits
                and not asked.keyspaces
            ):
                found = usual(caller, digest, request_id, asked.tags, now_ms)
                if found is not None:
                    return usual_answer(request_id, *found)
                later = usual_later(caller, digest, request_id, asked.tags, now_ms)
                if later is not None:
                    return later
            if waiting.is_reached and waits_for_database(digest):
                return None
            verdict = attempt(caller, asked.claim(ip, request_id, digest), now_ms)
        except (msgspec.MsgspecError, Fault):
            return None
        if verdict is None or (verdict.snapshot is None and asked.migration_id is not UNSET):
            return None
        if verdict.commit is None:
            return one(request_id, verdict)
        return AfterCommit(verdict.commit, partial(one, request_id, verdict), request_id, refused, waiting)

    return verify


def _usual_later(services: Services) -> "Callable[..., AfterCommit | UsualLater | None]":
    """Decides what is usual where a commit or other nodes have to be waited for; `None` of everything else."""
    usual_ask, usual_spend = services.verifier.usual_ask, services.verifier.usual_spend
    waiting, refused = services.decisions, _refused(services)

    def later(
        caller: CallerSnapshot, digest: bytes, request_id: str, tags: tuple[str, ...], now_ms: int
    ) -> "AfterCommit | UsualLater | None":
        asking = usual_ask(caller, digest, request_id, tags, now_ms)
        if asking is not None:
            return UsualLater(asking, request_id)
        if waiting.is_reached:
            return None
        spent = usual_spend(caller, digest, request_id, tags, now_ms)
        if spent is None:
            return None
        snapshot, bound, state, remaining, commit = spent
        answer = paid_answer(request_id, snapshot, bound, state, remaining)
        return AfterCommit(commit, answer, request_id, refused, waiting)

    return later


def _refused(services: Services) -> Callable[[str, Exception], Answer]:
    """Makes the answer to a request whose spend did not become durable."""

    def refused(request_id: str, error: Exception) -> Answer:
        return failed(request_id, error if isinstance(error, Fault) else Unavailable(), services.error_pages)

    return refused


class UsualLater:
    """An answer that leaves when the shared counters have counted; see `surfaces.http.hot.Later`."""

    __slots__ = ("_asking", "_callback", "_request_id")

    def __init__(self, asking: UsualAsk, request_id: str) -> None:
        self._asking = asking
        self._request_id = request_id

    def then(self, callback: Callable[[bytes | Answer], None]) -> None:
        """See `Later`."""
        self._callback = callback
        self._asking.then(self._told, self._refused)

    def _told(self, usual: Usual) -> None:
        self._callback(usual_answer(self._request_id, *usual))

    def _refused(self, verdict: Verdict) -> None:
        self._callback(one(self._request_id, verdict))


@family.procedure(
    "verifyKey",
    answers=VerifiedKey,
    summary="Verify a key",
    permission="api.*.verify_key or api.<apiId>.verify_key",
    faults=[QuerySyntaxError, PreconditionFailed],
    allows_nul=True,
    urgency="prompt",
    heat=hot_verify,
    example={"key": "prod_2aFxQv7p1M5jZ8cR4kTnYe", "permissions": "documents.read"},
)
async def verify_key(call: Request, body: VerifyKey) -> Rendered:
    """Decides whether the key may be used so, now; always 200, the verdict is in `code`.

    Limits and credits are consumed only by a verification that passes everything before them. A key
    that you may not verify is NOT_FOUND.
    """
    services = call.platform
    caller = Grant.of(call.who.workspace_id, call.who.permissions)
    claim = body.claim(call.remote_ip, call.request_id)
    await services.operations.charge(call.who.workspace_id, call.who.operations_per_month)
    await _recognise(call, body, claim)
    verdict = await services.verifier.verify(caller, claim, call.now_ms)
    await _learn_start(call, body, verdict)
    return Rendered(one(call.request_id, verdict))


async def _recognise(call: Request, body: VerifyKey, claim: Claim) -> None:
    """Let a key that is not known by its text be looked for in the migration that the request names."""
    if isinstance(body.migration_id, UnsetType):
        return
    known = await call.platform.verifier.keys.fetch(claim.digest)
    if known is None or known.workspace_id != call.who.workspace_id:
        await call.platform.migrations.recognise(call.who, body.migration_id, body.key)


async def _learn_start(call: Request, body: VerifyKey, verdict: Verdict) -> None:
    """At the first use of a key that was taken over by its hash, keep what may be shown of it.

    A first use is never hot, since nothing is known of the key yet. It has been decided, so it is answered
    whatever becomes of this.
    """
    if verdict.snapshot is not None and not verdict.snapshot.was_shown:
        with suppress(Unavailable):
            await call.platform.migrations.learn_start(call.who, verdict.snapshot.key_id, body.key)


class VerifyKeys(Body):
    """Up to 100 verifications."""

    requests: Annotated[list[VerifyKey], Meta(min_length=1, max_length=100)]


@family.procedure(
    "verifyKeys",
    answers=list[VerifiedKey],
    summary="Verify many keys",
    permission="api.*.verify_key or api.<apiId>.verify_key",
    faults=[QuerySyntaxError, PreconditionFailed],
    allows_nul=True,
    urgency="prompt",
    body_bytes=BULK_BYTES,
    example={"requests": [{"key": "prod_2aFxQv7p1M5jZ8cR4kTnYe"}, {"key": "prod_9bGyRw8q2N6kA9dS5lUpZf"}]},
)
async def verify_keys(call: Request, body: VerifyKeys) -> Rendered:
    """Verifies each in order, as `verifyKey` would, and answers all verdicts in that order."""
    services = call.platform
    caller = Grant.of(call.who.workspace_id, call.who.permissions)
    claims = [request.claim(call.remote_ip, call.request_id) for request in body.requests]
    await services.operations.charge(call.who.workspace_id, call.who.operations_per_month, len(claims))
    for request, claim in zip(body.requests, claims, strict=True):
        await _recognise(call, request, claim)
    verdicts = await services.verifier.verify_all(caller, claims, call.now_ms)
    for request, verdict in zip(body.requests, verdicts, strict=True):
        await _learn_start(call, request, verdict)
    data = b",".join(data_of(verdict) for verdict in verdicts)
    return Rendered(b'{"meta":{"requestId":"%b"},"data":[%b]}' % (call.request_id.encode(), data))
