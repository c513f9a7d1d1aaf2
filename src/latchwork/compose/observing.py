"""Analytics as the settings want them."""

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.compose.data_dir import DataDir
from latchwork.domains.analytics import Analytics, AnalyticsNotConfigured, AnalyticsStore
from latchwork.domains.analytics.spool import Spool
from latchwork.domains.verification import Recorded
from latchwork.kernel.clock import Clock
from latchwork.settings import Settings
from latchwork.surfaces.agent_service.health import Part

_SWITCHED_OFF = "LATCHWORK_ANALYTICS__ENABLED is false."
_NO_PLACE = (
    "Several processes keep their analytics in ClickHouse only, and LATCHWORK_CLICKHOUSE_URL is not set."
)


def analytics_of(settings: Settings, directory: DataDir, clock: Clock, *, alone: bool) -> Analytics:
    """Analytics in ClickHouse where there is one, else those of a process `alone` in the data directory; or none."""
    chosen, store = settings.analytics, _store(settings, directory, alone=alone)
    if store is None:
        return Analytics(None, None, clock, why_off=_NO_PLACE if chosen.enabled else _SWITCHED_OFF)
    return Analytics(
        store,
        Spool(directory.spool, chosen.spool_max_bytes),
        clock,
        most_buffered=chosen.buffer_events,
        retention_days=chosen.retention_days,
        queries_per_hour=chosen.queries_per_hour,
    )


def _store(settings: Settings, directory: DataDir, *, alone: bool) -> AnalyticsStore | None:
    if not settings.analytics.enabled:
        return None
    if settings.clickhouse_url is not None:
        return ClickHouseAnalytics(settings.clickhouse_url.reveal())
    return DuckDbAnalytics(directory.analytics) if alone else None


def analytics_part(analytics: Analytics) -> Part:
    """How analytics fare, for the health surface."""
    health = analytics.health()
    if health.state == "off":
        return Part("off", {"reason": health.why_off})
    facts: dict[str, int | str] = {"buffered": health.buffered, "lost": health.dropped}
    facts["spooledBytes"] = health.spooled_bytes
    if health.oldest_spooled_ms is not None:
        facts["oldestSpooledAt"] = health.oldest_spooled_ms
    return Part(health.state, facts)


def recorded_by(analytics: Analytics) -> Recorded:
    """How many operations of a workspace analytics have recorded; none where there are no analytics."""

    async def recorded(workspace_id: str, start_ms: int, end_ms: int) -> int:
        try:
            usage = await analytics.usage(workspace_id, start_ms, end_ms)
        except AnalyticsNotConfigured:
            return 0
        return usage.verifications + usage.ratelimits

    return recorded
