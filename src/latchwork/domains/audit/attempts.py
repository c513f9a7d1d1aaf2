"""Calls that changed nothing, above all those that were refused: recorded by themselves, but not without bounds."""

import logging
from dataclasses import dataclass

from latchwork.domains.audit import store
from latchwork.domains.audit.records import Attempt, Entry, Resource
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database

MOST_PER_MINUTE = 60
"""So many refusals of a workspace are recorded each minute one by one; after that one a second stands for all."""

_DENIALS = frozenset({401, 403, 429})
_MINUTE_MS, _SECOND_MS = 60_000, 1_000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pace:
    minute: int = -1
    recorded: int = 0
    last_ms: int = 0
    skipped: int = 0

    def admits(self, now_ms: int) -> bool:
        if self.minute != now_ms // _MINUTE_MS:
            self.minute, self.recorded = now_ms // _MINUTE_MS, 0
        if self.recorded >= MOST_PER_MINUTE and 0 <= now_ms - self.last_ms < _SECOND_MS:
            self.skipped += 1
            return False
        self.recorded += 1
        self.last_ms = now_ms
        return True


class Attempts:
    """Records attempts, each in a transaction of its own.

    Beyond a rate refusals are sampled, so that whoever is refused cannot fill the log or keep the database from
    its work; the next row says how many were left out.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._paces: dict[str, _Pace] = {}  # by workspace

    async def note(self, who: Principal, attempt: Attempt) -> None:
        """Record one; where that cannot be done, the server's own log says so."""
        now_ms = self._clock.now_ms()
        skipped = 0
        if attempt.status is not None:
            pace = self._paces.setdefault(who.workspace_id, _Pace())
            if not pace.admits(now_ms):
                return
            skipped, pace.skipped = pace.skipped, 0
        entry = _entry(attempt, skipped)

        def unit(connection: Connection) -> None:
            store.record(connection, who, now_ms, entry)

        try:
            await self._db.write(unit, who.workspace_id)
        except Unavailable as fault:
            _log.warning("%s is not recorded (request %s): %s", entry.event, who.request_id, fault.private)


def _entry(attempt: Attempt, skipped: int) -> Entry:
    facts = {
        "status": attempt.status,
        "code": attempt.code,
        "detail": attempt.detail,
        "skipped": skipped or None,
    }
    meta = {name: value for name, value in facts.items() if value is not None}
    resources = (Resource("procedure", attempt.what, None, meta), *attempt.targets)
    if attempt.status is None:
        return Entry("request.made", f"Called {attempt.what}", resources)
    if attempt.status in _DENIALS:
        return Entry("request.denied", f"Was denied {attempt.what}", resources)
    return Entry("request.failed", f"Called {attempt.what} in vain", resources)
