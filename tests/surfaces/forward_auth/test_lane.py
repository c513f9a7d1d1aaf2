"""Forward authentication inside the fast lane: the same answers, byte for byte, as through the application."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from latchwork.domains.credits import Commit
from latchwork.kernel.faults import PreconditionFailed, Unavailable
from latchwork.server.doors import Doors, doors_of
from latchwork.server.run import GracefulServer, bind
from latchwork.surfaces.forward_auth.application import refusal
from latchwork.surfaces.http.bulkhead import Ceiling
from latchwork.surfaces.http.later import AfterCommit
from tests.server.wire import PATIENCE_S, Client, Response, request
from tests.surfaces.forward_auth.conftest import Make
from tests.surfaces.rpc.conftest import House


@asynccontextmanager
async def served(doors: Doors, http: Any) -> AsyncIterator[Client]:
    """A connection to a server of its own."""
    ready = asyncio.Event()
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    server = GracefulServer(doors.application, http=http, on_ready=ready.set)
    task = asyncio.create_task(server._serve([sock]))
    await asyncio.wait_for(ready.wait(), PATIENCE_S)
    try:
        async with Client("127.0.0.1", port) as client:
            yield client
    finally:
        server.stop()
        await task


@pytest.fixture
async def both(house: House) -> AsyncIterator[tuple[Client, Client, Doors]]:
    """A connection to our protocol, one to uvicorn's own, and what serves both."""
    doors = doors_of(house.platform)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(served(doors, doors.protocol))
        theirs = await stack.enter_async_context(served(doors, HttpToolsProtocol))
        yield ours, theirs, doors


def steady(answer: Response) -> bytes:
    """The bytes without what differs from key to key."""
    return re.sub(rb"key_[0-9A-Za-z]{22}", b"key_*", answer.steady)


def ask(query: str, *lines: bytes, method: str = "GET") -> bytes:
    return request(method, f"/forward-auth?{query}", *lines)


async def test_every_way_answers_the_same_bytes(
    both: tuple[Client, Client, Doors], api_id: str, make: Make
) -> None:
    """Four times each: the head is met, learnt, recalled from all connections' memory, and from this one's."""
    ours, theirs, doors = both
    limits = [{"name": "requests", "limit": 3, "duration": 60_000, "autoApply": True}]
    kinds: dict[str, Callable[[], Any]] = {
        "plain": lambda: make(),
        "metered": lambda: make(credits={"remaining": 12}),
        "limited": lambda: make(ratelimits=limits),
        "disabled": lambda: make(enabled=False),
    }
    asked = [
        f"api={api_id}",
        f"api={api_id}&cost=5",
        f"api={api_id}&permissions=a",
        f"api={api_id}&limit=unheard-of",
        f"api={api_id}&nonsense=1",
        "api=api_other",
    ]
    for kind in kinds.values():
        one, other = await kind(), await kind()
        for query in asked:
            for method in ("GET", "DELETE"):
                for _ in range(4):
                    mine = await ours.ask(ask(query, b"X-API-Key: " + one["key"].encode(), method=method))
                    his = await theirs.ask(ask(query, b"X-API-Key: " + other["key"].encode(), method=method))
                    assert steady(mine) == steady(his)
    for lines in ((), (b"Authorization: Bearer unknown",), (b"X-API-Key: a", b"X-API-Key: b")):
        for _ in range(3):
            assert steady(await ours.ask(ask(f"api={api_id}", *lines))) == steady(
                await theirs.ask(ask(f"api={api_id}", *lines))
            )
    assert len(doors.protocol.lane.heads) > 1


async def test_a_head_asks_without_a_body_only(
    both: tuple[Client, Client, Doors], api_id: str, make: Make
) -> None:
    ours, theirs, _ = both
    key = b"X-API-Key: " + (await make())["key"].encode()
    whole = request("POST", f"/forward-auth?api={api_id}", key, body=b"x" * 5_000)
    assert steady(await ours.ask(whole)) == steady(await theirs.ask(whole))
    head = await ours.ask(ask(f"api={api_id}", key, method="OPTIONS"))
    assert head.status == 200 and head.header("x-latchwork-key-id")


async def test_a_change_holds_for_a_head_that_is_known(
    both: tuple[Client, Client, Doors], house: House, acme: Any, api_id: str, make: Make
) -> None:
    ours, _, _ = both
    made = await make()
    question = ask(f"api={api_id}", b"X-API-Key: " + made["key"].encode())
    assert [(await ours.ask(question)).status for _ in range(4)] == [200] * 4
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": False})
    assert [(await ours.ask(question)).status for _ in range(2)] == [401] * 2
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "enabled": True})
    assert (await ours.ask(question)).status == 200
    await acme.data("keys.deleteKey", {"keyId": made["keyId"]})
    assert (await ours.ask(question)).status == 401


@pytest.mark.parametrize("error", [Unavailable(), RuntimeError("secret"), PreconditionFailed("no")])
def test_a_spend_that_fails_lets_nobody_pass(error: Exception) -> None:
    commit = Commit()
    answers: list[Any] = []
    waiting = Ceiling(1)
    refused = partial(refusal, "https://x.test/")
    AfterCommit(commit, b"let in", "req_123456789", refused, waiting).then(answers.append)
    assert (answers, waiting.is_reached) == ([], True)
    commit.settle(error)
    assert (len(answers), waiting.is_reached) == (1, False)
    assert answers[0].status == (412 if isinstance(error, PreconditionFailed) else 503)
    assert b"secret" not in answers[0].body
    assert b'"type":"https://x.test/unkey/application/' in answers[0].body
