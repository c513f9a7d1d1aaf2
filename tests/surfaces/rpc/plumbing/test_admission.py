"""Who is let in, and in which order a request is looked at."""

import logging

import pytest

from latchwork.surfaces.http.client_ip import networks
from latchwork.surfaces.rpc.admission import Allowance, unmetered
from tests.surfaces.rpc.plumbing.things import World


def _tail(answer_type: str) -> str:
    return "/".join(answer_type.rsplit("/", 3)[1:])


async def _refused(world: World, authorization: str | list[str] | None) -> tuple[int, str, str]:
    values = [authorization] if isinstance(authorization, str) else authorization or []
    headers = [("authorization", value) for value in values]
    answer = await world.client.post("/v2/things.make", json={"name": "lamp"}, headers=headers)
    error = answer.json()["error"]
    return answer.status_code, _tail(error["type"]), error["detail"]


async def test_no_authorization_header_is_a_violation_of_the_schema(world: World) -> None:
    answer = await world.client.post("/v2/things.make", json={"name": "lamp"})
    error = answer.json()["error"]

    assert (answer.status_code, error["detail"]) == (400, "Authorization header for 'bearer' scheme")
    assert error["type"].endswith("/unkey/application/invalid_input")
    assert len(error["errors"]) == 1
    assert "Bearer ROOT_KEY" in error["errors"][0]["fix"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("header", ["root_secret", "bearer root_secret", "Basic abc", "Bearerroot_secret"])
async def test_a_header_without_the_prefix_is_malformed(world: World, header: str) -> None:
    assert await _refused(world, header) == (
        400,
        "unkey/authentication/malformed",
        "You must provide a valid root key in the Authorization header in the format 'Bearer ROOT_KEY'. "
        "Your authorization header is missing the 'Bearer ' prefix.",
    )


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer    "])
async def test_an_empty_token_is_malformed(world: World, header: str) -> None:
    status, kind, detail = await _refused(world, header)
    assert (status, kind) == (400, "unkey/authentication/malformed")
    assert "missing the 'Bearer ' prefix" not in detail


async def test_two_authorization_headers_are_malformed(world: World) -> None:
    status, kind, _ = await _refused(world, ["Bearer root_secret", "Bearer root_secret"])
    assert (status, kind) == (400, "unkey/authentication/malformed")


async def test_an_unknown_token_is_401(world: World) -> None:
    assert await _refused(world, "Bearer nobody") == (
        401,
        "unkey/authentication/key_not_found",
        "The provided root key is invalid. We could not find the requested key.",
    )


async def test_a_401_names_the_scheme(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers={"authorization": "Bearer nobody"})
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_spaces_around_the_token_do_not_matter(world: World) -> None:
    answer = await world.post("make", {"name": "lamp"}, headers={"authorization": "  Bearer   root_secret  "})
    assert answer.status_code == 200


async def test_a_token_may_be_any_bytes(world: World) -> None:
    answer = await world.client.post(
        "/v2/things.make", json={"name": "lamp"}, headers=[(b"authorization", b"Bearer \xff\xfe'; --")]
    )
    assert answer.status_code == 401


async def test_a_bad_body_with_a_bad_token_is_400_and_nobody_is_looked_up(world: World) -> None:
    answer = await world.post("make", {"name": ""}, headers={"authorization": "Bearer nobody"})
    assert answer.status_code == 400
    assert world.order == []


async def test_the_caller_is_found_before_the_request_is_counted(world: World) -> None:
    await world.post("make", {"name": "lamp"})
    assert world.order == ["authenticate", "meter"]


async def test_a_denied_caller_hears_what_is_missing(world: World) -> None:
    world.permissions = frozenset()
    answer = await world.post("make", {"name": "lamp"})
    assert answer.status_code == 403
    assert answer.json()["error"]["title"] == "Insufficient Permissions"
    assert answer.json()["error"]["detail"] == "Missing permission: 'thing.*.make'"


async def test_answers_say_how_the_workspace_stands_against_its_limit(world: World) -> None:
    world.allowance = Allowance(limit=600, remaining=599, reset_s=17)
    good = await world.post("make", {"name": "lamp"})
    bad = await world.post("rename", {"thingId": "none"})

    for answer in (good, bad):
        assert answer.headers["ratelimit-limit"] == "600"
        assert answer.headers["ratelimit-remaining"] == "599"
        assert answer.headers["ratelimit-reset"] == "17"


async def test_a_workspace_without_a_limit_hears_of_none(world: World) -> None:
    assert "ratelimit-limit" not in (await world.post("make", {"name": "lamp"})).headers
    assert await unmetered(None) is None  # type: ignore[arg-type]


async def test_over_the_limit_is_429_with_the_time_to_wait(world: World) -> None:
    world.allowance = Allowance(limit=600, remaining=0, reset_s=17, admitted=False)
    answer = await world.post("make", {"name": "lamp"})

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "17"
    assert answer.headers["ratelimit-remaining"] == "0"
    assert answer.json()["error"]["type"].endswith("/user/too_many_requests/workspace_rate_limited")
    assert world.shelf.made == []


async def test_a_broken_limiter_lets_everybody_in_and_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.meter_is_broken = True
    answer = await world.post("make", {"name": "lamp"})

    assert answer.status_code == 200
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    assert answer.headers["x-request-id"] in caplog.text


async def test_handlers_learn_who_asks_from_where(world: World) -> None:
    headers = {"user-agent": "curl/8\x07", "x-test-time": "5", "x-forwarded-for": "198.51.100.9"}
    told = (await world.post("tell", {}, headers=headers)).json()["data"]["asked"]
    assert told == {"name": "nobody", "ip": "192.0.2.7", "agent": "curl/8 ", "test": "5", "who": "key_1"}


async def test_behind_a_trusted_proxy_the_client_is_whom_the_proxy_names() -> None:
    world = World(trusted_proxies=networks(["192.0.2.0/24"]))
    headers = {"x-forwarded-for": "10.9.9.9, 198.51.100.9"}
    told = (await world.post("tell", {}, headers=headers)).json()["data"]["asked"]
    assert (told["ip"], told["test"]) == ("198.51.100.9", None)
