"""Text that means something to databases, logs, pages or headers means nothing here: it is refused or kept as it is."""

import logging
import unicodedata
from typing import Any

import httpx
import pytest

from tests.surfaces.rpc.bad_input import Wrongs
from tests.surfaces.rpc.conftest import Client, House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, world_of

CREDENTIALS = [
    b"' OR '1'='1",
    b"'; select pg_sleep(600)--",
    b"' UNION SELECT * FROM keys--",
    b"%' ESCAPE '%",
    b"$(id)`id`|id",
    b"*)(objectClass=*",
    b"{$ne:null}",
    b"../../etc/passwd",
    b"a\tb",
    b"\x80\xff\xfe",
    b"\xc0\xae",
    "é\u2028\U0001f600".encode(),
    b"x" * 8_192,
]
INJECTIONS = [
    "' OR '1'='1",
    "x'; DROP TABLE keys;--",
    "x'||pg_sleep(600)||'",
    "1) OR SLEEP(600)#",
    "x' AND 1=CAST((SELECT 'a') AS INT)--",
    "x' UNION ALL SELECT NULL,NULL,NULL--",
    '" OR ""="',
    "\\' OR 1=1--",
    "%' OR '%'='",
    "_%",
    "x$$;SELECT pg_sleep(600);$$",
    "randomblob(1000000000/2)",
    ":id",
    "%(id)s",
    "?",
    "{0.__class__}",
    "id;drop table keys",
    "(select key_hash from keys limit 1)",
    "__proto__",
]
PAIRS = [("x' OR '1'='1", "x' OR '1'='2"), ("x%' OR 1=1--", "x%' OR 1=2--")]
"""Of each pair one is true to a database that is taken in by it."""
SHOWN = [
    "<img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
    "%n%s%x %p",
    "[a](javascript:alert(1))",
    "a\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "=1+1",
    "+@-\t\r",
    "e\u0301 and \u00e9",
    "zero\u200bwidth\ufeff",
    "right\u202eleft",
    "\u0430dmin",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U000e0041",
    "\u2028\u2029\x85\x1b[2J\x7f",
    " leading and trailing ",
]


async def _told(house: House, path: str, body: Any, headers: list[tuple[bytes, bytes]]) -> httpx.Response:
    return await house.http.post(path, json=body, headers=headers)


async def test_no_credential_is_more_than_an_unknown_one(house: House, acme: Client) -> None:
    await world_of(acme, "acme")
    for text in CREDENTIALS:
        for path, body in (("/v2/keys.verifyKey", {"key": "k"}), ("/v2/apis.listApis", {})):
            answer = await _told(house, path, body, [(b"authorization", b"Bearer " + text)])
            assert answer.status_code == 401, (text, answer.text)
            assert answer.json()["error"]["type"].endswith("/unkey/authentication/key_not_found")
            for wrong in (
                [(b"authorization", b"bearer " + text)],
                [(b"authorization", b"Bearer " + text), (b"authorization", b"Bearer " + acme.key.encode())],
                [(b"x-api-key", text)],
            ):
                assert (await _told(house, path, body, wrong)).status_code == 400, text
        guarded = await house.http.get("/forward-auth?api=api_unknown1", headers=[(b"x-api-key", text)])
        assert guarded.status_code in (400, 401), text


async def test_no_text_is_a_key_but_that_of_one(acme: Client) -> None:
    world = await world_of(acme, "acme")
    texts = [text.decode("latin-1")[:512] for text in CREDENTIALS] + [
        "\0",
        world["text"] + "\0",
        f" {world['text']}",
    ]
    for text in texts:
        verdict = await acme.data("keys.verifyKey", {"key": text})
        assert verdict == {"valid": False, "code": "NOT_FOUND"}, text
    await acme.error("keys.verifyKey", {"key": "x" * 8_192}, 400)
    for name in ("key", "token", "rootKey", "access_token"):
        answer = await acme.post(f"keys.verifyKey?{name}=' OR '1'='1", {"key": world["text"]})
        assert answer.status_code == 400, name


async def _document(house: House) -> Any:
    return (await house.http.get("/v2/openapi.json")).json()


async def _bodies(document: Any, acme: Client, text: str) -> list[tuple[str, Any]]:
    """Every body with the text at one of its places, by operation; what would be much is left out."""
    world = await world_of(acme, "acme")
    wrongs = Wrongs(document)
    found: list[tuple[str, Any]] = []
    for name, operation in OPERATIONS.items():
        told = document["paths"][f"/v2/{name.removeprefix('GET ')}"][operation.method.lower()]
        if operation.method == "POST" and "requestBody" in told:
            schema = told["requestBody"]["content"]["application/json"]["schema"]
            found += [(name, bad.body) for bad in wrongs.with_text(schema, operation.body(world), text)]
    return found


