"""Many threads, many tasks, several event loops, and tasks that are cancelled."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import httpx
import pytest

from latchwork.client import AsyncLatchwork, Latchwork, NotSent, Unanswered, Verification
from tests.client.conftest import Real
from tests.client.faulty import VALID, Faulty, answer, faulty, silence

PATIENCE_S = 20.0


def test_threads_share_a_client_and_spend_exactly_what_there_is(real: Real) -> None:
    key = real.key(remaining=200)
    with real.client(deadline_s=PATIENCE_S) as client, ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: client.verify_key(key), range(240)))
    assert sorted(verdict.code for verdict in verdicts) == ["USAGE_EXCEEDED"] * 40 + ["VALID"] * 200
    left = sorted(verdict.credits for verdict in verdicts if verdict.valid and verdict.credits is not None)
    assert left == list(range(200))


async def test_tasks_share_a_client_and_spend_exactly_what_there_is(real: Real) -> None:
    key = real.key(remaining=200)
    async with real.awaited(deadline_s=PATIENCE_S, connections=8) as client:
        verdicts = await asyncio.gather(*(client.verify_key(key) for _ in range(240)))
    assert sorted(verdict.code for verdict in verdicts) == ["USAGE_EXCEEDED"] * 40 + ["VALID"] * 200


def test_one_client_serves_event_loops_one_after_the_other(bad: Faulty) -> None:
    client = AsyncLatchwork(bad.url, "root")

    async def ask() -> list[Verification]:
        return [await client.verify_key("k") for _ in range(2)]

    assert all(verdict.valid for _ in range(3) for verdict in asyncio.run(ask()))
    assert (len(bad.requests), bad.connections) == (6, 3)


def test_one_client_serves_event_loops_in_several_threads(bad: Faulty) -> None:
    client = AsyncLatchwork(bad.url, "root", deadline_s=PATIENCE_S)

    async def ask() -> bool:
        return all([(await client.verify_key("k")).valid for _ in range(20)])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: asyncio.run(ask()), range(4)))
    assert bad.connections == 4


async def test_closing_is_for_the_running_loop_and_may_be_repeated(bad: Faulty) -> None:
    client = AsyncLatchwork(bad.url, "root")
    await client.aclose()
    assert (await client.verify_key("k")).valid
    await client.aclose()
    await client.aclose()
    assert (await client.verify_key("k")).valid
    assert bad.connections == 2
    await client.aclose()


async def test_a_cancelled_call_is_over_and_leaves_the_client_usable(bad: Faulty) -> None:
    """With one connection in all, one that a cancelled call kept would end every call after it."""
    bad.acts.extend([silence] * 5)
    async with AsyncLatchwork(bad.url, "root", connections=1, deadline_s=PATIENCE_S) as client:
        for _ in range(5):
            task = asyncio.create_task(client.verify_key("k"))
            await asyncio.to_thread(bad.asked.acquire)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await client.verify_key("k")).valid
    assert len(bad.requests) == 6


async def test_a_timeout_of_the_callers_own_stays_a_timeout(bad: Faulty) -> None:
    bad.always = silence
    async with AsyncLatchwork(bad.url, "root", deadline_s=PATIENCE_S) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.verify_key("k")


async def test_a_task_that_gets_no_connection_in_time_has_sent_nothing(bad: Faulty) -> None:
    bad.acts.append(silence)
    async with AsyncLatchwork(bad.url, "root", connections=1, deadline_s=PATIENCE_S) as client:
        waiting = asyncio.create_task(client.within(1).verify_key("first"))
        await asyncio.to_thread(bad.asked.acquire)
        with pytest.raises(NotSent, match="could not be sent in time"):
            await client.within(0.05).verify_key("second")
        with pytest.raises(Unanswered):
            await waiting
    assert [request.rpartition(b"\r\n")[2] for request in bad.requests] == [b'{"key":"first"}']


def test_a_thread_that_gets_no_connection_in_time_has_sent_nothing(bad: Faulty) -> None:
    bad.acts.append(silence)
    with Latchwork(bad.url, "root", connections=1, deadline_s=PATIENCE_S) as client:
        outcome: list[type[Exception]] = []

        def first() -> None:
            try:
                client.within(1).verify_key("first")
            except Unanswered as error:
                outcome.append(type(error))

        thread = Thread(target=first)
        thread.start()
        bad.asked.acquire()
        with pytest.raises(NotSent, match="could not be sent in time"):
            client.within(0.05).verify_key("second")
        thread.join()
        assert outcome == [Unanswered]
        assert client.verify_key("third").valid
    assert len(bad.requests) == 2


async def test_a_client_of_your_own_is_awaited_and_left_open() -> None:
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, content=b'{"data":{"valid":true,"code":"VALID"}}')
    )
    own = httpx.AsyncClient(transport=transport)
    async with AsyncLatchwork("https://latchwork.test", "root", http=own) as client:
        assert (await client.verify_key("k")).valid
    assert not own.is_closed
    await own.aclose()


def test_a_wait_under_no_deadline_is_as_long_as_its_own_timeout() -> None:
    """So that the transport keeps to httpx's timeouts where somebody uses it without one."""
    from latchwork.client.deadlines import DeadlineTransport

    with faulty() as server, httpx.Client(transport=DeadlineTransport(1, 1.0), timeout=0.05) as http:
        server.acts.extend([answer(), silence])
        assert http.post(server.url, content=b"x").content == VALID
        with pytest.raises(httpx.ReadTimeout):
            http.post(server.url, content=b"x")


def test_no_wait_begins_after_the_deadline(bad: Faulty) -> None:
    from latchwork.client.attempts import Deadline
    from latchwork.client.deadlines import DeadlineTransport, until

    http = httpx.Client(transport=DeadlineTransport(1, 1.0))
    with http, until(Deadline(-1)), pytest.raises(httpx.ConnectTimeout, match="the deadline has passed"):
        http.post(bad.url, content=b"x")
    assert bad.connections == 0


def test_answers_that_cannot_be_unpacked_are_no_answers(bad: Faulty) -> None:
    bad.always = answer(200, b"not compressed", b"content-encoding: gzip")
    with Latchwork(bad.url, "root") as client, pytest.raises(Unanswered):
        client.verify_key("k")
