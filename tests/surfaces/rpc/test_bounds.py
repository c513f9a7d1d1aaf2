"""However much is asked for at once, or heaped up bit by bit, there is a bound, and what is beyond it does no harm."""

import asyncio
import re
import sys
import time
from hashlib import sha256
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import insert, update

from latchwork.domains.access import rules
from latchwork.domains.keys.tables import key_roles, keys
from latchwork.domains.permissions.tables import roles
from latchwork.kernel.sql import ALL_WORKSPACES, Connection
from tests.surfaces.rpc.conftest import START_MS, Client, House

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

LIMIT = {"limit": 5, "duration": 60_000}


async def _create(acme: Client, api_id: str, **wanted: Any) -> dict[str, str]:
    made: dict[str, str] = await acme.data("keys.createKey", {"apiId": api_id} | wanted)
    return made


def _by_hash(api_id: str, text: str) -> dict[str, Any]:
    digest = sha256(text.encode()).hexdigest()
    return {"apiId": api_id, "hash": {"value": digest, "variant": "sha256_hex"}}


# Keys whose texts are nearly the same


async def test_texts_that_begin_or_end_alike_are_keys_of_their_own(
    house: House, acme: Client, api_id: str
) -> None:
    rival = await house.tenant("rival")
    theirs = (await rival.data("apis.createApi", {"name": "theirs"}))["apiId"]
    stem = "k" * 64
    texts = [
        *(stem[:length] + f"{n}" for length in (8, 20, 64) for n in "ab"),
        *(f"{n}" + stem[:length] for length in (8, 20, 64) for n in "ab"),
        stem,
        stem.upper(),
    ]
    made = [await acme.data("migrations.createKeys", [_by_hash(api_id, text)]) for text in texts]
    ids = dict(zip(texts, (each["keyIds"][0] for each in made), strict=True))
    foreign = f"{stem}c"
    await rival.data("migrations.createKeys", [_by_hash(theirs, foreign)])
    for _ in range(50):  # from memory after the first time
        for text in texts:
            assert (await acme.data("keys.verifyKey", {"key": text}))["keyId"] == ids[text]
        for text in (foreign, stem[:-1], f"{stem} ", f"{stem}k", stem[:20]):
            assert await acme.data("keys.verifyKey", {"key": text}) == {"valid": False, "code": "NOT_FOUND"}


async def test_root_keys_that_begin_or_end_alike_are_callers_of_their_own(house: House, acme: Client) -> None:
    await acme.data("apis.listApis", {})
    for text in (
        acme.key[:-1],
        f"{acme.key}x",
        acme.key.swapcase(),
        acme.key[8:],
        acme.key[:20],
        acme.key[:-6],
    ):
        await Client(house.http, text).error("apis.listApis", {}, 401)
        await Client(house.http, text).error("keys.verifyKey", {"key": "k"}, 401)
    assert await acme.data("apis.listApis", {}) == []


# What is asked for at once


async def test_a_verification_checks_a_hundred_limits_and_no_more(acme: Client, api_id: str) -> None:
    made = await _create(acme, api_id)
    limits = [LIMIT | {"name": f"limit {n}"} for n in range(10_000)]
    for procedure, body in (
        ("keys.verifyKey", {"key": made["key"]}),
        ("keys.explainKey", {"key": made["key"]}),
    ):
        error = await acme.error(procedure, body | {"ratelimits": limits}, 400)
        assert error["errors"][0]["location"].startswith("/properties/ratelimits")
        await acme.data(procedure, body | {"ratelimits": limits[:100]})
    many = {"requests": [{"key": made["key"], "ratelimits": limits[:101]}]}
    await acme.error("keys.verifyKeys", many, 400)


