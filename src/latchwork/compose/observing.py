"""Analytics as the settings want them."""

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.compose.data_dir import DataDir
from latchwork.domains.analytics import Analytics, AnalyticsNotConfigured
from latchwork.domains.analytics.spool import Spool
from latchwork.domains.workspaces import Recorded
from latchwork.kernel.clock import Clock
from latchwork.settings import AnalyticsSettings


def analytics_of(settings: AnalyticsSettings, directory: DataDir, clock: Clock) -> Analytics:
    """Analytics in the data directory, or none."""
    if not settings.enabled:
        return Analytics(None, None, clock)
    return Analytics(
        DuckDbAnalytics(directory.analytics),
        Spool(directory.spool, settings.spool_max_bytes),
        clock,
        most_buffered=settings.buffer_events,
        retention_days=settings.retention_days,
        queries_per_hour=settings.queries_per_hour,
    )


def recorded_by(analytics: Analytics) -> Recorded:
    """How many operations of a workspace analytics have recorded; none where there are no analytics."""

    async def recorded(workspace_id: str, start_ms: int, end_ms: int) -> int:
        try:
            usage = await analytics.usage(workspace_id, start_ms, end_ms)
        except AnalyticsNotConfigured:
            return 0
        return usage.verifications + usage.ratelimits

    return recorded
