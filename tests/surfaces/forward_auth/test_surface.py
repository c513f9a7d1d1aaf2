"""The surface around the verdict: its token, its settings, its failures and its document."""

import asyncio
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from latchwork.domains.verification import Claim, Verdict
from latchwork.kernel.clock import ManualClock
from latchwork.kernel.faults import Unavailable
from latchwork.settings import Secret
from latchwork.surfaces.forward_auth import Credentials, ForwardAuth
from latchwork.surfaces.http.bulkhead import Ceiling
from tests.surfaces.forward_auth.conftest import Make, Proxy, front_of, with_settings
from tests.surfaces.rpc.conftest import START_MS, House

TOKEN = "a-token-of-the-proxy"


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [("X-Forward-Auth-Token", "")],
        [("X-Forward-Auth-Token", TOKEN + "x")],
        [("X-Forward-Auth-Token", TOKEN), ("X-Forward-Auth-Token", TOKEN)],
        [("Authorization", f"Bearer {TOKEN}")],
    ],
)
async def test_without_the_token_nothing_is_answered(
    house: House, api_id: str, make: Make, sent: list[tuple[str, str]]
) -> None:
    guarded = with_settings(house, api_id, token=Secret(TOKEN))
    key = (await make())["key"]
    for answer in (await guarded.ask(headers=[*sent, ("X-API-Key", key)]), await guarded.ask(nonsense="1")):
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("/user/forward_auth/wrong_token")
        assert TOKEN not in answer.text and TOKEN not in str(answer.headers)


async def test_with_the_token_a_proxy_is_answered(house: House, api_id: str, make: Make) -> None:
    guarded = with_settings(house, api_id, token=Secret(TOKEN))
    key = (await make())["key"]
    assert (await guarded.ask(key, headers={"X-Forward-Auth-Token": TOKEN})).status_code == 200
    assert (await guarded.ask("unknown", headers={"X-Forward-Auth-Token": TOKEN})).status_code == 401


async def test_a_token_that_nobody_asks_for_does_no_harm(proxy: Proxy, make: Make) -> None:
    key = (await make())["key"]
    assert (await proxy.ask(key, headers={"X-Forward-Auth-Token": "any"})).status_code == 200


async def test_keys_are_looked_for_where_the_settings_say(house: House, api_id: str, make: Make) -> None:
    keyed = with_settings(house, api_id, key_headers=("X-Service-Key", "Api-Key"))
    key = (await make())["key"]
    assert (await keyed.ask(headers={"api-key": key})).status_code == 200
    assert (await keyed.ask(headers={"x-service-key": key, "api-key": "other"})).status_code == 200
    assert (await keyed.ask(headers={"x-service-key": "other", "api-key": key})).status_code == 401
    missing = await keyed.ask(key)
    assert missing.status_code == 401
    assert missing.json()["detail"] == "Send your API key as 'X-Service-Key: KEY' or 'Api-Key: KEY'."


async def test_the_client_is_who_a_trusted_proxy_says(house: House, api_id: str, make: Make) -> None:
    key = (await make(ipWhitelist=["203.0.113.7"]))["key"]
    trusting = Proxy(front_of(house, trusted_proxies=("127.0.0.0/8",)), api_id)
    doubting = Proxy(front_of(house), api_id)
    said = {"X-Forwarded-For": "203.0.113.7"}
    assert (await trusting.ask(key, headers=said)).status_code == 200
    assert (await trusting.ask(key, headers={"X-Forwarded-For": "203.0.113.8"})).status_code == 403
    assert (await doubting.ask(key, headers=said)).status_code == 403


async def test_other_paths_below_are_not_served(proxy: Proxy, make: Make) -> None:
    """A proxy that appends the client's path to ours must not have it taken for the question."""
    key = (await make())["key"]
    for path in ("/forward-auth/", "/forward-auth/orders", "/forward-auth/openapi.json/"):
        answer = await proxy.http.get(
            path, params={"api": proxy.api_id}, headers={"authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


class StubbornKeys:
    """Stands for a gatekeeper whose database does what the test says."""

    def __init__(self, failure: Exception | None) -> None:
        self._failure = failure

    def attempt(self, api_id: str, claim: Claim, now_ms: int) -> Verdict | None:
        return None

    async def verify(self, api_id: str, claim: Claim, now_ms: int) -> Verdict:
        if self._failure is not None:
            raise self._failure
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def answer_over(failure: Exception | None) -> httpx.Response:
    keys: Any = StubbornKeys(failure)
    clock = ManualClock(START_MS)
    surface = ForwardAuth(
        keys, clock, Credentials(None, ["X-API-Key"]), keys, decisions=Ceiling(1), timeout_s=0
    )
    transport = httpx.ASGITransport(surface)
    async with httpx.AsyncClient(transport=transport, base_url="http://latchwork") as http:
        return await http.get("/forward-auth?api=api_1", headers={"x-api-key": "k"})


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (None, 503),
        (Unavailable(private="postgresql://secret"), 503),
        (Unavailable(), 503),
        (RuntimeError("a secret"), 500),
    ],
)
async def test_who_cannot_be_decided_about_does_not_pass(failure: Exception | None, status: int) -> None:
    answer = await answer_over(failure)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert "secret" not in answer.text + str(answer.headers)


async def test_nothing_but_http_is_spoken() -> None:
    keys: Any = StubbornKeys(None)
    surface = ForwardAuth(keys, ManualClock(0), Credentials(None, ["X"]), keys, decisions=Ceiling(1))

    async def never(*_: Any) -> Any:
        raise AssertionError("nothing may be received or sent")

    await surface({"type": "websocket", "path": "/forward-auth"}, never, never)


async def test_the_document_is_valid_and_tells_every_answer(proxy: Proxy) -> None:
    answer = await proxy.http.get("/forward-auth/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    OpenAPIV31SpecValidator(document).validate()
    operations = document["paths"]["/forward-auth"]
    assert set(operations) == {"get", "head", "post", "put", "patch", "delete", "options"}
    assert set(operations["get"]["responses"]) == {"200", "400", "401", "403", "412", "429", "500", "503"}
    names = [parameter["name"] for parameter in operations["get"]["parameters"]]
    assert names == ["api", "permissions", "cost", "limit", "tag", "migration", "uri"]


async def test_the_document_is_shown_as_the_settings_say(house: House) -> None:
    assert (await house.http.post("/forward-auth/openapi.json")).status_code == 405
    assert (await front_of(house, docs="off").get("/forward-auth/openapi.json")).status_code == 404
    page = await house.http.get("/docs/forward-auth")
    assert page.status_code == 200 and "Ask whether a request may pass" in page.text