async def test_pages_and_times_have_bounds(acme: Client, api_id: str) -> None:
    made = await _create(acme, api_id)
    for limit in (10**9, 2**63, 101, 0, -1, 1.5, "10"):
        for procedure in ("apis.listApis", "keys.listKeys", "auditLogs.list", "rootKeys.listKeys"):
            await acme.error(procedure, {"limit": limit}, 400)
    century = {"start": START_MS - 3_155_760_000_000 // 2, "end": START_MS}
    for path in (
        f"keys.getVerifications?keyId={made['keyId']}",
        f"analytics.getVerifications?apiId={api_id}",
    ):
        for times in (century, {"start": 0, "end": 2**53 - 1}, {"start": START_MS, "end": START_MS - 1}):
            asked = "&".join(f"{name}={value}" for name, value in times.items())
            headers = {"authorization": f"Bearer {acme.key}"}
            answer = await acme.http.get(f"/v2/{path}&{asked}&granularity=day", headers=headers)
            assert answer.status_code == 400, answer.text
    groups = "&".join(["groupBy=key"] * 10)
    answer = await acme.http.get(
        f"/v2/analytics.getVerifications?apiId={api_id}&start={START_MS - 1}&{groups}",
        headers={"authorization": f"Bearer {acme.key}"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/v2/openapi.json", "/docs/reference.js", "/docs", "/v2/liveness"])
async def test_ranges_are_not_looked_at(house: House, path: str) -> None:
    whole = await house.http.get(path)
    ranges = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    for asked in (ranges, "bytes=0-0,1-1", "bytes=-1", "bytes=5-", "lines=1-2", "bytes=9-1"):
        answer = await house.http.get(path, headers={"range": asked, "if-range": '"x"'})
        assert (answer.status_code, len(answer.content)) == (200, len(whole.content))
        assert "content-range" not in answer.headers


# What is heaped up


async def test_a_key_gathers_only_so_many_roles_and_permissions(
    acme: Client, api_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (rules.MOST_ROLES, rules.MOST_PERMISSIONS) == (1_000, 10_000)
    monkeypatch.setattr(rules, "MOST_ROLES", 3)
    monkeypatch.setattr(rules, "MOST_PERMISSIONS", 3)
    key_id = (await _create(acme, api_id))["keyId"]
    names = [f"name.{n}" for n in range(4)]
    for name in names:
        await acme.data("permissions.createRole", {"name": name})
    for procedure, member in (("addRoles", "roles"), ("addPermissions", "permissions")):
        await acme.data(f"keys.{procedure}", {"keyId": key_id, member: names[:2]})
        error = await acme.error(f"keys.{procedure}", {"keyId": key_id, member: names}, 400)
        assert "at most 3" in error["detail"]
        assert len(await acme.data(f"keys.{procedure}", {"keyId": key_id, member: names[:3]})) == 3
        await acme.error(f"keys.{procedure}", {"keyId": key_id, member: names[3:]}, 400)
        assert len(await acme.data(f"keys.{procedure}", {"keyId": key_id, member: names[:1]})) == 3


async def test_a_key_with_more_than_any_may_have_is_served(house: House, acme: Client, api_id: str) -> None:
    made, other = await _create(acme, api_id), await _create(acme, api_id)
    await acme.data("permissions.createRole", {"name": "first"})
    found = await acme.data("permissions.getRole", {"role": "first"})

    def heap(connection: Connection) -> None:
        one = connection.execute(roles.select().where(roles.c.id == found["id"])).mappings().one()
        many = [
            dict(one) | {"id": f"role_{n}", "name": f"r {n}", "name_folded": f"r {n}"} for n in range(20_000)
        ]
        connection.execute(insert(roles), many)
        workspace = {"key_id": made["keyId"], "workspace_id": one["workspace_id"]}
        given = [workspace | {"role_id": each["id"]} for each in many]
        connection.execute(insert(key_roles), given)
        large = {"a": "x" * 2_000_000} | {f"k{n}": n for n in range(10_000)}
        connection.execute(update(keys).where(keys.c.id == made["keyId"]).values(meta=large))

    await house.platform.db.write(heap, ALL_WORKSPACES)
    verdict = await acme.data("keys.verifyKey", {"key": made["key"]})
    assert (verdict["valid"], len(verdict["roles"])) == (True, 20_000)
    assert len((await acme.data("keys.getKey", {"keyId": made["keyId"]}))["roles"]) == 20_000
    await acme.data("keys.updateKey", {"keyId": made["keyId"], "roles": [], "meta": None})
    assert "roles" not in await acme.data("keys.getKey", {"keyId": made["keyId"]})
    assert (await acme.data("keys.verifyKey", {"key": other["key"]}))["valid"]


async def test_of_a_thousand_at_once_exactly_as_many_pass_as_the_quota_says(house: House) -> None:
    acme = await house.tenant("acme")
    api_id = (await acme.data("apis.createApi", {"name": "payments"}))["apiId"]
    await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": 10})
    answers = await asyncio.gather(*(acme.post("keys.createKey", {"apiId": api_id}) for _ in range(1_000)))
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    assert [answer.status_code for answer in answers].count(200) == 10
    house.clock.advance(120_000)
    await acme.data("workspace.updateLimits", {"apiRequestsPerMinute": None})
    assert len(await acme.data("apis.listKeys", {"apiId": api_id})) == 10


# Patterns


HOSTILE = [
    "a" * 50_000 + "!",
    "a-" * 25_000 + "!",
    "-" * 50_000,
    "_" * 50_000 + "\n",
    "0" * 50_000 + "x",
    "`" * 50_000,
    "*" * 50_000,
    "[" * 50_000 + "(" * 50_000,
    " " * 50_000 + "x",
    ";q=0" + "0" * 50_000 + "x",
    "\\" * 50_000 + "u0000",
    "[a](" + "/" * 50_000,
    "```" + "\n" * 50_000,
    "$" + ".a[0]" * 10_000,
]


OF_OUR_OWN_TEXTS = ("latchwork.surfaces.reference.markup", "latchwork.cli", "latchwork.adapters.exports")
"""Modules whose patterns read nothing that anybody sends: descriptions in our sources, and what operators hand over."""


def _patterns(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["pattern"]} if isinstance(document.get("pattern"), str) else set()
        return own.union(*map(_patterns, document.values()))
    return set().union(*map(_patterns, document)) if isinstance(document, list) else set()


async def test_no_pattern_of_ours_takes_long_over_any_text(house: House) -> None:
    published = _patterns((await house.http.get("/v2/openapi.json")).json())
    assert len(published) > 5
    ours: set[re.Pattern[Any]] = {
        each
        for name, module in list(sys.modules.items())
        if name.startswith("latchwork.") and not name.startswith(OF_OUR_OWN_TEXTS)
        for each in vars(module).values()
        if isinstance(each, re.Pattern)
    }
    assert len(ours) > 10
    for pattern in chain(ours, map(re.compile, published)):
        for text in HOSTILE:
            subject = text if isinstance(pattern.pattern, str) else text.encode()
            before = time.process_time()
            for ask in (pattern.search, pattern.fullmatch):
                ask(subject)
            # Linear work is a few milliseconds; what is worse than linear is minutes.
            assert time.process_time() - before < 2, (pattern.pattern, text[:20])


async def test_a_pattern_of_a_caller_is_matched_in_one_go(acme: Client) -> None:
    await acme.data("ratelimit.limit", {"namespace": "mail", "identifier": "x"} | LIMIT)
    for identifier in ("*a" * 256, "a*" * 255 + "b", "*" * 512, "(a+)+$", "[!a]*", "^(.*)*$"):
        await acme.data("ratelimit.setOverride", {"namespace": "mail", "identifier": identifier} | LIMIT)
    before = time.process_time()
    for identifier in ("a" * 512, "a" * 511 + "!", "b" * 512, "ab" * 256):
        await acme.data("ratelimit.limit", {"namespace": "mail", "identifier": identifier} | LIMIT)
    assert time.process_time() - before < 2


# Bodies of parts


PARTS = {
    "multipart/form-data; boundary=x": b"--x\r\n\r\n\r\n" * 90_000 + b"--x--",
    "multipart/form-data; boundary=y": b"--y\r\nX-Long: " + b"a" * 900_000 + b"\r\n\r\n--y--",
    "multipart/form-data": b"--\r\n\r\n\r\n----",
    "multipart/form-data; " + "a=b; " * 10_000: b"{",
    'application/json; charset="' + "\\" * 40_000: b"{",
    "; " * 20_000: b"{",
}


async def test_a_body_of_parts_is_read_as_json_and_is_none(acme: Client) -> None:
    before = time.process_time()
    for procedure in ("keys.verifyKey", "keys.createKey", "migrations.createKeys", "portal.exchangeCode"):
        for media_type, content in PARTS.items():
            headers = {"authorization": f"Bearer {acme.key}", "content-type": media_type}
            answer = await acme.http.post(f"/v2/{procedure}", content=content, headers=headers)
            assert answer.status_code == 400, (procedure, media_type[:40])
    assert time.process_time() - before < 10
