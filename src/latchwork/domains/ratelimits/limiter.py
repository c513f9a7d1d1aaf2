"""The limiter: may this identifier go on, in this namespace?"""

from collections.abc import Callable, Sequence

import msgspec

from latchwork.domains.analytics import Analytics
from latchwork.domains.ratelimits.faults import NamespaceGone
from latchwork.domains.ratelimits.namespaces import KnownNamespace, Namespaces
from latchwork.domains.ratelimits.records import (
    ENFORCE,
    SLIDING_WINDOW,
    Algorithm,
    LimitCheck,
    LimitState,
    Mode,
    counter_key,
)
from latchwork.domains.ratelimits.tally import LocalTally, SharedTally
from latchwork.kernel.faults import InsufficientPermissions
from latchwork.kernel.principal import EVERYTHING, Principal, lacking


class LimitRequest(msgspec.Struct, frozen=True):
    """One question: may `identifier` take `cost` when at most `limit` may be per `duration_ms`?"""

    namespace: str
    identifier: str
    limit: int
    duration_ms: int
    cost: int = 1
    algorithm: Algorithm = SLIDING_WINDOW
    burst: int | None = None
    mode: Mode = ENFORCE


class LimitAnswer(msgspec.Struct, frozen=True):
    """What the counter says, under which limit, and which override set it (`None`: none did)."""

    state: LimitState
    limit: int
    override_id: str | None


class LimitAsked:
    """An answer that shared counters have yet to give."""

    __slots__ = ("_callbacks", "_limit", "_override_id", "_state")

    def __init__(self, limit: int, override_id: str | None) -> None:
        self._limit = limit
        self._override_id = override_id
        self._state: LimitState | None = None
        self._callbacks: list[Callable[[LimitAnswer], None]] = []

    def told(self, states: Sequence[LimitState]) -> None:
        """Hear of the state."""
        self._state = states[0]
        for callback in self._callbacks:
            self.then(callback)

    def then(self, callback: Callable[[LimitAnswer], None]) -> None:
        """Call `callback` once with the answer; at once when it is already there."""
        if self._state is None:
            self._callbacks.append(callback)
        else:
            callback(LimitAnswer(self._state, self._limit, self._override_id))


