"""What end users and strangers may ask how often."""

from dataclasses import dataclass

from latchwork.domains.portals.records import Session
from latchwork.domains.portals.rules import neighbourhood
from latchwork.domains.ratelimits import LimitCheck, LimitState, Tally, counter_key
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import TooManyRequests

CALLS_PER_MINUTE = 120
"""Of one session, so that an end user cannot use up what the workspace may ask."""

REROLLS_PER_HOUR = 10
"""Of one end user: each leaves a key behind."""

GUESSES_PER_MINUTE = 60
"""Of one address: enough for a crowd behind one that reloads its pages, and nothing against 142 bits."""

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000


@dataclass(frozen=True, slots=True)
class Guard:
    """Counts the calls of sessions, and codes that nobody has."""

    tally: Tally
    clock: Clock

    async def charge(self, session: Session) -> None:
        """Count one call of a session; raises `TooManyRequests`."""
        key = counter_key(session.workspace_id, "portal", session.id)
        state = await self.tally.take_one(LimitCheck(key, CALLS_PER_MINUTE, _MINUTE_MS), self.clock.now_ms())
        if state.exceeded:
            raise self._refusal(f"A portal session may make {CALLS_PER_MINUTE} calls a minute.", state)

    async def charge_reroll(self, session: Session) -> None:
        """Count one reroll of an end user; raises `TooManyRequests`."""
        key = counter_key(session.workspace_id, session.portal_id, session.external_id)
        state = await self.tally.take_one(LimitCheck(key, REROLLS_PER_HOUR, _HOUR_MS), self.clock.now_ms())
        if state.exceeded:
            raise self._refusal(f"An end user may reroll {REROLLS_PER_HOUR} keys an hour.", state)

    async def must_not_guess(self, ip: str) -> None:
        """Raise `TooManyRequests` for an address that has tried too many codes that nobody has."""
        (state,) = await self.tally.peek([_guess(ip)], self.clock.now_ms())
        if state.exceeded:
            raise self._refusal("Too many codes from your address were wrong.", state)

    async def guessed(self, ip: str) -> None:
        """Count one such code."""
        await self.tally.take_one(_guess(ip), self.clock.now_ms())

    def _refusal(self, sentence: str, state: LimitState) -> TooManyRequests:
        wait_s = max(1, -(-(state.reset_ms - self.tally.time_ms(self.clock.now_ms())) // 1000))
        return TooManyRequests(f"{sentence} Try again in {wait_s} seconds.", retry_after_s=wait_s)


def _guess(ip: str) -> LimitCheck:
    return LimitCheck(counter_key("", "portal_codes", neighbourhood(ip)), GUESSES_PER_MINUTE, _MINUTE_MS)
