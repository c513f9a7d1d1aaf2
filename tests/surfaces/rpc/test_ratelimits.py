"""The family `ratelimit` through the outermost door."""

import asyncio
from typing import Any

import pytest

from tests.surfaces.rpc.conftest import EVERYWHERE, START_MS, Client, House

pytestmark = EVERYWHERE

ASKED = {"namespace": "email", "identifier": "user_1", "limit": 2, "duration": 60_000}


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def test_a_limit_admits_exactly_as_much_as_it_says(acme: Client) -> None:
    answers = await asyncio.gather(*(acme.data("ratelimit.limit", ASKED | {"limit": 10}) for _ in range(40)))
    assert sum(answer["success"] for answer in answers) == 10


@pytest.mark.parametrize("algorithm", ["sliding_window", "moving_window", "token_bucket"])
async def test_every_algorithm_lets_go_again(house: House, acme: Client, algorithm: str) -> None:
    asked = ASKED | {"algorithm": algorithm}
    passed = [(await acme.data("ratelimit.limit", asked))["success"] for _ in range(3)]
    assert passed == [True, True, False]
    house.clock.advance(120_001)
    assert (await acme.data("ratelimit.limit", asked))["success"] is True


async def test_a_refusal_is_a_200_that_takes_nothing(acme: Client) -> None:
    await acme.data("ratelimit.limit", ASKED | {"cost": 2})
    refused = await acme.data("ratelimit.limit", ASKED)
    assert (refused["success"], refused["remaining"]) == (False, 0)
    assert refused["reset"] > START_MS
    assert (await acme.data("ratelimit.limit", ASKED | {"cost": 0}))["success"] is True


async def test_a_shadow_limit_only_tells(acme: Client) -> None:
    asked = ASKED | {"limit": 1, "mode": "shadow"}
    assert (await acme.data("ratelimit.limit", asked))["wouldExceed"] is False
    second = await acme.data("ratelimit.limit", asked)
    assert (second["success"], second["wouldExceed"]) == (True, True)


async def test_many_limits_are_taken_together(acme: Client) -> None:
    narrow = ASKED | {"namespace": "narrow", "limit": 1}
    many = await acme.data("ratelimit.multiLimit", [ASKED, narrow])
    assert many["passed"] is True
    again = await acme.data("ratelimit.multiLimit", [ASKED, narrow])
    assert [again["passed"], *(limit["passed"] for limit in again["limits"])] == [False, True, False]
    assert (await acme.data("ratelimit.getStatus", ASKED))["remaining"] == 0
    assert (await acme.data("ratelimit.limit", ASKED))["success"] is True
    same = await acme.data("ratelimit.multiLimit", [narrow | {"namespace": "twice"}] * 2)
    assert same["passed"] is False
    await acme.error("ratelimit.multiLimit", [], 400)


async def test_a_namespace_needs_permission_to_be_made_and_to_be_used(house: House, acme: Client) -> None:
    user = await limited(house, "ratelimit.*.limit")
    error = await user.error("ratelimit.limit", ASKED, 403)
    assert error["detail"] == "Missing permission: 'ratelimit.*.create_namespace'"
    await acme.data("ratelimit.limit", ASKED)
    await user.data("ratelimit.limit", ASKED)
    reader = await limited(house, "ratelimit.*.read_override")
    await reader.error("ratelimit.limit", ASKED, 403)


async def test_workspaces_do_not_share_counters(house: House, acme: Client) -> None:
    other = await house.tenant("other")
    assert [(await acme.data("ratelimit.limit", ASKED))["success"] for _ in range(3)] == [True, True, False]
    assert (await other.data("ratelimit.limit", ASKED))["success"] is True


async def test_an_override_holds_from_its_answer_on(house: House, acme: Client) -> None:
    await acme.data("ratelimit.limit", ASKED)
    body = {"namespace": "email", "identifier": "user_*", "limit": 9, "duration": 60_000}
    made = await acme.data("ratelimit.setOverride", body)
    answer = await acme.data("ratelimit.limit", ASKED)
    assert (answer["limit"], answer["overrideId"], answer["remaining"]) == (9, made["overrideId"], 7)
    assert await acme.data("ratelimit.setOverride", body | {"limit": 0}) == made
    assert (await acme.data("ratelimit.limit", ASKED))["success"] is False
    got = await acme.data("ratelimit.getOverride", {"namespace": "email", "identifier": "user_7"})
    assert got["identifier"] == "user_*"
    (listed,) = await acme.data("ratelimit.listOverrides", {"namespace": "email"})
    assert listed["overrideId"] == made["overrideId"]
    await acme.error("ratelimit.deleteOverride", {"namespace": "email", "identifier": "user_1"}, 404)
    await acme.data("ratelimit.deleteOverride", {"namespace": "email", "identifier": "user_*"})
    assert "overrideId" not in await acme.data("ratelimit.limit", ASKED)
    revived = await acme.data("ratelimit.setOverride", body)
    assert revived == made
    assert (await acme.data("ratelimit.limit", ASKED))["limit"] == 9


async def test_a_dated_override_ends(house: House, acme: Client) -> None:
    await acme.data("ratelimit.limit", ASKED)
    until = {"expiresAt": START_MS + 10, "limit": 50, "identifier": "user_1"}
    await acme.data("ratelimit.setOverride", {"namespace": "email", "duration": 60_000} | until)
    assert (await acme.data("ratelimit.limit", ASKED))["limit"] == 50
    house.clock.advance(11)
    assert (await acme.data("ratelimit.limit", ASKED))["limit"] == 2


async def test_overrides_of_others_are_unknown(house: House, acme: Client) -> None:
    await acme.data("ratelimit.limit", ASKED)
    body = {"namespace": "email", "identifier": "user_1", "limit": 9, "duration": 60_000}
    await acme.data("ratelimit.setOverride", body)
    other = await house.tenant("other")
    name = {"namespace": "email", "identifier": "user_1"}
    for procedure in ("getOverride", "deleteOverride"):
        error = await other.error(f"ratelimit.{procedure}", name, 404)
        assert error["type"].endswith("ratelimit_namespace_not_found")
    reader = await limited(house, "ratelimit.*.limit")
    masked = await reader.error("ratelimit.getOverride", name, 404)
    assert masked["type"].endswith("ratelimit_override_not_found")
    await reader.error("ratelimit.setOverride", body, 403)
    await reader.error("ratelimit.deleteOverride", name, 403)
    await reader.error("ratelimit.listOverrides", {"namespace": "email"}, 403)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"duration": 999},
        {"duration": 2_592_000_001},
        {"cost": -1},
        {"identifier": ""},
        {"extra": 1},
    ],
)
async def test_bad_input_is_a_400_that_names_it(acme: Client, wrong: dict[str, Any]) -> None:
    error = await acme.error("ratelimit.limit", ASKED | wrong, 400)
    assert error["errors"]


async def test_any_characters_make_an_identifier(acme: Client) -> None:
    for identifier in ("ü/\n\t☃", "a\u0000b", "*" * 512):
        assert (await acme.data("ratelimit.limit", ASKED | {"identifier": identifier}))["success"] is True


async def test_a_test_clock_decides(acme: Client) -> None:
    for moment, success in (
        (START_MS, True),
        (START_MS, True),
        (START_MS, False),
        (START_MS + 120_000, True),
    ):
        answer = await acme.data("ratelimit.limit", ASKED, **{"x-test-time": str(moment)})
        assert answer["success"] is success
