"""Servers that are away, slow or broken: what is raised, what is tried again, and what never is."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from latchwork.client import Latchwork, NotSent, ServerFailed, TooManyRequests, Unanswered, Unreadable
from latchwork.client.attempts import Attempts, Deadline
from latchwork.client.errors import LatchworkError, Unavailable
from tests.client.conftest import Run
from tests.client.faulty import (
    Act,
    Faulty,
    answer,
    drip,
    half,
    hang_up,
    problem,
    reset,
    silence,
)
from tests.engines.programs import free_port

SHORT_S = 0.25
"""A deadline that a test waits for."""

AMBIGUOUS: dict[str, Act] = {
    "hangs up": hang_up,
    "cuts the connection": reset,
    "breaks off its answer": half,
    "answers 502": problem(502),
    "answers 503": problem(503),
    "answers 504 without a word of ours": answer(504, b"<html>"),
}


def verify(client: Any) -> Any:
    return client.verify_key("k")


def explain(client: Any) -> Any:
    return client.explain_key("k")


EXPLAINED = answer(200, b'{"data":{"valid":true,"code":"VALID","checks":[],"remedies":[]}}')


@pytest.mark.parametrize("act", AMBIGUOUS.values(), ids=AMBIGUOUS)
@pytest.mark.parametrize(
    "ask",
    [
        verify,
        lambda client: client.verify_keys([]),
        lambda client: client.limit("n", "i", limit=1, duration_ms=1000),
        lambda client: client.multi_limit([]),
        lambda client: client.create_key("api_1"),
        lambda client: client.update_credits("key_1", "increment", 1),
        lambda client: client.call("keys.verifyKey", {}),
    ],
    ids=["verify_key", "verify_keys", "limit", "multi_limit", "create_key", "update_credits", "call"],
)
def test_what_may_have_been_done_is_not_done_again(
    bad: Faulty, run: Run, act: Act, ask: Callable[[Any], Any]
) -> None:
    """So nothing is ever spent, counted or made twice, whatever happens to the answer."""
    bad.always = act
    outcome = run(bad.url, ask, backoff_s=0)[0]
    assert isinstance(outcome, Unanswered | ServerFailed)
    assert len(bad.requests) == 1


@pytest.mark.parametrize("act", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_only_reads_is_tried_again(bad: Faulty, run: Run, act: Act) -> None:
    bad.acts.extend([act, act, EXPLAINED])
    assert run(bad.url, explain, backoff_s=0)[0].code == "VALID"
    assert len(bad.requests) == 3


@pytest.mark.parametrize("act", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_not_for_ever(bad: Faulty, run: Run, act: Act) -> None:
    bad.always = act
    assert isinstance(run(bad.url, explain, backoff_s=0, retries=1)[0], Unanswered | ServerFailed)
    assert len(bad.requests) == 2


@pytest.mark.parametrize("ask", [verify, explain])
@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (problem(500), ServerFailed),
        (problem(429, b"retry-after: 0"), TooManyRequests),
        (answer(200, b"<html>"), Unreadable),
        (answer(200, b'{"data":{}}'), Unreadable),
        (answer(404, b"<html>"), Unreadable),
        (answer(302, b"", b"location: http://127.0.0.1:1/"), Unreadable),
    ],
)
def test_what_trying_again_does_not_help_is_not_tried_again(
    bad: Faulty, run: Run, act: Act, kind: type[LatchworkError], ask: Callable[[Any], Any]
) -> None:
    bad.always = act
    outcome = run(bad.url, ask, backoff_s=0)[0]
    assert type(outcome) is kind
    assert len(bad.requests) == 1


def test_a_failure_of_the_server_tells_what_it_knows(bad: Faulty, run: Run) -> None:
    bad.always = problem(503, b"retry-after: 7")
    failed = run(bad.url, verify)[0]
    assert (failed.status, failed.request_id, failed.retry_after_s) == (503, "req_123456789", 7.0)
    assert str(failed) == "keys.verifyKey: 503 No It is so."


def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for(bad: Faulty, run: Run) -> None:
    bad.acts.append(problem(503, b"retry-after: 7"))
    assert isinstance(run(bad.url, explain)[0], ServerFailed)
    assert len(bad.requests) == 1


def test_where_nobody_listens_nothing_is_sent(run: Run) -> None:
    outcome = run(f"http://127.0.0.1:{free_port()}", verify, backoff_s=0)[0]
    assert type(outcome) is NotSent
    assert isinstance(outcome, Unavailable)


def test_a_host_without_an_address_is_not_sent_to(run: Run) -> None:
    assert type(run("http://latchwork.invalid", verify, backoff_s=0)[0]) is NotSent


SLOW: dict[str, Act] = {
    "says nothing": silence,
    "drips its head": drip(b"HTTP/1.1 200 OK\r\nx-a: "),
    "drips its body": drip(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{"),
}


@pytest.mark.parametrize("ask", [verify, explain])
@pytest.mark.parametrize("act", SLOW.values(), ids=SLOW)
def test_a_call_ends_with_its_deadline_however_slow_the_server(
    bad: Faulty, run: Run, act: Act, ask: Callable[[Any], Any]
) -> None:
    bad.always = act
    outcome = run(bad.url, ask, deadline_s=SHORT_S)[0]
    assert type(outcome) is Unanswered
    assert "not answered in time" in str(outcome)
    assert len(bad.requests) == 1


def test_one_call_may_have_a_deadline_of_its_own(bad: Faulty, run: Run) -> None:
    bad.acts.extend([silence, answer()])
    late, fine = run(bad.url, lambda client: client.within(SHORT_S).verify_key("k"), verify)
    assert type(late) is Unanswered
    assert fine.valid


def test_a_broken_connection_is_not_used_again(bad: Faulty, run: Run) -> None:
    bad.acts.extend([half, answer(), reset, answer()])
    outcomes = run(bad.url, verify, verify, verify, verify)
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "Unanswered",
        "Verification",
        "Unanswered",
        "Verification",
    ]


def test_connections_are_used_again(bad: Faulty, run: Run) -> None:
    outcomes = run(bad.url, *[verify] * 5)
    assert all(outcome.valid for outcome in outcomes)
    assert (len(bad.requests), bad.connections) == (5, 1)


def test_a_request_is_what_the_server_takes_for_an_ordinary_one(bad: Faulty, run: Run) -> None:
    """One length, no chunks, JSON: so that the server may decide it from memory at once."""
    run(bad.url, verify, root_key="secret")
    head, _, body = bad.requests[0].partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v2/keys.verifykey http/1.1"
    assert b"content-length: 11" in lines and body == b'{"key":"k"}'
    assert b"content-type: application/json" in lines
    assert b"authorization: bearer secret" in lines
    assert not [line for line in lines if line.startswith((b"transfer-encoding", b"expect", b"cookie"))]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("repeatable", "error", "again"),
    [
        (False, NotSent("x"), True),
        (True, NotSent("x"), True),
        (False, Unanswered("x"), False),
        (True, Unanswered("x"), True),
        (False, ServerFailed("x", status=503), False),
        (True, ServerFailed("x", status=503), True),
        (True, ServerFailed("x", status=500), False),
        (True, Unreadable("x"), False),
        (True, TooManyRequests("x", status=429), False),
    ],
)
def test_what_may_be_tried_again(repeatable: bool, error: LatchworkError, again: bool) -> None:
    clock = Clock()
    attempts = Attempts(Deadline(10, clock), repeatable=repeatable, retries=5, backoff_s=0.1)
    assert (attempts.pause_after(error) is not None) is again


def test_pauses_grow_to_a_second_and_stay_within_the_deadline() -> None:
    clock = Clock()
    attempts = Attempts(Deadline(10, clock), repeatable=True, retries=9, backoff_s=0.1)
    pauses = [attempts.pause_after(Unanswered("x")) for _ in range(9)]
    ceilings = [0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1, 1]
    assert all(
        pause is not None and ceiling / 2 <= pause <= ceiling
        for pause, ceiling in zip(pauses, ceilings, strict=True)
    )
    assert attempts.pause_after(Unanswered("x")) is None
    late = Attempts(Deadline(10, clock), repeatable=True, retries=9, backoff_s=0.1)
    assert late.pause_after(ServerFailed("x", status=503, retry_after_s=4)) == 4
    clock.now_s += 9.99
    assert late.pause_after(Unanswered("x")) is None


_FORKED = """
import os, sys
from latchwork.client import Latchwork
client = Latchwork(sys.argv[1], "root")
assert client.verify_key("before").valid
child = os.fork()
for _ in range(3):
    assert client.verify_key("after").valid
