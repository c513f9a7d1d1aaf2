"""Every adapter of a port, one after the other."""

from collections.abc import Callable

import pytest

from latchwork.adapters.memory import MemoryCounters
from latchwork.domains.ratelimits import Counters

COUNTERS: dict[str, Callable[[], Counters]] = {"memory": MemoryCounters}


@pytest.fixture(params=COUNTERS)
def counters(request: pytest.FixtureRequest) -> Counters:
    """Counters in which nothing was taken. What other tests left behind may be in them: use new keys."""
    return COUNTERS[request.param]()
