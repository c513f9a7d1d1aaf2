"""Slow clients, by a clock that the test moves: each sweep says what time it is."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from latchwork.server.deadlines import Sweep, Waiting
from tests.server.running import Running, envelope
from tests.server.wire import HOT, PATIENCE_S, Client, hot, request

Started = Callable[..., Awaitable[Running]]

_HEAD = b"POST " + HOT.encode() + b" HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\n"


async def _arrived(server: Running, client: Client, *pieces: bytes) -> None:
    """Send, and let the server read it."""
    await client.send(*pieces)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(server.server.server_state.connections) == 1


async def test_a_head_that_is_not_complete_after_ten_seconds_is_a_408(server: Running) -> None:
    async with server.client() as client:
        await _arrived(server, client, _HEAD)
        server.sweep(100.0)
        await _arrived(server, client, b"X-A: still coming\r\n")
        server.sweep(109.9)
        await _arrived(server, client, b"X-B: still coming\r\n")
        server.sweep(110.0)
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert await client.is_closed()


async def test_a_head_that_arrives_in_time_is_served(server: Running) -> None:
    async with server.client() as client:
        for turn in range(3):
            await _arrived(server, client, _HEAD)
            server.sweep(100.0 * turn)
            server.sweep(100.0 * turn + 9.9)
            assert (await client.ask(b'Content-Length: 3\r\n\r\n"x"')).status == 200


@pytest.mark.parametrize("target", ["/x", HOT])
async def test_a_body_without_a_byte_for_ten_seconds_is_a_408(server: Running, target: str) -> None:
    head = request("POST", target, b"Authorization: a", b"Content-Length: 60000")
    async with server.client() as client:
        await _arrived(server, client, head, b"x" * 30_000)
        server.sweep(100.0)
        server.sweep(109.9)
        server.sweep(110.0)
        assert (await client.answer()).status == 408
        assert await client.is_closed()
    assert server.hot.calls == []


@pytest.mark.parametrize("target", ["/x", HOT])
async def test_a_body_that_drips_is_a_408(server: Running, target: str) -> None:
    head = request("POST", target, b"Authorization: a", b"Content-Length: 60000")
    async with server.client() as client:
        await _arrived(server, client, head)
        for second in range(10):
            server.sweep(100.0 + second)
            await _arrived(server, client, b"x")
        server.sweep(110.0)
        assert (await client.answer()).status == 408


@pytest.mark.parametrize("target", ["/x", HOT])
async def test_a_body_that_comes_slowly_but_fast_enough_is_served(server: Running, target: str) -> None:
    head = request("POST", target, b"Authorization: a", b"Content-Length: 60000")
    async with server.client() as client:
        await _arrived(server, client, head)
        for period in range(5):
            server.sweep(100.0 + 10 * period)
            await _arrived(server, client, b"x" * 11_000)
        server.sweep(150.0)
        assert (await client.ask(b"x" * 5_000)).status == 200


async def test_a_chunked_body_that_stops_is_a_408_to_an_application_that_waits_for_it(
    server: Running,
) -> None:
    async with server.client() as client:
        await _arrived(server, client, request("POST", "/patient", b"Transfer-Encoding: chunked"))
        await server.app.arrival()
        server.sweep(100.0)
        server.sweep(110.0)
        assert (await client.answer()).status == 408
        await asyncio.wait_for(server.app.disconnected.wait(), PATIENCE_S)


async def test_a_body_that_is_not_read_here_may_take_its_time(server: Running) -> None:
    async with server.client() as client:
        client.writer.write(request("POST", "/slow", b"Content-Length: 1000000") + b"x" * 900_000)
        await server.app.arrival()
        (connection,) = server.server.server_state.connections
        async with asyncio.timeout(PATIENCE_S):
            while not connection.flow.read_paused:  # type: ignore[union-attr]
                await asyncio.sleep(0)
        for now_s in range(100, 200, 5):
            server.sweep(now_s)
        server.app.gate.set()
        assert (await client.ask(b"x" * 100_000)).status == 200


async def test_an_answer_may_take_as_long_as_it_takes(server: Running) -> None:
    async with server.client() as client:
        await client.send(hot(b'"later"'))
        later = await server.hot.later()
        for now_s in range(100, 1_000, 50):
            server.sweep(now_s)
        later.finish(envelope(1, b"1"))
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("ask", [hot(), request("GET", "/x"), b""], ids=["hot", "cold", "never"])
async def test_an_idle_connection_is_closed_after_75_seconds(server: Running, ask: bytes) -> None:
    async with server.client() as client:
        if ask:
            server.sweep(50.0)
            await client.ask(ask)
        await _arrived(server, client)
        server.sweep(100.0)
        server.sweep(174.9)
        assert len(server.server.server_state.connections) == 1
        server.sweep(175.0)
        assert await client.is_closed()


async def test_a_connection_in_use_is_never_idle(server: Running) -> None:
    async with server.client() as client:
        for turn in range(8):
            server.sweep(100.0 + 50 * turn)
            assert (await client.ask(hot())).status == 200


async def test_a_client_that_does_not_read_for_a_minute_is_cut_off(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/long"))
        await server.app.arrival()
        (connection,) = server.server.server_state.connections
        async with asyncio.timeout(PATIENCE_S):
            while not connection.flow.write_paused:  # type: ignore[union-attr]
                await asyncio.sleep(0)
        server.sweep(100.0)
        server.sweep(159.0)
        assert not connection.transport.is_closing()
        server.sweep(160.0)
        assert connection.transport.is_closing()
        assert len(await client.rest()) < 64 * 262_144


async def test_a_refused_client_that_does_not_leave_is_cut_off(server: Running) -> None:
    async with server.client() as client:
        assert (await client.ask(b"nonsense\r\n\r\n")).status == 400
        await _arrived(server, client, b"and more of it" * 1_000)
        (connection,) = server.server.server_state.connections
        server.sweep(100.0)
        server.sweep(101.9)
        assert not connection.transport.is_closing()
        server.sweep(102.0)
        assert connection.transport.is_closing()


class _Loop(asyncio.AbstractEventLoop):
    """Keeps timers for the test to fire."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def call_later(self, delay: float, callback, *args, context=None):  # type: ignore[no-untyped-def, override]
        assert delay == 1.0
        self.timers.append(lambda: callback(*args))
        return object()

    def time(self) -> float:
        return 7.0


