"""How keys were used: counts of their verifications, for whoever may read the keys or their analytics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latchwork.domains.analytics import Analytics, Counts, VerificationsQuestion
from latchwork.domains.keys import store
from latchwork.domains.keys.faults import KeyNotFound
from latchwork.domains.keys.records import Api, Key
from latchwork.kernel.clock import Clock
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database

USAGE_MS = 30 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """Counts the verifications of keys."""

    db: Database
    clock: Clock
    analytics: Analytics

    async def lately(self, key: Key) -> Counts:
        """How the verifications of a key ended in the last 30 days; raises what `Analytics` does."""
        now_ms = self.clock.now_ms()
        question = VerificationsQuestion(
            key.workspace_id, key.keyspace_id, now_ms - USAGE_MS, now_ms + 1, key_ids=(key.id,)
        )
        return (await self.analytics.get_verifications(question))[0]

    async def days_of_key(self, who: Principal, key_id: str, start_ms: int, end_ms: int) -> list[Counts]:
        """A key's verifications by day, nothing at all where there were none.

        Raises `KeyNotFound`, then checks permission, `BadQuestion` and what `Analytics` does.
        """
        key = await self.db.read(
            lambda connection: store.find_key(connection, who.workspace_id, key_id), who.workspace_id
        )
        if key is None:
            raise KeyNotFound
        _must_observe(who, key.api_id or "")
        question = _by_day(who, key.keyspace_id, start_ms, end_ms, key_ids=(key.id,))
        return _summed([await self.analytics.get_chart(question)])

    async def days_of_owner(
        self, who: Principal, external_id: str, start_ms: int, end_ms: int
    ) -> list[Counts]:
        """The verifications by day of all keys of an identity; faults as `days_of_key`.

        Every API that one of its keys is in must be permitted.
        """

        def question(connection: Connection) -> Sequence[Api]:
            return store.apis_of_owner(connection, who.workspace_id, external_id)

        apis = await self.db.read(question, who.workspace_id)
        if not apis:
            raise KeyNotFound("No keys belong to that external id.")
        for api in apis:
            _must_observe(who, api.id)
        questions = [_by_day(who, api.keyspace_id, start_ms, end_ms, external_id=external_id) for api in apis]
        return _summed([await self.analytics.get_chart(asked) for asked in questions])


def _must_observe(who: Principal, api_id: str) -> None:
    if not any(who.may("api", api_id, action) for action in ("read_analytics", "read_api")):
        who.must("api", api_id, "read_key")


def _by_day(
    who: Principal,
    keyspace_id: str,
    start_ms: int,
    end_ms: int,
    *,
    key_ids: tuple[str, ...] = (),
    external_id: str | None = None,
) -> VerificationsQuestion:
    return VerificationsQuestion(
        who.workspace_id,
        keyspace_id,
        start_ms,
        end_ms,
        key_ids=key_ids,
        external_id=external_id,
        group_by=frozenset({"day"}),
    )


def _summed(charts: Iterable[Sequence[Counts]]) -> list[Counts]:
    days: dict[int, Counts] = {}
    for counts in (counts for chart in charts for counts in chart):
        day = days.setdefault(counts.time_ms or 0, counts)
        if day is not counts:
            day.total += counts.total
            for name, count in counts.outcomes.items():
                day.outcomes[name] += count
    return [days[time_ms] for time_ms in sorted(days)] if any(day.total for day in days.values()) else []
