"""Servers on real sockets, in the test's own event loop, which is the one that serves in earnest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

import pytest
import uvloop

from tests.server.running import Running


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop's loop, as in earnest."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def started() -> AsyncIterator[Callable[..., object]]:
    """Start servers that end with the test: `await started(heads=0)`."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Running:
            return await stack.enter_async_context(Running(**settings))  # type: ignore[arg-type]

        yield start


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A server with the settings it has by default."""
    async with Running() as running:
        yield running
