"""What a failure looks like, under which content type."""

import asyncio
import logging
from collections.abc import Iterator
from inspect import signature

import httpx
import pytest

from latchwork.surfaces.rpc.admission import Allowance
from latchwork.surfaces.rpc.application import RpcApplication
from latchwork.surfaces.rpc.envelope import accepts_problem
from tests.surfaces.rpc.plumbing.things import TOKEN, World

PROBLEM, JSON = "application/problem+json", "application/json"


def _accepting(accept: str) -> dict[str, str]:
    return {"accept": accept}


async def test_a_fault_has_title_detail_status_and_type(world: World) -> None:
    error = (await world.post("rename", {"thingId": "none"})).json()["error"]
    assert error.pop("type").endswith("/unkey/data/thing_not_found")
    assert error == {"title": "Not Found", "detail": "This thing does not exist.", "status": 404}


async def test_a_400_of_a_handler_has_an_empty_list_of_errors(world: World) -> None:
    error = (await world.post("fail", {"kind": "refuse"})).json()["error"]
    assert (error["status"], error["detail"], error["errors"]) == (400, "`kind` is odd.", [])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", JSON),
        ("text/html", JSON),
        ("", JSON),
        ("application/problem+json;q=0, application/json", JSON),
        ("application/problem+json; q=0.0", JSON),
        ("application/json, application/problem+json;q=0.5", PROBLEM),
        ("Application/Problem+JSON", PROBLEM),
        ("application/*", PROBLEM),
        ("*/*;q=0.1", PROBLEM),
    ],
)
async def test_errors_are_problems_for_those_who_list_them(world: World, accept: str, expected: str) -> None:
    answer = await world.post("fail", {"kind": "refuse"}, headers=_accepting(accept))
    assert answer.headers["content-type"] == expected


def test_no_accept_header_lists_nothing() -> None:
    assert not accepts_problem(b"")


async def test_violations_of_the_schema_are_always_json(world: World) -> None:
    answer = await world.post("make", {}, headers=_accepting("*/*"))
    assert answer.headers["content-type"] == JSON


async def test_a_500_is_always_json(world: World) -> None:
    answer = await world.post("fail", {"kind": "boom"}, headers=_accepting("*/*"))
    assert (answer.status_code, answer.headers["content-type"]) == (500, JSON)


async def test_a_429_is_always_a_problem(world: World) -> None:
    world.allowance = Allowance(limit=1, remaining=0, reset_s=9, admitted=False)
    answer = await world.post("make", {"name": "lamp"}, headers=_accepting(JSON))
    assert answer.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(("thing", "status"), [("none", 404), ("broken", 500), (3, 400)])
async def test_a_procedure_may_type_all_its_errors_as_problems(
    world: World, thing: object, status: int
) -> None:
    answer = await world.post("forget", {"thingId": thing}, headers=_accepting(JSON))
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


async def test_a_procedure_may_type_all_its_errors_as_json(world: World) -> None:
    missing = await world.post("rename", {"thingId": "none"}, headers=_accepting("*/*"))
    world.allowance = Allowance(limit=1, remaining=0, reset_s=9, admitted=False)
    limited = await world.post("rename", {"thingId": "none"}, headers=_accepting("*/*"))

    assert (missing.status_code, missing.headers["content-type"]) == (404, JSON)
    assert (limited.status_code, limited.headers["content-type"]) == (429, JSON)


async def test_a_success_is_json_whatever_is_accepted(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers=_accepting(PROBLEM))
    assert answer.headers["content-type"] == JSON


@pytest.mark.parametrize("path", ["/v2/things.unmake", "/v2/things.make/", "/v2", "/v2/THINGS.make", "/"])
async def test_an_unknown_path_is_404_in_the_envelope(world: World, path: str) -> None:
    answer = await world.client.post(path, json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"].endswith("/user/not_found/route_not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_a_wrong_method_is_405_and_names_the_right_ones(world: World, method: str) -> None:
    answer = await world.client.request(method, "/v2/things.make", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_method_cannot_be_overridden_by_a_header(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers={"x-http-method-override": "DELETE"})
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["boom", "slow part", "unencodable"])
async def test_a_defect_is_one_fixed_answer_and_one_line_in_the_log(
    world: World, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await world.post("fail", {"kind": kind})
    error = answer.json()["error"]

    assert answer.status_code == 500
    assert error["type"].endswith("/unkey/application/unexpected_error")
    assert error["title"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert len(caplog.records) == 1
    assert answer.json()["meta"]["requestId"] in caplog.text
    assert caplog.records[0].exc_info is not None


async def test_all_defects_read_alike(world: World) -> None:
    errors = [(await world.post("fail", {"kind": kind})).json()["error"] for kind in ("boom", "slow part")]
    assert errors[0] == errors[1]


async def test_what_is_private_reaches_only_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    missing = await world.post("rename", {"thingId": "none"})
    down = await world.post("fail", {"kind": "unavailable"})

    assert "boards" not in missing.text
    assert "replica" not in down.text
    assert [
        (r.levelno, r.getMessage().partition(" (")[0]) for r in caplog.records if "httpx" not in r.name
    ] == [
        (logging.INFO, "unkey/data/thing_not_found: the shelf has 3 boards"),
        (logging.WARNING, "unkey/application/service_unavailable: replica 3 is down"),
    ]


async def test_a_request_that_takes_too_long_is_given_up() -> None:
    world = World(timeout_s=0)
    answer = await world.post("fail", {"kind": "hang"})
    error = answer.json()["error"]

    assert (answer.status_code, error["title"], error["errors"]) == (408, "Request Timeout", [])
    assert error["type"].endswith("/user/bad_request/request_timeout")
    assert answer.headers["connection"] == "close"


def test_a_request_has_a_minute() -> None:
    assert signature(RpcApplication).parameters["timeout_s"].default == 60


async def test_a_client_that_hangs_up_is_recorded_and_not_answered(world: World) -> None:
    sent: list[object] = []
    messages: Iterator[dict[str, object]] = iter(
        [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v2/things.make", "headers": []}
    await world.app(scope, receive, send)
    assert (sent, world.records) == ([], [("/v2/things.make", 499)])


async def test_cancelling_a_request_cancels_its_handler(world: World) -> None:
    asking = asyncio.ensure_future(world.post("fail", {"kind": "hang"}))
    while "meter" not in world.order:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.records == []


async def test_a_secret_in_the_address_is_refused_with_a_hint(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, params={"page": "2", "api_key": TOKEN})
    error = answer.json()["error"]

    assert answer.status_code == 400
    assert error["errors"][0]["location"] == "/query/api_key"
    assert "Authorization header" in error["errors"][0]["fix"]
    assert TOKEN not in answer.text


async def test_an_address_may_have_other_parameters(world: World) -> None:
    answer: httpx.Response = await world.post("make", {"name": "lamp"}, params={"page": "2"})
    assert answer.status_code == 200
