"""The guards of every framework, before a real server: who gets in, and what the others are told."""

from typing import Any

import httpx
import pytest

from latchwork.client import AsyncLatchwork, KeyLimit, Latchwork
from latchwork.client.guards import Guard
from tests.client.conftest import ROOT_KEY, Real
from tests.client.faulty import Faulty, hang_up, problem
from tests.client.sites import SITES, Make
from tests.engines.programs import free_port


@pytest.fixture(params=SITES, ids=lambda site: site.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    site: Make = request.param
    return site


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def refused(http: httpx.AsyncClient, status: int, path: str = "/", **asked: Any) -> httpx.Response:
    answer = await http.get(path, **asked)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    return answer


async def test_a_good_key_gets_in_and_costs_once(real: Real, make: Make) -> None:
    key = real.key(permissions=["read"], remaining=5)
    async with make(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        for headers, left in ((bearer(key), 3), ({"X-API-Key": key}, 1)):
            answer = await http.get("/", headers=headers)
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert (told["credits"], told["assumed"]) == (left, False)
            assert told["keyId"].startswith("key_")
        answer = await refused(http, 429, headers=bearer(key))
    assert "retry-after" not in answer.headers


async def test_nobody_gets_in_without_a_good_key(real: Real, make: Make) -> None:
    async with make(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}, {"x-api-key": " "}):
            answer = await refused(http, 401, headers=headers)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "'Authorization: Bearer KEY' or 'X-API-Key: KEY'" in answer.json()["detail"]
        for key in ("unknown", "k" * 600):
            answer = await refused(http, 401, headers=bearer(key))
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_key_without_the_permission_is_forbidden(real: Real, make: Make) -> None:
    key = real.key(permissions=["write"])
    async with make(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        answer = await refused(http, 403, headers=bearer(key))
    assert answer.json()["detail"] == "The key lacks permissions: read"


async def test_a_used_up_limit_says_when_to_come_back(real: Real, make: Make) -> None:
    key = real.key(ratelimits=[KeyLimit(name="visits", limit=1, duration_ms=3_600_000)])
    async with make(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        assert (await http.get("/limited", headers=bearer(key))).status_code == 200
        answer = await refused(http, 429, "/limited", headers=bearer(key))
    assert 1 <= int(answer.headers["retry-after"]) <= 7_200
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("1", "0")
    assert 1 <= int(answer.headers["ratelimit-reset"]) <= 3_600


async def test_the_address_that_counts_is_the_users(real: Real, make: Make) -> None:
    limits = [KeyLimit(name="visits", limit=9, duration_ms=60_000)]
    theirs = real.key(ip_whitelist=["203.0.113.7"], ratelimits=limits)
    others = real.key(ip_whitelist=["127.0.0.1"], ratelimits=limits)
    async with make(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        assert (await http.get("/limited", headers=bearer(theirs))).status_code == 200
        await refused(http, 403, "/limited", headers=bearer(others))


async def test_without_a_verdict_nobody_gets_in(bad: Faulty, make: Make) -> None:
    bad.acts.extend([hang_up, problem(500), problem(429)])
    async with make(bad.url, ROOT_KEY, when_unavailable="refuse") as http:
        for _ in range(3):
            answer = await refused(http, 503, headers=bearer("k"))
            assert answer.headers["retry-after"] == "1"
    async with make(f"http://127.0.0.1:{free_port()}", ROOT_KEY, when_unavailable="refuse") as http:
        await refused(http, 503, headers=bearer("k"))
    assert len(bad.requests) == 3


async def test_or_everybody_with_a_key_where_that_was_chosen(
    bad: Faulty, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bad.acts.extend([hang_up, problem(503), problem(429)])
    async with make(bad.url, ROOT_KEY, when_unavailable="allow") as http:
        for _ in range(3):
            answer = await http.get("/", headers=bearer("k_secret"))
            assert answer.json() == {"keyId": "", "credits": None, "assumed": True}
        await refused(http, 401)
    assert caplog.text.count("A request passes unverified") == 3
    assert "k_secret" not in caplog.text


async def test_a_root_key_that_is_wrong_is_a_mistake_of_the_site_and_opens_nothing(
    real: Real, make: Make
) -> None:
    async with make(real.url, "wrong", when_unavailable="allow") as http:
        assert (await http.get("/", headers=bearer("k"))).status_code == 500


async def test_keys_are_looked_for_where_the_site_says(real: Real, make: Make) -> None:
    key = real.key(permissions=["read"])
    async with make(real.url, ROOT_KEY, when_unavailable="refuse", key_headers=["X-Service-Key"]) as http:
        assert (await http.get("/", headers={"x-service-key": key})).status_code == 200
        await refused(http, 401, headers=bearer(key))


@pytest.mark.parametrize("choice", ["", "raise", None])
def test_what_becomes_of_requests_without_a_verdict_must_be_chosen(choice: Any, make: Make) -> None:
    with pytest.raises(ValueError, match="when_unavailable is 'refuse' or 'allow'"):
        make("http://a", "k", when_unavailable=choice)
    with pytest.raises(TypeError):
        make("http://a", "k")


async def test_a_code_that_a_newer_server_invents_lets_nobody_in(bad: Faulty, make: Make) -> None:
    from tests.client.faulty import answer

    bad.always = answer(200, b'{"data":{"valid":false,"code":"MOONSTRUCK","new":[1]}}')
    async with make(bad.url, ROOT_KEY, when_unavailable="allow") as http:
        assert (await refused(http, 403, headers=bearer("k"))).json()[
            "detail"
        ] == "The key may not be used so."


async def test_a_header_that_comes_twice_is_no_key(real: Real) -> None:
    from tests.client.sites import starlette

    key = real.key(permissions=["read"])
    async with starlette(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        answer = await refused(http, 401, headers=[("x-api-key", key), ("x-api-key", key)])
    assert answer.json()["detail"] == "The header X-API-Key came more than once."
    assert answer.headers["content-type"] == "application/problem+json"


class Inner:
    """An application that remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((scope["type"], scope.get("state", {}).get("latchwork")))


def scope(kind: str, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": kind, "path": "/", "headers": list(headers), "client": None, **more}


async def outcome(middleware: Any, asked: dict[str, Any]) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await middleware(asked, receive, send)
    return sent


async def test_websockets_need_a_key_too(real: Real) -> None:
    from latchwork.client.asgi import KeyMiddleware

    inner, client = Inner(), real.awaited()
    middleware = KeyMiddleware(inner, client, when_unavailable="refuse", skip=["/open"])
    key = (b"x-api-key", real.key().encode())
    assert await outcome(middleware, scope("websocket")) == [{"type": "websocket.close", "code": 1008}]
    told = await outcome(middleware, scope("websocket", extensions={"websocket.http.response": {}}))
    assert [message["type"] for message in told] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert told[0]["status"] == 401
    assert inner.seen == []
    assert await outcome(middleware, scope("websocket", key)) == []
    assert await outcome(middleware, {"type": "lifespan"}) == []
    assert await outcome(middleware, scope("http") | {"path": "/open"}) == []
    assert [kind for kind, _ in inner.seen] == ["websocket", "lifespan", "http"]
    assert inner.seen[0][1].valid and inner.seen[1][1] is None
    await client.aclose()


async def test_the_answer_to_a_head_request_has_no_body(real: Real) -> None:
    from latchwork.client.asgi import KeyMiddleware

    middleware = KeyMiddleware(Inner(), real.awaited(), when_unavailable="refuse")
    start, body = await outcome(middleware, scope("http", method="HEAD"))
    assert start["status"] == 401
    assert body["body"] == b""


async def test_fastapi_documents_where_keys_are_looked_for(real: Real) -> None:
    from tests.client.sites import fastapi

    async with fastapi(real.url, ROOT_KEY, when_unavailable="refuse") as http:
        document = (await http.get("/openapi.json")).json()
    assert document["paths"]["/"]["get"]["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    assert document["components"]["securitySchemes"]["APIKeyHeader"]["name"] == "X-API-Key"


def test_a_view_and_its_client_must_be_of_one_kind() -> None:
    from latchwork.client.django import KeyGuard

    def view(request: Any) -> None: ...

    async def awaited(request: Any) -> None: ...

    blocking = KeyGuard(Latchwork("http://a", "k"), when_unavailable="refuse")
    waiting = KeyGuard(AsyncLatchwork("http://a", "k"), when_unavailable="refuse")
    with pytest.raises(TypeError, match="needs an AsyncLatchwork"):
        blocking.required()(awaited)
    with pytest.raises(TypeError, match="needs a Latchwork"):
        waiting.required()(view)


def test_a_guard_says_in_words_where_keys_go() -> None:
    guard = Guard(when_unavailable="refuse", key_headers=["Api-Key"])
    assert guard._in_words() == "'Api-Key: KEY'"
