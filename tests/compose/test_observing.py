"""Where analytics are kept."""

from pathlib import Path

import pytest

from latchwork.compose.data_dir import DataDir
from latchwork.compose.observing import analytics_of, analytics_part
from latchwork.domains.analytics import AnalyticsNotConfigured
from latchwork.kernel.clock import ManualClock
from latchwork.settings import Secret, Settings
from tests.domains.analytics.recordings import NOW_MS, question, verification


async def test_several_processes_without_clickhouse_have_no_analytics_and_say_why(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    analytics = analytics_of(settings, DataDir(tmp_path), ManualClock(NOW_MS), alone=False)
    await analytics.start()
    analytics.verifications.append(verification())
    with pytest.raises(AnalyticsNotConfigured):
        await analytics.get_verifications(question())
    part = analytics_part(analytics)
    assert part.status == "off"
    assert "LATCHWORK_CLICKHOUSE_URL is not set" in str(part.facts["reason"])
    await analytics.stop()
    assert list(tmp_path.iterdir()) == []


async def test_several_processes_with_clickhouse_have_analytics(tmp_path: Path, clickhouse_url: str) -> None:
    settings = Settings(data_dir=tmp_path, clickhouse_url=Secret(clickhouse_url))
    analytics = analytics_of(settings, DataDir(tmp_path), ManualClock(NOW_MS), alone=False)
    await analytics.start()
    analytics.verifications.append(verification())
    assert (await analytics.get_verifications(question()))[0].total == 1
    assert analytics_part(analytics).status == "ok"
    await analytics.stop()
