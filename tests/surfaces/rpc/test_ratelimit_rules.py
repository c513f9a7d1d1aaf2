"""Who may limit what, and which override decides: the rules of the family `ratelimit`."""

from typing import Any

import pytest

from tests.surfaces.rpc.conftest import START_MS, Client, House

pytestmark = pytest.mark.parametrize("house", ["sqlite", "cluster"], indirect=True)

ASKED = {"namespace": "email", "identifier": "user_1", "limit": 2, "duration": 60_000}
NAMESPACE = {"namespace": "email"}
MINUTE = {"duration": 60_000}


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def namespace_id(acme: Client, name: str = "email") -> str:
    await acme.data("ratelimit.limit", ASKED | {"namespace": name, "cost": 0})
    found = await acme.data("ratelimit.listNamespaces", {"search": name})
    return str(found[0]["id"])


async def override(acme: Client, identifier: str, limit: int, **more: Any) -> str:
    body = NAMESPACE | {"identifier": identifier, "limit": limit} | MINUTE | more
    return str((await acme.data("ratelimit.setOverride", body))["overrideId"])


async def test_whoever_may_create_but_not_limit_creates_and_is_refused(house: House, acme: Client) -> None:
    maker = await limited(house, "ratelimit.*.create_namespace")
    error = await maker.error("ratelimit.limit", ASKED, 403)
    (made,) = await acme.data("ratelimit.listNamespaces", {})
    assert error["detail"] == (
        f"Missing one of these permissions: ratelimit.*.limit or ratelimit.{made['id']}.limit"
    )


async def test_many_new_namespaces_are_made_together_or_not_at_all(house: House, acme: Client) -> None:
    user = await limited(house, "ratelimit.*.limit")
    many = [ASKED | {"namespace": name} for name in ("a", "b", "a")]
    await user.error("ratelimit.multiLimit", many, 403)
    assert await acme.data("ratelimit.listNamespaces", {}) == []
    both = await limited(house, "ratelimit.*.limit", "ratelimit.*.create_namespace")
    answer = await both.data("ratelimit.multiLimit", many)
    assert [limit["namespace"] for limit in answer["limits"]] == ["a", "b", "a"]
    assert [each["name"] for each in await acme.data("ratelimit.listNamespaces", {})] == ["a", "b"]


async def test_many_limits_need_each_namespace_or_all(house: House, acme: Client) -> None:
    email, sms = await namespace_id(acme), await namespace_id(acme, "sms")
    many = [ASKED, ASKED | {"namespace": sms}]
    one = await limited(house, f"ratelimit.{email}.limit")
    error = await one.error("ratelimit.multiLimit", many, 403)
    assert error["detail"].endswith(f"ratelimit.{sms}.limit")
    await one.data("ratelimit.multiLimit", [ASKED, ASKED])
    await (await limited(house, f"ratelimit.{email}.limit", f"ratelimit.{sms}.limit")).data(
        "ratelimit.multiLimit", many
    )
    await (await limited(house, "ratelimit.*.limit")).data("ratelimit.multiLimit", many)


async def test_a_status_creates_nothing_and_needs_the_right_to_limit(house: House, acme: Client) -> None:
    assert (await acme.data("ratelimit.getStatus", ASKED))["remaining"] == 1
    assert await acme.data("ratelimit.listNamespaces", {}) == []
    nobody = await limited(house, "ratelimit.*.create_namespace")
    await nobody.error("ratelimit.getStatus", ASKED, 403)


async def test_the_exact_identifier_wins_then_the_most_specific_pattern(acme: Client) -> None:
    await namespace_id(acme)
    anyone = await override(acme, "*", 1)
    users = await override(acme, "user_*", 2)
    exact = await override(acme, "user_1", 3)
    for identifier, expected in (("user_1", exact), ("user_2", users), ("other", anyone)):
        name = NAMESPACE | {"identifier": identifier}
        assert (await acme.data("ratelimit.getOverride", name))["overrideId"] == expected
        assert (await acme.data("ratelimit.limit", ASKED | name))["overrideId"] == expected


async def test_the_first_page_of_overrides_has_fifty(acme: Client) -> None:
    await namespace_id(acme)
    made = [await override(acme, f"user_{n:02}", 1) for n in range(51)]
    page = (await acme.post("ratelimit.listOverrides", NAMESPACE)).json()
    assert [each["overrideId"] for each in page["data"]] == made[:50]
    assert page["pagination"] == {"hasMore": True, "cursor": made[50]}
    last = (await acme.post("ratelimit.listOverrides", NAMESPACE | {"cursor": made[50]})).json()
    assert [each["overrideId"] for each in last["data"]] == made[50:]
    assert last["pagination"] == {"hasMore": False}


