"""Who calls: from an Authorization header to a root key's snapshot."""

from dataclasses import dataclass
from hashlib import sha256

from latchwork.domains.ratelimits import LimitCheck, Tally, counter_key
from latchwork.domains.verification.cache import SnapshotCache
from latchwork.domains.verification.faults import CallerDisabled, CallerExpired
from latchwork.domains.verification.snapshots import CallerSnapshot
from latchwork.domains.workspaces import WorkspaceDisabled, WorkspaceNotFound
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import TooManyRequests, Unauthorized
from latchwork.kernel.principal import Principal

_MINUTE_MS = 60_000
WHOAMI_PER_MINUTE = 100


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a workspace's management calls this minute; `reset_s` in seconds from now."""

    limit: int
    remaining: int
    reset_s: int
    admitted: bool


class Callers:
    """Authenticates root keys and holds workspaces to their quota of calls."""

    def __init__(
        self,
        cache: SnapshotCache[CallerSnapshot],
        tally: Tally,
        clock: Clock,
        uses: dict[str, int],
    ) -> None:
        """`uses` is where it notes when each root key was last used, in ms by id."""
        self.cache = cache
        self._tally = tally
        self._clock = clock
        self._used = uses

    def known(self, token: bytes, now_ms: int) -> CallerSnapshot | None:
        """The caller whose root key has this digest, if memory alone says that nothing at all is in the way.

        Else ask `authenticate`.
        """
        caller = self.cache.found.get(token)
        if caller is None or now_ms > caller.until_ms or not caller.scope.live:
            return None
        self._used[caller.key_id] = now_ms
        return caller

    async def authenticate(self, token: bytes) -> CallerSnapshot:
        """The caller whose root key is `token`, or the fault that says what is wrong with the key."""
        caller = await self.cache.fetch(sha256(token).digest())
        if caller is None:
            raise Unauthorized
        if not caller.enabled:
            raise CallerDisabled(caller)
        now_ms = self._clock.now_ms()
        if caller.expires_ms is not None and caller.expires_ms <= now_ms:
            raise CallerExpired(caller)
        if caller.workspace_enabled is None:
            raise WorkspaceNotFound
        if not caller.workspace_enabled:
            raise WorkspaceDisabled
        self._used[caller.key_id] = now_ms
        return caller

    async def charge(self, who: Principal) -> Quota | None:
        """Count one call against the workspace's quota; `None` where it has none."""
        limit = who.requests_per_minute
        return None if limit is None else await self._charge(who.workspace_id, "api", limit)

    async def charge_whoami(self, who: Principal) -> None:
        """Count one look-up of a key by its text, so that nobody can guess at leisure."""
        quota = await self._charge(who.workspace_id, f"whoami:{who.subject_id}", WHOAMI_PER_MINUTE)
        if not quota.admitted:
            raise TooManyRequests(
                f"At most {WHOAMI_PER_MINUTE} calls of keys.whoami a minute for each root key. "
                f"Try again in {quota.reset_s} seconds.",
                retry_after_s=quota.reset_s,
            )

    async def _charge(self, workspace_id: str, name: str, limit: int) -> Quota:
        now_ms = self._clock.now_ms()
        check = LimitCheck(counter_key(workspace_id, "quota", name), limit, _MINUTE_MS)
        state = await self._tally.take_one(check, now_ms)
        reset_s = max(1, -(-(state.reset_ms - self._tally.time_ms(now_ms)) // 1000))
        return Quota(limit, state.remaining, reset_s, not state.exceeded)


def principal_of(caller: CallerSnapshot, *, remote_ip: str, user_agent: str, request_id: str) -> Principal:
    """The caller as the verbs know it, for one request."""
    return Principal(
        workspace_id=caller.workspace_id,
        subject_id=caller.key_id,
        subject_name=caller.name,
        permissions=caller.permissions,
        remote_ip=remote_ip,
        user_agent=user_agent,
        request_id=request_id,
        expires_ms=caller.expires_ms,
        requests_per_minute=caller.requests_per_minute,
        operations_per_month=caller.operations_per_month,
    )