if child == 0:
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
client.close()
client.close()
assert client.verify_key("later").valid
"""


def test_a_fork_opens_connections_of_its_own(bad: Faulty) -> None:
    subprocess.run([sys.executable, "-c", _FORKED, bad.url], check=True, timeout=60, env=dict(os.environ))
    assert len(bad.requests) == 8
    assert bad.connections == 3


def test_the_client_loads_nothing_of_the_server_and_httpx_only_when_it_calls() -> None:
    script = (
        "import sys, latchwork.client\n"
        "own = {n for n in sys.modules if n.startswith('latchwork.') and not n.startswith('latchwork.client')}\n"
        "heavy = {'httpx', 'httpcore', 'sqlalchemy', 'uvicorn', 'starlette', 'duckdb'} & set(sys.modules)\n"
        "assert not own | heavy, own | heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_client_of_your_own_is_used_and_left_open() -> None:
    import httpx

    seen: list[httpx.Request] = []

    def served(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=b'{"data":{"valid":true,"code":"VALID"}}')

    own = httpx.Client(transport=httpx.MockTransport(served))
    with Latchwork("https://latchwork.test", "root", http=own, backoff_s=0) as client:
        assert client.verify_key("k").valid
    assert not own.is_closed
    assert [str(request.url) for request in seen] == ["https://latchwork.test/v2/keys.verifyKey"] * 2