async def test_a_deleted_override_is_not_listed_and_set_again_keeps_its_id(acme: Client) -> None:
    await namespace_id(acme)
    made = await override(acme, "user_1", 9)
    await acme.data("ratelimit.deleteOverride", NAMESPACE | {"identifier": "user_1"})
    assert await acme.data("ratelimit.listOverrides", NAMESPACE) == []
    again = NAMESPACE | {"identifier": "user_1"}
    await acme.error("ratelimit.deleteOverride", again, 404)
    assert await override(acme, "user_1", 4) == made
    found = await acme.data("ratelimit.getOverride", again)
    assert found == {"overrideId": made, "identifier": "user_1", "limit": 4, "duration": 60_000}


async def test_an_override_tells_until_when_it_holds_and_why(house: House, acme: Client) -> None:
    await namespace_id(acme)
    until = {"expiresAt": START_MS + 5, "reason": "launch day"}
    await override(acme, "user_1", 9, **until)
    name = NAMESPACE | {"identifier": "user_1"}
    found = await acme.data("ratelimit.getOverride", name)
    assert {key: found[key] for key in until} == until
    house.clock.advance(6)
    error = await acme.error("ratelimit.getOverride", name, 404)
    assert error["type"].endswith("ratelimit_override_not_found")
    await override(acme, "user_1", 9)
    assert "expiresAt" not in await acme.data("ratelimit.getOverride", name)


async def test_who_may_not_read_overrides_is_told_what_one_is_told_who_has_none(
    house: House, acme: Client
) -> None:
    await namespace_id(acme)
    name = NAMESPACE | {"identifier": "user_1"}
    genuine = await acme.error("ratelimit.getOverride", name, 404)
    await override(acme, "user_1", 9)
    blind = await limited(house, "ratelimit.*.limit")
    assert await blind.error("ratelimit.getOverride", name, 404) == genuine


@pytest.mark.parametrize(
    ("burst", "limit", "expected"),
    [(9, 3, 3), (9, 20, 9), (2, 3, 2), (None, 3, 3), (9, 0, 0)],
    ids=["cut to the limit", "kept below it", "kept when small", "none asked", "nothing at all"],
)
async def test_an_override_bounds_the_burst_that_is_asked_for(
    acme: Client, burst: int | None, limit: int, expected: int
) -> None:
    await namespace_id(acme)
    await override(acme, "user_1", limit)
    asked = ASKED | {"algorithm": "token_bucket", "limit": 5} | ({"burst": burst} if burst else {})
    answers = [await acme.data("ratelimit.limit", asked) for _ in range(expected + 2)]
    assert [answer["success"] for answer in answers] == [True] * expected + [False] * 2


async def test_a_burst_without_an_override_may_be_larger_than_the_limit(acme: Client) -> None:
    asked = ASKED | {"algorithm": "token_bucket", "burst": 4}
    passed = [(await acme.data("ratelimit.limit", asked))["success"] for _ in range(5)]
    assert passed == [True] * 4 + [False]


async def test_a_shadow_limit_counts_under_an_override_too(acme: Client) -> None:
    await namespace_id(acme)
    made = await override(acme, "user_1", 1)
    asked = ASKED | {"mode": "shadow"}
    first, second = [await acme.data("ratelimit.limit", asked) for _ in range(2)]
    assert (first["wouldExceed"], second["wouldExceed"], second["success"]) == (False, True, True)
    assert second["overrideId"] == made
    (one,) = (await acme.data("ratelimit.multiLimit", [asked]))["limits"]
    assert (one["passed"], one["wouldExceed"]) == (True, True)


@pytest.mark.parametrize("moment", ["soon", "-1", "1" * 16, "1.5"])
async def test_a_test_time_is_in_milliseconds(acme: Client, moment: str) -> None:
    error = await acme.error("ratelimit.limit", ASKED, 400, **{"x-test-time": moment})
    assert "X-Test-Time" in error["detail"]


async def test_a_test_time_decides_many_limits_too(acme: Client) -> None:
    narrow = ASKED | {"limit": 1}
    for moment, passed in ((START_MS, True), (START_MS, False), (START_MS + 120_000, True)):
        answer = await acme.data("ratelimit.multiLimit", [narrow], **{"x-test-time": str(moment)})
        assert answer["passed"] is passed


async def test_a_limit_is_the_same_by_name_and_by_id(acme: Client) -> None:
    id_ = await namespace_id(acme)
    await acme.data("ratelimit.limit", ASKED)
    assert (await acme.data("ratelimit.limit", ASKED | {"namespace": id_}))["remaining"] == 0
    many = await acme.data("ratelimit.multiLimit", [ASKED | {"namespace": id_, "cost": 0}])
    assert many["limits"][0]["namespace"] == id_
