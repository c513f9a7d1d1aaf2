"""Every adapter of a port, one after the other."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from latchwork.adapters.blobs import BucketBlobs, Credentials, DirectoryBlobs
from latchwork.adapters.clickhouse import ClickHouseAnalytics
from latchwork.adapters.duckdb import DuckDbAnalytics
from latchwork.adapters.memory import MemoryCounters
from latchwork.adapters.redis import RedisCounters
from latchwork.domains.analytics import AnalyticsStore
from latchwork.domains.ratelimits import Algorithm, Counters, LimitCheck, LimitState, Standby
from latchwork.kernel.blobs import Blobs
from latchwork.kernel.clock import SteadyClock
from tests.engines.redis import Redis, redis_server
from tests.engines.s3 import KEY_ID, S3, SECRET


class AtRest:
    """Shared counters under the port of local ones: an event loop runs for as long as each question takes."""

    def __init__(self, counters: RedisCounters, loop: asyncio.AbstractEventLoop) -> None:
        self._counters = counters
        self._loop = loop

    def take_one(self, check: LimitCheck, now_ms: int) -> LimitState:
        return self.take([check], now_ms)[0]

    def take(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        async def taken() -> list[LimitState]:
            states: asyncio.Future[list[LimitState]] = self._loop.create_future()
            self._counters.ask(checks, states.set_result, now_ms)
            return await states

        return self._asked(taken())

    def peek(self, checks: Sequence[LimitCheck], now_ms: int) -> list[LimitState]:
        return self._asked(self._counters.peek(checks, now_ms))

    def reset(self, key: str, *, algorithm: Algorithm | None = None, duration_ms: int | None = None) -> None:
        self._loop.run_until_complete(self._counters.reset(key, algorithm=algorithm, duration_ms=duration_ms))

    def _asked(self, asked: Coroutine[Any, Any, list[LimitState]]) -> list[LimitState]:
        states = self._loop.run_until_complete(asked)
        assert self._counters.sharing.mode == "shared"
        return states


@contextmanager
def at_rest(url: str, *, windows_kept: int = 2) -> Iterator[AtRest]:
    """Counters in a Redis, asked one question after the other."""
    loop = asyncio.new_event_loop()
    standby = Standby(MemoryCounters(), lambda: 1)
    counters = RedisCounters(url, standby, SteadyClock(), windows_kept=windows_kept, deadline_s=20)
    loop.run_until_complete(counters.open())
    try:
        yield AtRest(counters, loop)
    finally:
        loop.run_until_complete(counters.close())
        loop.close()


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis for the whole session."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_counters(redis: Redis) -> Iterator[Counters]:
    """Counters in that Redis."""
    with at_rest(redis.url) as counters:
        yield counters


@pytest.fixture(params=["memory", "redis"])
def counters(request: pytest.FixtureRequest) -> Counters:
    """Counters in which nothing was taken. What other tests left behind may be in them: use new keys."""
    if request.param == "memory":
        return MemoryCounters()
    shared: Counters = request.getfixturevalue("shared_counters")
    return shared


@pytest.fixture(params=["duckdb", "clickhouse"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnalyticsStore]:
    """An open, empty store."""
    opened: AnalyticsStore
    if request.param == "duckdb":
        opened = DuckDbAnalytics(tmp_path / "a.duckdb")
    else:
        opened = ClickHouseAnalytics(request.getfixturevalue("clickhouse_url"))
    opened.open()
    yield opened
    opened.close()


@pytest.fixture(params=["directory", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A place for blobs that has none."""
    if request.param == "directory":
        return DirectoryBlobs(tmp_path / "blobs", deadline_s=60)
    s3: S3 = request.getfixturevalue("s3")
    return BucketBlobs(
        s3.bucket(), "p/q", endpoint=s3.endpoint, credentials=Credentials(KEY_ID, SECRET), deadline_s=60
    )