class Limiter:
    """Answers rate-limit questions; `limit` and `limit_all` fetch what is missing.

    Without waiting, `attempt` answers where the counters are this process's own, `ask` where they are shared.
    """

    def __init__(self, namespaces: Namespaces, tally: LocalTally | SharedTally, analytics: Analytics) -> None:
        self._namespaces = namespaces
        self._tally = tally
        self.is_shared = isinstance(tally, SharedTally)
        self._counters = tally.counters if isinstance(tally, LocalTally) else None
        self._record = analytics.ratelimits.append

    def attempt(
        self,
        workspace_id: str,
        permissions: frozenset[str],
        request: LimitRequest,
        request_id: str,
        now_ms: int,
    ) -> LimitAnswer | None:
        """The answer if memory suffices and nothing is in the way; else `None`, with nothing taken."""
        known = self._ready(workspace_id, permissions, request)
        if known is None or self._counters is None:
            return None
        check, override_id = _check(known, request, now_ms)
        answer = LimitAnswer(self._counters.take_one(check, now_ms), check.limit, override_id)
        self._observe(known, request, answer, request_id, now_ms)
        return answer

    def ask(
        self,
        workspace_id: str,
        permissions: frozenset[str],
        request: LimitRequest,
        request_id: str,
        now_ms: int,
    ) -> "LimitAsked | None":
        """An answer to come if nothing but the counters is missing; else `None`, with nothing taken."""
        known = self._ready(workspace_id, permissions, request)
        if known is None or not isinstance(self._tally, SharedTally):
            return None
        check, override_id = _check(known, request, now_ms)
        asked = LimitAsked(check.limit, override_id)
        asked.then(lambda answer: self._observe(known, request, answer, request_id, now_ms))
        self._tally.ask([check], now_ms, asked.told)
        return asked

    def _ready(
        self, workspace_id: str, permissions: frozenset[str], request: LimitRequest
    ) -> KnownNamespace | None:
        """The namespace, if it is in memory and the caller may limit in it."""
        known = self._namespaces.known(workspace_id, request.namespace)
        if known is None or known.namespace.deleted_at_ms is not None:
            return None
        return known if _may_limit(permissions, known.namespace.id) else None

    async def limit(
        self, who: Principal, request: LimitRequest, now_ms: int, *, observe: bool
    ) -> LimitAnswer:
        """Take from one counter; creates the namespace if the caller may.

        Raises `InsufficientPermissions`, `NamespaceGone`.
        """
        known = await self._resolve(who, request.namespace)
        _must_be_live(known)
        who.must("ratelimit", known.namespace.id, "limit")
        check, override_id = _check(known, request, now_ms)
        answer = LimitAnswer(await self._tally.take_one(check, now_ms), check.limit, override_id)
        if observe:
            self._observe(known, request, answer, who.request_id, now_ms)
        return answer

    async def limit_all(
        self, who: Principal, requests: Sequence[LimitRequest], now_ms: int
    ) -> list[LimitAnswer]:
        """Take from all counters or from none, in one step; faults as `limit`."""
        known = await self._resolve_all(who, [request.namespace for request in requests])
        _must_limit_all(who, known)
        for namespace in known:
            _must_be_live(namespace)
        asked = [_check(found, request, now_ms) for found, request in zip(known, requests, strict=True)]
        states = await self._tally.take([check for check, _ in asked], now_ms)
        answers = [
            LimitAnswer(state, check.limit, override_id)
            for state, (check, override_id) in zip(states, asked, strict=True)
        ]
        for found, request, answer in zip(known, requests, answers, strict=True):
            self._observe(found, request, answer, who.request_id, now_ms)
        return answers

    async def status(self, who: Principal, request: LimitRequest, now_ms: int) -> LimitAnswer:
        """What `limit` would answer; takes and creates nothing. Raises `NamespaceGone`."""
        known = await self._namespaces.find(who.workspace_id, request.namespace)
        if known is None:
            who.must("ratelimit", "*", "limit")
            check = _plain(who.workspace_id, "", request)
            return LimitAnswer((await self._tally.peek([check], now_ms))[0], check.limit, None)
        _must_be_live(known)
        who.must("ratelimit", known.namespace.id, "limit")
        check, override_id = _check(known, request, now_ms)
        return LimitAnswer((await self._tally.peek([check], now_ms))[0], check.limit, override_id)

    async def _resolve(self, who: Principal, name: str) -> KnownNamespace:
        return (await self._resolve_all(who, [name]))[0]

    async def _resolve_all(self, who: Principal, names: Sequence[str]) -> list[KnownNamespace]:
        found = {name: await self._namespaces.find(who.workspace_id, name) for name in dict.fromkeys(names)}
        missing = [name for name, known in found.items() if known is None]
        if missing:
            await self._namespaces.create(who, missing)
            for name in missing:
                found[name] = await self._namespaces.find(who.workspace_id, name)
        return [known for name in names if (known := found[name]) is not None]

    def _observe(
        self, known: KnownNamespace, request: LimitRequest, answer: LimitAnswer, request_id: str, now_ms: int
    ) -> None:
        self._record(
            (
                now_ms,
                request_id,
                known.namespace,
                request.identifier,
                not answer.state.exceeded,
                0,
                answer.override_id,
                answer.limit,
                answer.state.remaining,
                answer.state.reset_ms,
                request.cost,
            )
        )


def _check(known: KnownNamespace, request: LimitRequest, now_ms: int) -> tuple[LimitCheck, str | None]:
    """The question to the counters, with the limit and duration of the override that matches.

    A burst that the request asks for holds up to the override's limit and no further.
    """
    check = _plain(known.namespace.workspace_id, known.namespace.id, request)
    override = known.overrides.find(request.identifier, now_ms)
    if override is None:
        return check, None
    check.limit, check.duration_ms = override.limit, override.duration_ms
    if check.burst is not None and check.burst > override.limit:
        check.burst = override.limit
    return check, override.id


def _plain(workspace_id: str, namespace_id: str, request: LimitRequest) -> LimitCheck:
    return LimitCheck(
        counter_key(workspace_id, namespace_id, request.identifier),
        request.limit,
        request.duration_ms,
        request.cost,
        request.algorithm,
        request.burst,
        request.mode,
    )


def _may_limit(permissions: frozenset[str], namespace_id: str) -> bool:
    return (
        "ratelimit.*.limit" in permissions
        or EVERYTHING in permissions
        or f"ratelimit.{namespace_id}.limit" in permissions
    )


def _must_limit_all(who: Principal, known: Sequence[KnownNamespace]) -> None:
    for found in known:
        if not who.may("ratelimit", found.namespace.id, "limit"):
            raise InsufficientPermissions(lacking("ratelimit", found.namespace.id, "limit"))


def _must_be_live(known: KnownNamespace) -> None:
    if known.namespace.deleted_at_ms is not None:
        raise NamespaceGone
