"""Starting and stopping: nothing that has begun is lost."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from latchwork.server.run import PortInUse, StartFailed, bind, serve, serving
from tests.server.running import Running, envelope
from tests.server.wire import PATIENCE_S, hot, request

Started = Callable[..., Awaitable[Running]]

PROGRAM = """
    import asyncio, contextlib, gc, sys
    from latchwork.asgi import Application
    from latchwork.server.fastlane import fast_protocol
    from latchwork.server.run import serve
    from tests.server.running import Hot, render_error
    from tests.server.wire import HOT

    async def slow(scope, receive, send):
        assert scope["type"] == "http"
        print("asked", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"\'done\'"})

    @contextlib.asynccontextmanager
    async def platform():
        print("opened", flush=True)
        yield
        print("closed", flush=True)

    hot = {HOT: Hot()}
    serve(
        Application({}, fallback=slow, hot=hot, lifespan=platform),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=fast_protocol(hot, render_error=render_error),
        on_ready=lambda: print("ready", gc.get_freeze_count() > 0, gc.get_threshold(), flush=True),
    )
    print("returned", flush=True)
"""


async def _stop(running: Running) -> None:
    running.server.stop()
    for _ in range(1_000):
        if not running.server.servers[0].is_serving():
            break
        await asyncio.sleep(0.001)


async def test_an_unfinished_later_answer_is_finished_before_the_end(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.send(hot(b'"later"'))
        later = await running.hot.later()
        await _stop(running)
        assert not running.task.done()
        later.finish(envelope(1, b'"late"'))
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await client.is_closed()
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_an_unfinished_answer_of_the_application_is_finished_before_the_end(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.send(request("GET", "/slow"))
        await running.app.arrival()
        await _stop(running)
        running.app.gate.set()
        answer = await client.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await client.is_closed()
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_requests_behind_the_last_answer_are_left_to_the_client(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.send(hot(b'"later"') + hot(b'"x"') * 3)
        later = await running.hot.later()
        await _stop(running)
        later.finish(envelope(1, b'"late"'))
        assert (await client.answer()).header("connection") == "close"
        assert await client.is_closed()
    assert len(running.hot.calls) == 1


async def test_a_request_half_received_is_still_answered(started: Started) -> None:
    running = await started()
    whole = hot(b'{"key":"k"}')
    async with running.client() as client:
        await client.ask(whole)
        await client.send(whole[:50])
        await asyncio.sleep(0)
        await _stop(running)
        answer = await client.ask(whole[50:])
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await client.is_closed()
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_a_client_that_was_just_served_may_ask_once_more(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.ask(hot())
        await client.ask(hot())
        await _stop(running)
        answer = await client.ask(hot())
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await client.is_closed()
    assert len(running.hot.calls) == 3
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_a_client_that_was_just_served_and_asks_no_more_is_closed(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.ask(hot())
        await _stop(running)
        running.sweep(0.4)
        assert len(running.server.server_state.connections) == 1
        running.sweep(0.5)
        assert await client.is_closed()
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_a_client_that_was_idle_is_closed_at_once(started: Started) -> None:
    running = await started()
    async with running.client() as client:
        await client.ask(hot())
        running.sweep(100.0)
        await _stop(running)
        assert await client.is_closed()
    await asyncio.wait_for(running.task, PATIENCE_S)


async def test_a_stopping_server_accepts_nobody(started: Started) -> None:
    running = await started()
    await _stop(running)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", running.port)
    await asyncio.wait_for(running.task, PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_its_work_done_and_status_0(number: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "opened\n"
        assert program.stdout.readline() == "ready True (50000, 20, 100)\n"
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        client.request("GET", "/slow")
        assert program.stdout.readline() == "asked\n"
        os.kill(program.pid, number)
        print("go on", file=program.stdin, flush=True)
        assert client.getresponse().read() == b"'done'"
        assert program.stdout.read() == "closed\nreturned\n"
        assert program.wait(PATIENCE_S) == 0
    finally:
        program.kill()
        program.communicate()


def test_a_port_in_use_is_told_before_anything_else_happens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse) as raised:
            serve(_never, host="127.0.0.1", port=port, http=Running().protocol, on_ready=_not_ready)
    assert (raised.value.host, raised.value.port) == ("127.0.0.1", port)
    assert str(port) in str(raised.value)


async def test_a_port_that_is_taken_between_binding_and_listening_is_told_too() -> None:
    running = Running()
    ours = bind("127.0.0.1", 0)
    with bind("127.0.0.1", ours.getsockname()[1]) as theirs:
        theirs.listen()
        with pytest.raises(PortInUse):
            await serving(running.application, ours, http=running.protocol, on_ready=_not_ready)


def test_an_address_of_another_machine_is_no_port_in_use() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        bind("192.0.2.1", 0)


def test_a_port_is_free_again_as_soon_as_its_server_has_gone() -> None:
    first = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    first.listen()
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = first.accept()
        accepted.close()
        first.close()
        bind("127.0.0.1", port).close()
        client.close()


def test_both_families_can_be_bound() -> None:
    with bind("::1", 0) as six, bind("0.0.0.0", 0) as four:
        assert (six.family, four.family) == (socket.AF_INET6, socket.AF_INET)


def test_a_server_in_another_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    running = Running()

    async def serve_once() -> None:
        running.server._on_ready = running.server.stop
        await running.server.serve(sockets=[bind("127.0.0.1", 0)])

    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, serve_once()).result(PATIENCE_S)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(100, 20_000, 10_512), (100, 4_096, 4_096), (15_000, 20_000, 15_000)]
)
def test_a_server_may_open_as_many_files_as_it_accepts_connections(soft: int, hard: int, then: int) -> None:
    asked = "import resource as r; from latchwork.server.run import _allow_files as a; "
    asked += (
        f"r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard})); a(10_000); print(r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == then


async def test_an_application_that_does_not_start_is_told_with_its_reason() -> None:
    running = Running()
    running.application._lifespan = _broken
    sock = bind("127.0.0.1", 0)
    with pytest.raises(StartFailed) as raised:
        await serving(running.application, sock, http=running.protocol, on_ready=_not_ready)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert sock.fileno() == -1


def _broken():  # type: ignore[no-untyped-def]
    raise ZeroDivisionError


async def _never(*_: object) -> None:
    raise AssertionError("nothing is to be started")


def _not_ready() -> None:
    raise AssertionError("it cannot be ready")
