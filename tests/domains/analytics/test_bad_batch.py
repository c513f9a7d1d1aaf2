"""A batch that cannot be read is set aside; what comes after it is counted."""

from pathlib import Path
from types import SimpleNamespace

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import Analytics, VerificationsQuestion
from latchwork.domains.analytics.spool import Spool
from latchwork.kernel.clock import ManualClock


async def test_garbage_in_the_spool_stops_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "0garbage.batch").write_bytes(b'{"time": "not a number"\n\x00\xff\n\n\x1e\n')
    analytics = Analytics(
        DuckDbAnalytics(tmp_path / "analytics.duckdb", spool / "loading"), Spool(spool, 1 << 20), clock
    )
    await analytics.start()
    key = SimpleNamespace(
        workspace_id="ws_1", keyspace_id="ks_1", key_id="key_1", identity_id="", external_id=""
    )
    analytics.verifications.append((clock.now_ms(), "req_1", key, "VALID", [], 0, 5))
    question = VerificationsQuestion("ws_1", "ks_1", 0, clock.now_ms() + 1)
    (counts,) = await analytics.get_verifications(question)
    assert counts.total == 1
    assert (spool / "0garbage.bad").exists()
    assert analytics.health().dropped > 0
    await analytics.stop()
