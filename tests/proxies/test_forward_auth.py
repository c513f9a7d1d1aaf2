"""Forward authentication with real proxies, which run the configurations that people are told to copy."""

from typing import Any

import httpx
import pytest

from latchwork.surfaces.forward_auth import document
from tests.proxies.conftest import CLIENT, CutOff, Latchwork
from tests.proxies.programs import EXAMPLES
from tests.proxies.upstream import Upstream


def as_client(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def told(answer: httpx.Response) -> dict[str, str]:
    """The identity headers that reached the upstream, each once."""
    assert answer.status_code == 200, answer.text
    found = [
        (name, value)
        for name, value in answer.json()["headers"]
        if name.replace("_", "-").startswith("x-latchwork")
    ]
    assert len(found) == len(dict(found)), found
    return {name: value for name, value in found if value}


def refused(answer: httpx.Response, status: int, behind: Upstream, reached: int) -> dict[str, Any]:
    """The problem document of a refusal that kept the request from the upstream."""
    assert answer.status_code == status, answer.text
    assert behind.reached == reached
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "x-latchwork-problem" not in answer.headers
    read: dict[str, Any] = answer.json()
    assert read["status"] == status
    return read


def test_the_upstream_learns_whose_request_it_is(front: httpx.Client, latchwork: Latchwork) -> None:
    made = latchwork.key(
        name="my laptop", externalId="user_7", permissions=["b", "a"], credits={"remaining": 5}
    )
    seen = told(front.get("/orders", headers=as_client(made["key"])))
    assert seen.pop("x-latchwork-identity-id").startswith("id_")
    assert seen == {
        "x-latchwork-key-id": made["keyId"],
        "x-latchwork-key-name": "my%20laptop",
        "x-latchwork-external-id": "user_7",
        "x-latchwork-permissions": "a,b",
        "x-latchwork-remaining": "4",
    }


def test_the_request_itself_arrives_as_it_was_sent(front: httpx.Client, latchwork: Latchwork) -> None:
    key = latchwork.key(credits={"remaining": 5})["key"]
    answer = front.post("/orders?api=api_other&cost=0&uri=x", headers=as_client(key), content=b"x" * 300_000)
    said = answer.json()
    assert (said["method"], said["target"]) == ("POST", "/orders?api=api_other&cost=0&uri=x")
    assert said["body_bytes"] == 300_000
    assert told(answer)["x-latchwork-remaining"] == "4"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_request_costs_once(front: httpx.Client, latchwork: Latchwork, method: str) -> None:
    key = latchwork.key(credits={"remaining": 10})["key"]
    remaining = [
        told(front.request(method, "/x", headers=as_client(key)))["x-latchwork-remaining"] for _ in range(4)
    ]
    assert remaining == ["9", "8", "7", "6"]


def test_the_key_may_come_in_either_header(front: httpx.Client, latchwork: Latchwork) -> None:
    made = latchwork.key()
    assert told(front.get("/", headers={"X-API-Key": made["key"]}))["x-latchwork-key-id"] == made["keyId"]


@pytest.mark.parametrize("headers", [{}, as_client("unknown"), {"x-api-key": "unknown"}])
def test_a_request_without_a_good_key_is_refused(
    front: httpx.Client, behind: Upstream, headers: dict[str, str]
) -> None:
    reached = behind.reached
    answer = front.get("/orders", headers=headers)
    assert refused(answer, 401, behind, reached)["detail"]
    assert answer.headers.get_list("www-authenticate") == [
        'Bearer error="invalid_token"' if headers else "Bearer"
    ]


def test_the_address_that_counts_is_the_clients(
    front: httpx.Client, latchwork: Latchwork, behind: Upstream
) -> None:
    here = latchwork.key(ipWhitelist=[CLIENT])["key"]
    there = latchwork.key(ipWhitelist=["203.0.113.7"])["key"]
    told(front.get("/", headers=as_client(here)))
    reached = behind.reached
    answer = front.get("/", headers=as_client(there) | {"x-forwarded-for": "203.0.113.7"})
    assert refused(answer, 403, behind, reached)["code"] == "FORBIDDEN"


def test_a_used_up_limit_says_when_to_come_back(
    front: httpx.Client, latchwork: Latchwork, behind: Upstream
) -> None:
    limits = [{"name": "requests", "limit": 1, "duration": 3_600_000, "autoApply": True}]
    key = latchwork.key(ratelimits=limits)["key"]
    told(front.get("/", headers=as_client(key)))
    reached = behind.reached
    answer = front.get("/", headers=as_client(key))
    assert refused(answer, 429, behind, reached)["code"] == "RATE_LIMITED"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["ratelimit-limit"] == "1"
    assert answer.headers["ratelimit-remaining"] == "0"


@pytest.mark.parametrize(
    "name",
    [
        "X-Latchwork-Key-Id",
        "x-latchwork-key-id",
        "X_LATCHWORK_KEY_ID",
        "X-Latchwork_Key-Id",
        "X-Latchwork-External-Id",
        "X-Latchwork-Permissions",
        "X-Latchwork-Roles",
        "X-Latchwork-Remaining",
        "X-Latchwork-Identity-Id",
        "X-Latchwork-Key-Name",
    ],
)
def test_what_a_client_says_about_itself_is_not_believed(
    front: httpx.Client, latchwork: Latchwork, name: str
) -> None:
    made = latchwork.key()
    headers = [*as_client(made["key"]).items(), (name, "forged"), (name, "twice")]
    assert told(front.get("/", headers=headers)) == {"x-latchwork-key-id": made["keyId"]}


def test_nothing_passes_when_latchwork_does_not_answer(cut_off: CutOff, behind: Upstream) -> None:
    """And nobody asks again, because the first question may have been counted."""
    reached = behind.reached
    answer = cut_off.client.get("/orders", headers=as_client("any"))
    assert answer.status_code in (502, 503, 504)
    assert behind.reached == reached
    assert cut_off.silent.asked <= 1


@pytest.mark.parametrize("file", ["nginx/latchwork.conf", "caddy/Caddyfile", "haproxy/latchwork.lua"])
def test_an_example_that_lists_our_headers_lists_all_of_them(file: str) -> None:
    answered = document()["paths"]["/forward-auth"]["get"]["responses"]["200"]["headers"]
    text = (EXAMPLES / file).read_text().lower()
    ours = [name.lower() for name in answered if name.startswith("X-Latchwork-")]
    assert len(ours) == 7
    assert [name for name in ours if name not in text] == []
