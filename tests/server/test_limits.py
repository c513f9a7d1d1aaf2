"""Sizes: refused before they are held in memory."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from latchwork.server.limits import Limits
from tests.server.running import Running
from tests.server.wire import HOT, hot, request

Started = Callable[..., Awaitable[Running]]

MIB = 1 << 20


async def test_a_head_as_large_as_allowed_is_served(server: Running) -> None:
    async with server.client() as client:
        assert (await client.ask(request("GET", "/x", b"X-A: " + b"a" * 32_000))).status == 200


@pytest.mark.parametrize(
    "lines", [[b"X-A: " + b"a" * 33_000], [b"X-%04d: %s" % (n, b"a" * 90) for n in range(400)]]
)
@pytest.mark.parametrize("target", ["/x", HOT])
async def test_a_larger_head_is_a_431(server: Running, target: str, lines: list[bytes]) -> None:
    async with server.client() as client:
        answer = await client.ask(request("POST", target, b"Authorization: a", *lines, body=b'"x"'))
        assert answer.status == 431
        assert await client.is_closed()
    assert (server.app.seen, server.hot.calls) == ([], [])


async def test_an_endless_header_is_a_431_while_it_comes(server: Running) -> None:
    async with server.client() as client:
        await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: ")
        sending = asyncio.create_task(_endlessly(client.writer, b"a" * 1_000))
        assert (await client.answer()).status == 431
        sending.cancel()


async def test_heads_of_pipelined_requests_count_one_by_one(server: Running) -> None:
    one = request("POST", HOT, b"Authorization: a", b"X-A: " + b"a" * 20_000, body=b'"x"')
    async with server.client() as client:
        for _ in range(3):
            await client.send(one * 8)
            assert {answer.status for answer in await client.answers(8)} == {200}


@pytest.mark.parametrize("size", [8_192 - len("/x?"), 8_192 - len("/x?") + 1, 100_000])
async def test_a_target_that_is_too_long_is_a_414(server: Running, size: int) -> None:
    async with server.client() as client:
        answer = await client.ask(request("GET", "/x?" + "q" * size))
        assert answer.status == (200 if size + 3 <= 8_192 else 414)


async def test_an_endless_target_is_a_414_while_it_comes(server: Running) -> None:
    async with server.client() as client:
        await client.send(b"GET /")
        sending = asyncio.create_task(_endlessly(client.writer, b"a" * 1_000))
        assert (await client.answer()).status == 414
        sending.cancel()


async def test_a_body_as_large_as_allowed_is_served(server: Running) -> None:
    async with server.client() as client:
        answer = await client.ask(request("POST", "/x", body=b"x" * MIB))
        assert b'"length": 1048576' in answer.body


@pytest.mark.parametrize("target", ["/x", HOT])
@pytest.mark.parametrize("length", [MIB + 1, 10**12])
async def test_a_larger_announced_body_is_a_413_before_it_is_sent(
    server: Running, target: str, length: int
) -> None:
    async with server.client() as client:
        answer = await client.ask(
            request("POST", target, b"Authorization: a", b"Content-Length: %d" % length) + b"x"
        )
        assert answer.status == 413
        assert await client.is_closed()
    assert (server.app.seen, server.hot.calls) == ([], [])


async def test_a_client_that_waits_to_be_told_to_send_is_told_not_to(server: Running) -> None:
    lines = b"Expect: 100-continue", b"Content-Length: %d" % (MIB + 1)
    async with server.client() as client:
        assert (await client.ask(request("POST", "/x", *lines))).status == 413


async def test_a_client_that_waits_to_be_told_to_send_is_told_to(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/x", b"Expect: 100-continue", b"Content-Length: 5"))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert b'"body": "12345"' in (await client.ask(b"12345")).body


@pytest.mark.parametrize("target", ["/x", "/patient"])
async def test_an_endless_chunked_body_is_a_413_while_it_comes(server: Running, target: str) -> None:
    async with server.client() as client:
        await client.send(request("POST", target, b"Transfer-Encoding: chunked"))
        sending = asyncio.create_task(_endlessly(client.writer, b"1000\r\n" + b"x" * 4_096 + b"\r\n"))
        assert (await client.answer()).status == 413
        sending.cancel()
    if target == "/patient":
        await asyncio.wait_for(server.app.disconnected.wait(), 20)


async def test_a_body_that_grows_too_large_after_its_answer_began_ends_the_connection(
    server: Running,
) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/started", b"Transfer-Encoding: chunked"))
        await client.reader.readuntil(b"begun")
        sending = asyncio.create_task(_endlessly(client.writer, b"1000\r\n" + b"x" * 4_096 + b"\r\n"))
        assert b"413" not in await client.rest()
        await asyncio.wait_for(server.app.disconnected.wait(), 20)
        sending.cancel()


async def test_an_endless_body_after_its_answer_ends_the_connection(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/early", b"Transfer-Encoding: chunked"))
        assert (await client.answer()).status == 200
        sending = asyncio.create_task(_endlessly(client.writer, b"1000\r\n" + b"x" * 4_096 + b"\r\n"))
        assert await client.reader.read() == b""  # and not a reset, which could take the answer with it
        sending.cancel()


async def test_a_body_that_is_too_large_behind_an_unfinished_request_is_refused_in_its_turn(
    server: Running,
) -> None:
    chunk = b"1000\r\n" + b"x" * 4_096 + b"\r\n"
    large = request("POST", "/large", b"Transfer-Encoding: chunked") + chunk * 10
    async with server.client() as client:
        await client.send(request("GET", "/slow") + large)
        await server.app.arrival()
        sending = asyncio.create_task(_endlessly(client.writer, chunk))
        server.app.gate.set()
        assert [answer.status for answer in await client.answers(2)] == [200, 413]
        sending.cancel()


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"5;", b"e" * 10_000),
        (b"0\r\nX-T: ", b"t" * 10_000),
        (b"0\r\n", b"X-T: t\r\n" * 1_000),
    ],
    ids=["extension", "trailer", "trailers"],
)
async def test_endless_framing_of_a_chunked_body_is_a_400(server: Running, begin: bytes, more: bytes) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/x", b"Transfer-Encoding: chunked"))
        await client.send(begin)
        sending = asyncio.create_task(_endlessly(client.writer, more))
        assert (await client.answer()).status == 400
        sending.cancel()


async def test_many_small_chunks_are_served(server: Running) -> None:
    async with server.client() as client:
        await client.send(request("POST", "/x", b"Transfer-Encoding: chunked"))
        for _ in range(50):
            await client.send(b"1\r\nx\r\n" * 1_000)
        answer = await client.ask(b"0\r\n\r\n")
        assert b'"length": 50000' in answer.body


async def test_the_framing_of_one_body_does_not_count_for_the_next(server: Running) -> None:
    large = hot(b'"' + b"x" * 60_000 + b'"')
    async with server.client() as client:
        await client.ask(request("POST", "/x", b"Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n")
        for at in range(0, len(large), 5_000):
            await client.send(large[at : at + 5_000])
            for _ in range(4):
                await asyncio.sleep(0)
        assert (await client.answer()).status == 200


async def test_a_path_may_accept_more_or_less_than_others(started: Started) -> None:
    running = await started(limits=Limits(max_body=lambda path: 10 if path in ("/small", HOT) else 100))
    async with running.client() as client:
        assert (await client.ask(request("POST", "/x", body=b"x" * 100))).status == 200
        assert (await client.ask(hot(b'"12345678"'))).status == 200
        assert (await client.ask(request("POST", "/sm%61ll", body=b"x" * 11))).status == 413
    async with running.client() as client:
        assert (await client.ask(hot(b'"123456789"'))).status == 413


async def test_connections_beyond_the_limit_are_a_503_and_those_within_it_live_on(started: Started) -> None:
    running = await started(limits=Limits(connections=2))
    async with running.client() as first, running.client() as second:
        assert [(await client.ask(hot())).status for client in (first, second)] == [200, 200]
        async with running.client() as third:
            refusal = await third.answer()
            assert (refusal.status, refusal.header("retry-after")) == (503, "1")
            assert await third.is_closed()
        assert [(await client.ask(hot())).status for client in (first, second)] == [200, 200]


async def _endlessly(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
