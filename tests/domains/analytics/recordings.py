"""Analytics over a real DuckDB file, and events to record."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.domains.analytics import Analytics, AnalyticsStore, VerificationsQuestion
from latchwork.domains.analytics.records import Row
from latchwork.domains.analytics.spool import Spool
from latchwork.kernel.clock import ManualClock

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@dataclass(frozen=True, eq=False)
class Subject:
    workspace_id: str = "ws_1"
    keyspace_id: str = "ks_1"
    key_id: str = "key_1"
    identity_id: str = ""
    external_id: str = ""


@dataclass(frozen=True)
class Namespace:
    id: str = "rlns_1"
    workspace_id: str = "ws_1"


def verification(
    time_ms: int = NOW_MS,
    subject: Subject | None = None,
    outcome: str = "VALID",
    tags: Sequence[str] = (),
    request_id: str = "req_000000001",
) -> Row:
    return (time_ms, request_id, subject or Subject(), outcome, list(tags), 0, 25)


def limit(time_ms: int = NOW_MS, identifier: str = "someone") -> Row:
    return (time_ms, "req_000000001", Namespace(), identifier, True, 5, None, 10, 9, time_ms + 1_000, 1)


def question(**changes: object) -> VerificationsQuestion:
    asked: dict[str, object] = {
        "workspace_id": "ws_1",
        "keyspace_id": "ks_1",
        "start_ms": NOW_MS,
        "end_ms": NOW_MS + HOUR_MS,
    }
    return VerificationsQuestion(**(asked | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def recording(
    directory: Path,
    *,
    most_buffered: int = 100_000,
    spool_bytes: int = 1 << 30,
    clock: ManualClock | None = None,
    store: AnalyticsStore | None = None,
) -> AsyncIterator[Analytics]:
    spool = directory / "spool"
    analytics = Analytics(
        store or DuckDbAnalytics(directory / "analytics.duckdb"),
        Spool(spool, spool_bytes),
        clock or ManualClock(NOW_MS),
        most_buffered=most_buffered,
    )
    await analytics.start()
    yield analytics
    await analytics.stop()
