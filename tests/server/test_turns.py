"""Pipelining, splitting, waiting: whatever the packets, each request is answered once, in its turn."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.server.running import Running, envelope
from tests.server.wire import HOT, PATIENCE_S, Client, Response, hot, request

Started = Callable[..., Awaitable[Running]]


def _data(response: Response) -> object:
    return json.loads(response.body)["data"]


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_pipelined_hot_requests_are_answered_in_order(started: Started, heads: int) -> None:
    running = await started(heads=heads)
    async with running.client() as client:
        for _ in range(3):
            await client.send(b"".join(hot(b'"%03d"' % number) for number in range(200)))
            answers = await client.answers(200)
            assert [_data(answer) for answer in answers] == [f"{number:03}" for number in range(200)]


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_hot_cold_and_later_requests_of_one_chunk_are_answered_in_order(
    started: Started, heads: int
) -> None:
    running = await started(heads=heads)
    chunk = (
        hot(b'"a"')
        + request("GET", "/cold")
        + hot(b'"later"')
        + hot(b'"b"')
        + hot(b'"none"')
        + request("POST", "/body", body=b"12345")
        + hot(b'"later 2"')
        + hot(b'"c"')
    )
    async with running.client() as client:
        for _ in range(3):
            await client.send(chunk)
            first, cold = await client.answers(2)
            (await running.hot.later()).finish(envelope(1, b'"late"'))
            late, second, none, body = await client.answers(4)
            (await running.hot.later()).finish(envelope(2, b'"later still"'))
            last = await client.answers(2)
            assert [_data(a) for a in (first, late, second, *last)] == ["a", "late", "b", "later still", "c"]
            said = [json.loads(a.body) for a in (cold, none, body)]
            assert [(each["path"], each["asked"]) for each in said] == [
                ("/cold", False),
                (HOT, True),
                ("/body", False),
            ]
            assert said[1]["body"] == '"none"'
            assert said[2]["body"] == "12345"


@pytest.mark.parametrize("known", [False, True])
async def test_a_request_behind_an_unfinished_one_is_not_begun(server: Running, known: bool) -> None:
    async with server.client() as client:
        for body in (b'"12345"', b'"1"') * (3 if known else 0):
            await client.ask(hot(body))
        asked = len(server.hot.calls)
        await client.send(hot(b'"later"') + hot(b'"x"') + request("GET", "/cold"))
        later = await server.hot.later()
        assert len(server.hot.calls) == asked + 1
        assert server.app.seen == []
        later.finish(envelope(1, b"1"))
        assert [answer.status for answer in await client.answers(3)] == [200, 200, 200]


async def test_a_hot_request_waits_for_the_application(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/slow") + hot(b'"x"'))
        await server.app.arrival()
        assert server.hot.calls == []
        server.app.gate.set()
        slow, fast = await client.answers(2)
        assert json.loads(slow.body)["path"] == "/slow"
        assert _data(fast) == "x"


async def test_a_body_that_is_still_coming_is_not_mixed_up_with_one_that_came_before(server: Running) -> None:
    async with server.client() as client:
        await client.send(
            hot(b'"later"') + hot(b'"none"') + request("POST", "/x", b"Content-Length: 5") + b"12"
        )
        later = await server.hot.later()
        later.finish(envelope(1, b"1"))
        await client.answer()
        await client.send(b"345" + hot(b'"x"'))
        none, cold, fast = await client.answers(3)
    assert [json.loads(answer.body)["body"] for answer in (none, cold)] == ['"none"', "12345"]
    assert _data(fast) == "x"


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_a_request_may_be_split_at_any_byte(started: Started, heads: int) -> None:
    running = await started(heads=heads)
    whole = hot(b'{"key":"k"}')
    async with running.client() as client:
        await client.ask(whole)
        await client.ask(whole)
        for at in range(1, len(whole)):
            await client.send(whole[:at])
            await _taken(running)
            assert _data(await client.ask(whole[at:])) == {"key": "k"}
    assert len(running.hot.calls) == len(whole) + 1
    assert {body for _, body, _ in running.hot.calls} == {b'{"key":"k"}'}


async def test_two_requests_may_be_split_at_any_byte(server: Running) -> None:
    first, second = hot(b'"one"'), request("POST", "/cold", body=b"12")
    both = first + second
    async with server.client() as client:
        for at in range(1, len(both)):
            await client.send(both[:at])
            await _taken(server)
            await client.send(both[at:])
            one, two = await client.answers(2)
            assert (_data(one), json.loads(two.body)["body"]) == ("one", "12")


async def test_a_request_may_come_byte_by_byte(server: Running) -> None:
    whole = hot(b'{"key":"k"}')
    async with server.client() as client:
        for _ in range(3):
            for at in range(len(whole)):
                await client.send(whole[at : at + 1])
                await _taken(server)
            assert _data(await client.answer()) == {"key": "k"}


async def test_a_client_that_leaves_before_its_answer_harms_nobody(server: Running) -> None:
    async with server.client() as client:
        await client.send(hot(b'"later"'))
        later = await server.hot.later()
    await _gone(server)
    later.finish(envelope(1, b'"nobody"'))
    async with server.client() as client:
        assert (await client.ask(hot())).status == 200


async def test_a_client_that_leaves_with_requests_waiting_is_noticed_when_they_are_read_on(
    server: Running,
) -> None:
    async with server.client() as client:
        await client.send(hot(b'"later"') + hot(b'"x"'))
        later = await server.hot.later()
    later.finish(envelope(1, b'"nobody"'))
    await _gone(server)
    assert len(server.hot.calls) <= 2


async def test_the_application_learns_that_its_client_left(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/patient"))
        await server.app.arrival()
    await asyncio.wait_for(server.app.disconnected.wait(), 20)


async def test_a_client_that_asks_and_does_not_read_stops_being_read(server: Running) -> None:
    one = hot(b'"' + b"y" * 4_000 + b'"')
    async with server.client() as client:
        client.writer.transport.set_write_buffer_limits(high=1)
        sending = asyncio.create_task(_ask_forever(client, one * 16))
        connection = await _connection(server)
        await _until(lambda: connection.flow.write_paused)
        answered = await _standstill(lambda: len(server.hot.calls))
        assert connection.flow.write_paused and connection.flow.read_paused
        sending.cancel()
        for _ in range(answered):
            assert (await client.answer()).status == 200


async def test_the_application_waits_for_a_client_that_reads_slowly(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/long") + hot(b'"x"'))
        connection = await _connection(server)
        await _until(lambda: connection.flow.write_paused)
        assert connection.transport.get_write_buffer_size() < 1 << 20
        assert server.hot.calls == []
        long, fast = await client.answers(2)
        assert (len(long.body), _data(fast)) == (64 * 262_144, "x")


async def test_a_body_that_nobody_reads_is_not_heaped_up(server: Running) -> None:
    async with server.client() as client:
        client.writer.write(request("POST", "/unread", b"Content-Length: 1000000") + b"x" * 1_000_000)
        await server.app.arrival()
        connection = await _connection(server)
        await _until(lambda: connection.flow.read_paused)
        assert len(connection.cycle.body) < 600_000
        server.app.gate.set()
        assert (await client.answer()).body == b'"unread"'
        assert (await client.ask(hot())).status == 200


async def test_an_answer_before_the_body_has_come_keeps_the_connection_in_step(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/early", b"Content-Length: 5"))
        assert (await client.answer()).body == b'"early"'
        await client.send(b"12345" + hot(b'"x"'))
        assert _data(await client.answer()) == "x"


async def test_a_connection_that_breaks_with_requests_waiting_ends_the_one_that_runs(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("GET", "/patient") + request("GET", "/cold"))
        await server.app.arrival()
        (connection,) = server.server.server_state.connections
        connection.transport.abort()
        await asyncio.wait_for(server.app.disconnected.wait(), PATIENCE_S)
    assert server.app.seen == ["/patient"]


async def test_a_failing_application_is_a_500_and_the_next_request_is_served(server: Running) -> None:
    async with server.client() as client:
        assert (await client.ask(request("GET", "/crash"))).status == 500
    async with server.client() as client:
        assert (await client.ask(hot())).status == 200


async def _ask_forever(client: Client, data: bytes) -> None:
    while True:
        await client.send(data)


async def _connection(server: Running):  # type: ignore[no-untyped-def]
    await _until(lambda: bool(server.server.server_state.connections))
    (connection,) = server.server.server_state.connections
    return connection


async def _gone(server: Running) -> None:
    await _until(lambda: not server.server.server_state.connections)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0)


async def _standstill(count: Callable[[], int]) -> int:
    """What is counted when it grows no more: the system makes its own buffers larger meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        before = -1
        while (now := count()) != before:
            before = now
            await _turns(2_000)
    return before


async def _turns(count: int) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _taken(server: Running) -> None:
    """Let the server read what has been sent, so that it does not meet the next piece."""
    await _turns(4)
