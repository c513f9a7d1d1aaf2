"""Namespaces through the outermost door: listed, renamed, deleted, and what was counted in them forgotten."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from latchwork.domains import audit
from latchwork.domains.audit.tables import audit_log
from latchwork.kernel.sql import ALL_WORKSPACES
from tests.surfaces.rpc.conftest import START_MS, Client, House

ASKED = {"namespace": "email", "identifier": "user_1", "limit": 2, "duration": 60_000}
NAMESPACE = {"namespace": "email"}
GONE = "ratelimit_namespace_gone"
UNKNOWN = "ratelimit_namespace_not_found"


async def limited(house: House, *permissions: str) -> Client:
    workspace = (await house.platform.workspaces.all())[0]
    return await house.root_key(workspace.id, *permissions)


async def namespace_id(acme: Client, name: str = "email") -> str:
    await acme.data("ratelimit.limit", ASKED | {"namespace": name})
    found = await acme.data("ratelimit.listNamespaces", {"search": name})
    return str(next(each["id"] for each in found if each["name"] == name))


async def last_audit(house: House) -> dict[str, Any]:
    def question(connection: Any) -> dict[str, Any]:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.id.desc())).mappings()
        return dict(rows.first())

    return await house.platform.db.read(question, ALL_WORKSPACES)


async def test_namespaces_are_listed_with_their_overrides(acme: Client) -> None:
    assert await acme.data("ratelimit.listNamespaces", {}) == []
    await acme.data("ratelimit.multiLimit", [ASKED, ASKED | {"namespace": "50%_off"}])
    override = {"identifier": "vip", "limit": 5, "duration": 60_000}
    await acme.data("ratelimit.setOverride", NAMESPACE | override)
    email, other = await acme.data("ratelimit.listNamespaces", {})
    assert email == {"id": email["id"], "name": "email", "createdAt": START_MS, "overrideCount": 1}
    assert (other["name"], other["overrideCount"]) == ("50%_off", 0)
    for search, names in (
        ("MAIL", ["email"]),
        ("%_", ["50%_off"]),
        (" ", ["email", "50%_off"]),
        ("x_o", []),
        (email["id"].upper(), ["email"]),
    ):
        found = await acme.data("ratelimit.listNamespaces", {"search": search})
        assert [each["name"] for each in found] == names


async def test_pages_of_namespaces_are_walked_by_cursor(acme: Client) -> None:
    await acme.data("ratelimit.multiLimit", [ASKED | {"namespace": f"n{n}"} for n in range(5)])
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await acme.post("ratelimit.listNamespaces", {"limit": 2, "cursor": cursor})).json()
        seen += [each["name"] for each in page["data"]]
        if not page["pagination"]["hasMore"]:
            break
        cursor = page["pagination"]["cursor"]
    assert seen == ["n0", "n1", "n2", "n3", "n4"]
    assert "cursor" not in page["pagination"]


async def test_a_renamed_namespace_keeps_its_id_overrides_and_counts(acme: Client) -> None:
    id_ = await namespace_id(acme)
    renamed = await acme.data("ratelimit.updateNamespace", NAMESPACE | {"name": "mail"})
    assert renamed == {"id": id_, "name": "mail", "createdAt": START_MS}
    asked = ASKED | {"namespace": "mail"}
    assert (await acme.data("ratelimit.limit", asked))["remaining"] == 0
    assert (await acme.data("ratelimit.limit", ASKED | {"namespace": id_}))["success"] is False
    assert (await acme.data("ratelimit.limit", ASKED))["remaining"] == 1  # the old name is a new namespace
    assert await namespace_id(acme) != id_


async def test_a_name_belongs_to_one_namespace_even_after_its_deletion(acme: Client) -> None:
    await acme.data("ratelimit.multiLimit", [ASKED, ASKED | {"namespace": "mail"}])
    error = await acme.error("ratelimit.updateNamespace", NAMESPACE | {"name": "mail"}, 409)
    assert error["type"].endswith("unkey/data/ratelimit_namespace_already_exists")
    await acme.data("ratelimit.deleteNamespace", {"namespace": "mail"})
    await acme.error("ratelimit.updateNamespace", NAMESPACE | {"name": "mail"}, 409)
    assert (await acme.data("ratelimit.updateNamespace", NAMESPACE | {"name": "email"}))["name"] == "email"


async def test_of_two_who_rename_to_one_name_one_wins(acme: Client) -> None:
    names = [f"n{n}" for n in range(4)]
    await acme.data("ratelimit.multiLimit", [ASKED | {"namespace": name} for name in names])
    answers = await asyncio.gather(
        *(acme.post("ratelimit.updateNamespace", {"namespace": name, "name": "one"}) for name in names)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_a_deleted_namespace_is_gone_to_limits_and_unknown_to_the_rest(
    house: House, acme: Client
) -> None:
    id_ = await namespace_id(acme)
    assert await acme.data("ratelimit.deleteNamespace", NAMESPACE) == {}
    for namespace in ("email", id_):
        asked = ASKED | {"namespace": namespace}
        questions: dict[str, Any] = {"limit": asked, "getStatus": asked, "multiLimit": [asked]}
        for procedure, body in questions.items():
            error = await acme.error(f"ratelimit.{procedure}", body, 410)
            assert error["type"].endswith(GONE)
            assert error["title"] == "Resource Gone"
    name = NAMESPACE | {"identifier": "user_1"}
    others: dict[str, dict[str, Any]] = {
        "setOverride": name | {"limit": 1, "duration": 1000},
        "getOverride": name,
        "deleteOverride": name,
        "listOverrides": NAMESPACE,
        "updateNamespace": NAMESPACE | {"name": "mail"},
        "deleteNamespace": NAMESPACE,
        "resetLimit": name,
    }
    for procedure, body in others.items():
        error = await acme.error(f"ratelimit.{procedure}", body, 404)
        assert error["type"].endswith(UNKNOWN), procedure
    assert await acme.data("ratelimit.listNamespaces", {}) == []


async def test_gone_comes_before_the_permission_to_limit_one_and_after_that_of_many(
    house: House, acme: Client
) -> None:
    await namespace_id(acme)
    await acme.data("ratelimit.deleteNamespace", NAMESPACE)
    stranger = await limited(house, "api.*.read_api")
    await stranger.error("ratelimit.limit", ASKED, 410)
    await stranger.error("ratelimit.multiLimit", [ASKED], 403)


async def test_of_two_who_delete_a_namespace_one_succeeds(acme: Client) -> None:
    await namespace_id(acme)
    answers = await asyncio.gather(*(acme.post("ratelimit.deleteNamespace", NAMESPACE) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404]


@pytest.mark.parametrize("algorithm", ["sliding_window", "moving_window", "token_bucket"])
async def test_a_reset_is_in_force_at_once_under_every_algorithm(acme: Client, algorithm: str) -> None:
    asked = ASKED | {"algorithm": algorithm, "cost": 2}
    longer = asked | {"duration": 3_600_000}
    for each in (asked, longer, asked | {"identifier": "user_2"}):
        await acme.data("ratelimit.limit", each)
    assert await acme.data("ratelimit.resetLimit", NAMESPACE | {"identifier": "user_1"}) == {}
    for each in (asked, longer):
        assert (await acme.data("ratelimit.getStatus", each | {"cost": 0}))["remaining"] == 2
        assert (await acme.data("ratelimit.limit", each))["success"] is True
    assert (await acme.data("ratelimit.limit", asked | {"identifier": "user_2"}))["success"] is False


async def test_a_reset_forgets_the_window_before_too(house: House, acme: Client) -> None:
    await acme.data("ratelimit.limit", ASKED | {"cost": 2})
    house.clock.advance(60_000)
    assert (await acme.data("ratelimit.getStatus", ASKED | {"cost": 0}))["remaining"] < 2
    await acme.data("ratelimit.resetLimit", NAMESPACE | {"identifier": "user_1"})
    assert (await acme.data("ratelimit.getStatus", ASKED | {"cost": 0}))["remaining"] == 2


async def test_a_reset_keeps_overrides_and_is_for_any_identifier(acme: Client) -> None:
    odd = "ü/\n\t☃\u0000" + "*" * 500
    asked = ASKED | {"identifier": odd, "limit": 1}
    await acme.data("ratelimit.limit", asked)
    await acme.data("ratelimit.setOverride", NAMESPACE | {"identifier": "*", "limit": 1, "duration": 60_000})
    await acme.data("ratelimit.resetLimit", NAMESPACE | {"identifier": odd})
    assert (await acme.data("ratelimit.limit", asked))["success"] is True


async def test_what_is_done_to_a_namespace_is_in_the_audit_log(house: House, acme: Client) -> None:
    id_ = await namespace_id(acme)
    headers = {"user-agent": "curl/8"}
    answer = await acme.post(
        "ratelimit.resetLimit", {"namespace": id_, "identifier": "a\0b", "reason": "support"}, **headers
    )
    row = await last_audit(house)
    assert (row["event"], row["user_agent"]) == ("ratelimit.reset_limit", "curl/8")
    assert row["correlation_id"] == answer.json()["meta"]["requestId"]
    assert row["resources"][0] == {"type": "ratelimitNamespace", "id": id_, "name": "email", "meta": {}}
    assert (row["resources"][1]["id"], row["resources"][1]["meta"]) == ("a\ufffdb", {"reason": "support"})
    await acme.data("ratelimit.updateNamespace", NAMESPACE | {"name": "mail"})
    row = await last_audit(house)
    assert row["event"] == "ratelimitNamespace.update"
    assert row["resources"][0]["meta"] == {"before": {"name": "email"}}
    await acme.data("ratelimit.deleteNamespace", {"namespace": "mail"})
    assert (await last_audit(house))["event"] == "ratelimitNamespace.delete"
    workspace = (await house.platform.workspaces.all())[0]
    assert await house.platform.db.read(lambda c: audit.first_break(c, workspace.id), ALL_WORKSPACES) is None


@pytest.mark.parametrize(
    ("procedure", "body", "action"),
    [
        ("updateNamespace", {"name": "mail"}, "update_namespace"),
        ("resetLimit", {"identifier": "user_1"}, "set_override"),
        ("deleteNamespace", {}, "delete_namespace"),
    ],
)
async def test_a_change_needs_permission_for_the_namespace(
    house: House, acme: Client, procedure: str, body: dict[str, str], action: str
) -> None:
    id_ = await namespace_id(acme)
    nobody = await limited(house, "ratelimit.*.limit")
    error = await nobody.error(f"ratelimit.{procedure}", NAMESPACE | body, 403)
    wanted = f"Missing one of these permissions: ratelimit.*.{action} or ratelimit.{id_}.{action}"
    assert error["detail"] == wanted
    other = await house.tenant("other")
    foreign = await other.error(f"ratelimit.{procedure}", {"namespace": id_} | body, 404)
    assert foreign == await other.error(f"ratelimit.{procedure}", {"namespace": "rlns_no"} | body, 404)
    narrow = await limited(house, f"ratelimit.{id_}.{action}")
    await narrow.data(f"ratelimit.{procedure}", NAMESPACE | body)


async def test_listing_needs_permission_and_shows_only_ones_own(house: House, acme: Client) -> None:
    await namespace_id(acme)
    nobody = await limited(house, "ratelimit.*.limit")
    error = await nobody.error("ratelimit.listNamespaces", {}, 403)
    assert error["detail"] == "Missing permission: 'ratelimit.*.read_namespace'"
    other = await house.tenant("other")
    assert await other.data("ratelimit.listNamespaces", {}) == []


@pytest.mark.parametrize(
    ("procedure", "body", "location"),
    [
        ("listNamespaces", {"limit": 0}, "/properties/limit/minimum"),
        ("listNamespaces", {"limit": 101}, "/properties/limit/maximum"),
        ("listNamespaces", {"search": "x" * 257}, "/properties/search/maxLength"),
        ("listNamespaces", {"extra": 1}, "/additionalProperties"),
        ("updateNamespace", {"namespace": "email", "name": ""}, "/properties/name/minLength"),
        ("updateNamespace", {"namespace": "email"}, "/required"),
        ("updateNamespace", {"namespace": "email", "name": "x" * 513}, "/properties/name/maxLength"),
        ("deleteNamespace", {"namespace": ""}, "/properties/namespace/minLength"),
        ("resetLimit", {"namespace": "email"}, "/required"),
        ("resetLimit", {"namespace": "n", "identifier": ""}, "/properties/identifier/minLength"),
    ],
)
async def test_bad_input_is_a_400_that_names_it(
    acme: Client, procedure: str, body: dict[str, Any], location: str
) -> None:
    error = await acme.error(f"ratelimit.{procedure}", body, 400)
    assert [found["location"] for found in error["errors"]] == [location]


@pytest.mark.parametrize("procedure", ["limit", "getStatus"])
async def test_a_namespace_holds_no_nul(acme: Client, procedure: str) -> None:
    error = await acme.error(f"ratelimit.{procedure}", ASKED | {"namespace": "a\0b"}, 400)
    assert "`namespace`" in error["detail"]


@pytest.mark.parametrize("name", ["namespace", "reason"])
async def test_a_reset_holds_no_nul_where_it_is_stored(acme: Client, name: str) -> None:
    body = {"namespace": "email", "identifier": "user_1"} | {name: "a\0b"}
    assert f"`{name}`" in (await acme.error("ratelimit.resetLimit", body, 400))["detail"]
