"""Which way a request takes, and that every way gives the same answer."""

import json
from collections.abc import Awaitable, Callable

import pytest

from latchwork.surfaces.http.hot import token_digest
from tests.server.running import Running
from tests.server.wire import HOT, hot, request

Started = Callable[..., Awaitable[Running]]

BODIES = [b'"x"', b'{"key":"k_1"}', b'"other one"', b'"' + b"y" * 9_000 + b'"', b'"already"']

NOT_ORDINARY = {
    "chunked": request("POST", HOT, b"Authorization: a", b"Transfer-Encoding: chunked")
    + b'3\r\n"x"\r\n0\r\n\r\n',
    "expecting": hot(b'"x"', b"Expect: nothing"),
    "compressed": hot(b'"x"', b"Content-Encoding: gzip"),
    "without a key": request("POST", HOT, body=b'"x"'),
    "with two keys": hot(b'"x"', b"Authorization: Bearer other"),
    "with two spellings of a key": hot(b'"x"', b"AUTHORIZATION: Bearer other"),
    "of another type": request("POST", HOT, b"Authorization: a", b"Content-Type: text/plain", body=b'"x"'),
    "in another charset": request(
        "POST", HOT, b"Authorization: a", b"Content-Type: application/json; charset=utf-16", body=b'"x"'
    ),
    "of two types": hot(b'"x"', b"Content-Type: application/json"),
    "with a query": hot(path=HOT + "?a=1"),
    "with a test time": hot(b'"x"', b"X-Test-Time: 5"),
    "of another method": request("PUT", HOT, b"Authorization: a", body=b'"x"'),
    "without a body": request("GET", HOT, b"Authorization: a"),
    "too large for it": hot(b'"' + b"x" * 70_000 + b'"'),
    "spelled in escapes": hot(path="/v2/keys%2EverifyKex"),
    "of another path": hot(path="/v2/keys.verifyKey/"),
}


@pytest.mark.parametrize("heads", [0, 4_096])
@pytest.mark.parametrize("body", BODIES)
async def test_the_doors_answer_the_same_bytes_but_for_date_and_request_id(
    started: Started, heads: int, body: bytes
) -> None:
    fast, plain = await started(heads=heads), await started(lane=False)
    async with fast.client() as one, plain.client() as other:
        for _ in range(4):  # the head is met, learnt, recalled
            ours, theirs = await one.ask(hot(body)), await other.ask(hot(body))
            assert ours.steady == theirs.steady
            assert [name for name, _ in ours.headers][:4] == [
                "date",
                "content-type",
                "content-length",
                "x-request-id",
            ]
    assert fast.app.seen == plain.app.seen == []
    assert fast.hot.calls == plain.hot.calls


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_a_later_answer_is_the_same_bytes_through_both_doors(started: Started, heads: int) -> None:
    fast, plain = await started(heads=heads), await started(lane=False)
    async with fast.client() as one, plain.client() as other:
        for _ in range(4):
            answers = []
            for running, client in ((fast, one), (plain, other)):
                await client.send(hot(b'"later"'))
                (await running.hot.later()).finish(b'{"meta":{"requestId":"req_000000009"},"data":"late"}')
                answers.append((await client.answer()).steady)
            assert answers[0] == answers[1]


