"""A process that records events for a ClickHouse until it is killed: `DIRECTORY URL EVENTS`."""

import asyncio
import sys
from pathlib import Path

from latchwork.adapters.clickhouse import ClickHouseAnalytics
from tests.domains.analytics.recordings import recording, verification


async def main() -> None:
    """Record, and stay."""
    directory, url, events = sys.argv[1:]
    async with recording(Path(directory), store=ClickHouseAnalytics(url)) as analytics:
        for _ in range(int(events)):
            analytics.verifications.append(verification())
        await asyncio.Event().wait()


asyncio.run(main())