class _Member:
    def __init__(self) -> None:
        self.visits: list[float] = []

    def expire(self, now_s: float) -> None:
        self.visits.append(now_s)


@pytest.mark.parametrize(("clock", "now_s"), [(lambda: 42.0, 42.0), (None, 7.0)])
def test_the_sweep_comes_every_second_while_there_is_somebody_to_visit(
    clock: Callable[[], float] | None, now_s: float
) -> None:
    loop, member, sweep = _Loop(), _Member(), Sweep(clock)  # type: ignore[abstract]
    sweep.add(member, loop)
    sweep.add(_Member(), loop)
    assert (len(sweep), len(loop.timers)) == (2, 1)
    loop.timers.pop()()
    assert (member.visits, len(loop.timers)) == ([now_s], 1)
    for each in list(sweep._members):
        sweep.discard(each)
    loop.timers.pop()()
    assert (member.visits, loop.timers) == ([now_s], [])
    sweep.add(member, loop)
    assert len(loop.timers) == 1


def test_a_wait_begins_when_it_is_first_seen() -> None:
    waiting = Waiting()
    assert not waiting.longer_than(10, 1_000)
    assert waiting.longer_than(10, 1_010)
    waiting.restart()
    assert not waiting.longer_than(10, 2_000)


def test_every_period_is_measured_by_itself() -> None:
    waiting = Waiting()
    waiting.gained = 10_000
    assert not waiting.slower_than(1_000, 10, 100)
    assert not waiting.slower_than(1_000, 10, 110)
    assert waiting.slower_than(1_000, 10, 120)