@pytest.mark.parametrize("heads", [0, 4_096])
@pytest.mark.parametrize("body", [b'"none"', b'"fail"'])
async def test_what_a_hot_handler_does_not_answer_the_application_serves_without_asking_again(
    started: Started, heads: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fast = await started(heads=heads)
    async with fast.client() as client:
        for turn in range(1, 5):
            await client.ask(hot(b'"x" ' + body[:0] + b"y" * len(body)))  # the same head, learnt
            said = json.loads((await client.ask(hot(body + b" " * 4))).body)
            assert (said["asked"], said["body"]) == (True, (body + b" " * 4).decode())
            assert len(fast.hot.calls) == 2 * turn
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == (4 if body == b'"fail"' else 0)


@pytest.mark.parametrize("body", [b'"none"', b'"fail"'])
async def test_under_another_server_the_application_still_serves_what_the_handler_does_not(
    started: Started, body: bytes
) -> None:
    plain = await started(lane=False)
    async with plain.client() as client:
        said = json.loads((await client.ask(hot(body))).body)
    assert (said["body"], said["length"]) == (body.decode(), len(body))
    assert len(plain.hot.calls) == 1


@pytest.mark.parametrize("name", NOT_ORDINARY)
async def test_a_request_that_is_not_ordinary_reaches_the_application_as_it_was_sent(
    started: Started, name: str
) -> None:
    running = await started(another_way=(b"x-test-time",))
    sent = NOT_ORDINARY[name]
    async with running.client() as client:
        for _ in range(3):
            answer = await client.ask(sent)
            assert json.loads(answer.body)["asked"] is False
    assert running.hot.calls == []
    assert len(running.app.seen) == 3


@pytest.mark.parametrize(
    "more", [b"Connection: keep-alive", b"Accept: */*", b"traceparent: 00-1-2-3", b"X-Test-Time: 5"]
)
async def test_headers_that_change_nothing_keep_a_request_hot(server: Running, more: bytes) -> None:
    async with server.client() as client:
        for _ in range(4):
            assert (await client.ask(hot(b'"x"', more))).status == 200
    assert len(server.hot.calls) == 4


async def test_a_content_type_is_not_needed(server: Running) -> None:
    async with server.client() as client:
        await client.ask(request("POST", HOT, b"Authorization: Bearer a", body=b'"x"'))
    assert server.hot.calls == [(token_digest(b"Bearer a"), b'"x"', "127.0.0.1")]


async def test_a_client_that_closes_after_its_request_is_answered_and_closed(server: Running) -> None:
    async with server.client() as client:
        answer = await client.ask(hot(b'"x"', b"Connection: close"))
        assert answer.header("connection") == "close"
        assert await client.is_closed()


@pytest.mark.parametrize("more", [b"Accept: */*", b"Connection: keep-alive"])
async def test_an_old_client_is_served_and_closed(server: Running, more: bytes) -> None:
    old = hot(b'"x"', more).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with server.client() as client:
        assert (await client.ask(old)).header("connection") == "close"
        assert await client.is_closed()


async def test_a_header_that_would_break_out_of_its_line_is_not_sent(
    started: Started, caplog: pytest.LogCaptureFixture
) -> None:
    running = await started()
    async with running.client() as client:
        answer = await client.ask(hot(b'"split"'))
        assert answer.status == 500
        assert b"x-more" not in answer.raw
        assert (await client.ask(hot())).status == 200


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_each_key_is_taken_from_its_own_head(started: Started, heads: int) -> None:
    running = await started(heads=heads)
    keys = [b"aaa", b"bbb", b"aaa", b"ccc"] * 5
    async with running.client() as client:
        for key in keys:
            await client.ask(hot(key=key))
    assert [token for token, _, _ in running.hot.calls] == [token_digest(b"Bearer " + key) for key in keys]


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_behind_a_trusted_proxy_the_forwarded_address_counts(started: Started, heads: int) -> None:
    running = await started(heads=heads, trusted=("127.0.0.0/8",))
    addresses = ["203.0.113.7", "203.0.113.8"] * 4
    async with running.client() as client:
        for address in addresses:
            await client.ask(hot(b'"x"', b"X-Forwarded-For: 1.1.1.1, " + address.encode()))
    assert [ip for _, _, ip in running.hot.calls] == addresses


@pytest.mark.parametrize("heads", [0, 4_096])
async def test_without_trusted_proxies_the_header_is_ignored(started: Started, heads: int) -> None:
    running = await started(heads=heads)
    async with running.client() as client:
        for _ in range(4):
            await client.ask(hot(b'"x"', b"X-Forwarded-For: 203.0.113.7"))
    assert {ip for _, _, ip in running.hot.calls} == {"127.0.0.1"}
