"""The operator's clock jumps; what is over stays over, and nothing is given twice."""

import time
from collections.abc import Callable

import pytest

from latchwork.kernel.clock import SteadyClock
from tests.surfaces.rpc.conftest import Client

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)
MINUTE_MS = 60_000


@pytest.fixture
def clock() -> SteadyClock:
    return SteadyClock()


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch, clock: SteadyClock) -> Callable[[int], None]:
    """Set the operator's clock forward by so many ms, or back."""
    offset_ns = 0
    monkeypatch.setattr("latchwork.kernel.clock.time_ns", lambda: time.time_ns() + offset_ns)

    def jumped(by_ms: int) -> None:
        nonlocal offset_ns
        offset_ns += by_ms * 1_000_000

    return jumped


async def _code(acme: Client, key: str) -> str:
    return str((await acme.data("keys.verifyKey", {"key": key}))["code"])


async def test_a_clock_set_back_opens_no_window_again(
    acme: Client, api_id: str, jump: Callable[[int], None]
) -> None:
    limit = {"name": "all", "limit": 3, "duration": 10 * MINUTE_MS, "autoApply": True}
    made = await acme.data("keys.createKey", {"apiId": api_id, "ratelimits": [limit]})
    assert [await _code(acme, made["key"]) for _ in range(4)] == ["VALID"] * 3 + ["RATE_LIMITED"]
    for by_ms in (-1, -10 * MINUTE_MS, -600 * MINUTE_MS):
        jump(by_ms)
        assert await _code(acme, made["key"]) == "RATE_LIMITED"


async def test_what_has_expired_stays_so_when_the_clock_is_set_back(
    acme: Client, api_id: str, clock: SteadyClock, jump: Callable[[int], None]
) -> None:
    made = await acme.data("keys.createKey", {"apiId": api_id, "expires": clock.now_ms() + 5 * MINUTE_MS})
    assert await _code(acme, made["key"]) == "VALID"
    jump(6 * MINUTE_MS)
    assert await _code(acme, made["key"]) == "EXPIRED"
    jump(-60 * MINUTE_MS)
    assert await _code(acme, made["key"]) == "EXPIRED"


async def test_a_refill_that_came_early_does_not_come_again_when_the_clock_is_set_back(
    acme: Client, api_id: str, jump: Callable[[int], None]
) -> None:
    credits = {"remaining": 2, "refill": {"interval": "daily", "amount": 2}}
    made = await acme.data("keys.createKey", {"apiId": api_id, "credits": credits})
    assert [await _code(acme, made["key"]) for _ in range(3)] == ["VALID"] * 2 + ["USAGE_EXCEEDED"]
    jump(25 * 60 * MINUTE_MS)
    assert [await _code(acme, made["key"]) for _ in range(3)] == ["VALID"] * 2 + ["USAGE_EXCEEDED"]
    jump(-25 * 60 * MINUTE_MS)
    assert await _code(acme, made["key"]) == "USAGE_EXCEEDED"


def test_time_goes_on_from_where_it_was(
    house: object, jump: Callable[[int], None], clock: SteadyClock
) -> None:
    told = [clock.now_ms()]
    for by_ms in (-MINUTE_MS, MINUTE_MS, -5 * MINUTE_MS, 0, 3):
        jump(by_ms)
        told.append(clock.now_ms())
    assert told == sorted(told)
    assert told[-1] - told[0] < 2 * MINUTE_MS