async def test_no_member_reaches_a_database_as_anything_but_a_value(house: House) -> None:
    rival = await house.tenant("rival")
    theirs, document = await world_of(rival, "rival"), await _document(house)
    for number, text in enumerate(INJECTIONS):
        client = await house.tenant(f"tenant {number}")
        for name, body in await _bodies(document, client, text):
            answer = await client.post(name, body)
            assert answer.status_code in (200, 202, 400, 403, 404, 409, 412, 429), (name, body, answer.text)
            assert not [id_ for id_ in theirs.values() if id_ in answer.text], (name, answer.text)
    assert (await rival.data("keys.verifyKey", {"key": theirs["text"]}))["valid"]


@pytest.mark.parametrize("pair", PAIRS)
async def test_what_would_be_true_and_what_would_be_false_are_answered_alike(
    house: House, pair: tuple[str, str]
) -> None:
    answers, document = [], await _document(house)
    for number, text in enumerate(pair):
        client = await house.tenant(f"tenant {number}")
        asked = await _bodies(document, client, text)
        answers.append([(name, _shape(await client.post(name, body))) for name, body in asked])
    assert answers[0] == answers[1]


def _shape(answer: httpx.Response) -> tuple[int, int]:
    data = answer.json().get("data")
    return answer.status_code, len(data) if isinstance(data, list) else -1


async def test_any_text_is_kept_as_it_is_and_shown_as_nothing_else(acme: Client, api_id: str) -> None:
    for number, text in enumerate(SHOWN):
        asked = {"apiId": api_id, "name": text, "meta": {text: [text]}}
        made = await acme.data("keys.createKey", asked)
        answer = await acme.post("keys.getKey", {"keyId": made["keyId"]})
        assert (answer.json()["data"]["name"], answer.json()["data"]["meta"]) == (text, {text: [text]})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        role = await acme.data("permissions.createRole", {"name": f"{number} {text}", "description": text})
        found = await acme.data("permissions.getRole", {"role": f"{number} {text}"})
        assert (found["id"], found["description"]) == (role["roleId"], text)
        limit = {"namespace": f"abc{text}", "identifier": text, "limit": 5, "duration": 60_000}
        assert (await acme.data("ratelimit.limit", limit))["remaining"] == 4
        refused = await acme.post("permissions.getRole", {"role": text})
        assert refused.status_code == 404 and "html" not in refused.headers["content-type"]


async def test_numbers_are_kept_exactly_or_refused(acme: Client, api_id: str) -> None:
    def body(credits: str, meta: str = "0") -> bytes:
        return b'{"apiId":"%b","credits":{"remaining":%b},"meta":{"n":%b}}' % (
            api_id.encode(),
            credits.encode(),
            meta.encode(),
        )

    async def asked(content: bytes) -> httpx.Response:
        headers = {"authorization": f"Bearer {acme.key}", "content-type": "application/json"}
        return await acme.http.post("/v2/keys.createKey", content=content, headers=headers)

    for credits in (
        "0.3",
        "0.30000000000000004",
        "1e309",
        "NaN",
        str(2**63),
        str(2**53),
        "-1",
        '"5"',
        "1e19",
    ):
        assert (await asked(body(credits))).status_code == 400, credits
    for credits, expected in (("-0", 0), ("5.0", 5), ("1e3", 1000), (str(10**12), 10**12)):
        made = (await asked(body(credits))).json()["data"]
        key = await acme.data("keys.getKey", {"keyId": made["keyId"]})
        assert repr(key["credits"]["remaining"]) == repr(expected)
    for meta in ("0.1", "0.30000000000000004", "-0.0", "1e-320", "9007199254740991", "1e300"):
        made = (await asked(body("1", meta))).json()["data"]
        kept = (await acme.data("keys.getKey", {"keyId": made["keyId"]}))["meta"]["n"]
        assert repr(kept) == repr(float(meta) if set(meta) & set(".e") else int(meta))


async def test_what_clients_send_does_not_enter_the_log(
    house: House, acme: Client, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'canary\n{"level":"audit"}\x1b[2J\u2028'
    with caplog.at_level(logging.INFO, "latchwork"):
        for name, body in await _bodies(await _document(house), acme, text):
            await acme.post(name, body)
        agent = {b"user-agent": b"canary \x1b[2J"}
        await house.http.get("/v2/canary%0A%1b%E2%80%A8?canary=%0a", headers=agent)
        await house.http.get("/forward-auth?api=canary%0A", headers=agent)
    assert "canary" not in caplog.text
    assert not [c for c in caplog.text if unicodedata.category(c) in ("Cc", "Zl") and c != "\n"]


async def test_of_members_with_one_name_the_last_counts_through_both_doors(acme: Client, api_id: str) -> None:
    made = await acme.data("keys.createKey", {"apiId": api_id})
    headers = {"authorization": f"Bearer {acme.key}", "content-type": "application/json"}
    for last, code in ((made["key"], "VALID"), ("unknown", "NOT_FOUND")):
        content = b'{"key":"unknown","key":"%b","key":"%b"}' % (made["key"].encode(), last.encode())
        # With this header the hot door leaves the request to the ordinary one.
        for more in ({}, {"x-test-time": "1800000000000"}):
            answer = await acme.http.post("/v2/keys.verifyKey", content=content, headers=headers | more)
            assert answer.json()["data"]["code"] == code
