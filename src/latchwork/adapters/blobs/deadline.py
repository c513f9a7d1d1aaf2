"""Nothing waits for a store of blobs longer than it was given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from latchwork.kernel.blobs import BlobsUnavailable

DEADLINE_S = 5.0


@asynccontextmanager
async def within(deadline_s: float, place: str) -> AsyncIterator[None]:
    """Raises `BlobsUnavailable` when what is done at `place` takes longer."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        raise BlobsUnavailable(f"{place} did not answer within {deadline_s:g} seconds.") from error
