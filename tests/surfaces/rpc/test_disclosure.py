"""What answers tell: nothing but what the document declares, and of what is wrong or foreign no more than must be."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NoReturn

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import Engine, event

from tests.surfaces.rpc.conftest import House
from tests.surfaces.rpc.test_authorisation import OPERATIONS, ask, nobodys, outcome, world_of

UPKEEP = ("outbox", "credit_journal", "key_uses", "UPDATE credit_balances")
"""Of what is written and read beside requests, whenever it is time."""

pytestmark = pytest.mark.parametrize("house", ["sqlite"], indirect=True)

PRIVATE = "SELECT secret FROM keys WHERE host = 'db.internal' -- /etc/latchwork/kek"
FOREIGN = [name for name, operation in OPERATIONS.items() if operation.missing in (404, "NOT_FOUND")]


# Nothing that is not declared


class _Strict:
    """Schemas of a document in which an object has no members but those that are declared."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]

    def of(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema without references, closed."""
        closed = self._open(schema)
        return closed | ({"unevaluatedProperties": False} if "properties" in closed else {})

    def _open(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return self._open(self._schemas[schema["$ref"].rpartition("/")[2]])
        opened = dict(schema)
        if "properties" in schema:
            opened["properties"] = {name: self.of(each) for name, each in schema["properties"].items()}
        if "items" in schema:
            opened["items"] = self.of(schema["items"])
        if "allOf" in schema:
            opened["allOf"] = [self._open(each) for each in schema["allOf"]]
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                opened[keyword] = [self.of(each) for each in schema[keyword]]
        return opened


async def test_no_answer_has_a_member_that_is_not_declared(house: House) -> None:
    document = (await house.http.get("/v2/openapi.json")).json()
    strict, checked = _Strict(document), 0
    for number, (name, operation) in enumerate(OPERATIONS.items()):
        acme, rival = await house.tenant(f"acme {number}"), await house.tenant(f"rival {number}")
        world, theirs = await world_of(acme, "acme"), await world_of(rival, "rival")
        await house.platform.runner.settled()
        told = document["paths"][f"/v2/{name.removeprefix('GET ')}"][operation.method.lower()]["responses"]
        secrets = [acme.key, *_forms_of(world["text"])]
        for client, wanted in ((rival, world), (rival, nobodys(theirs)), (acme, world)):
            answer = await ask(house, name, f"Bearer {client.key}", operation.body(wanted))
            content = told[str(answer.status_code)]["content"][answer.headers["content-type"]]
            validator = Draft202012Validator(strict.of(content["schema"]))
            wrong = [error.message for error in validator.iter_errors(answer.json())]
            assert not wrong, (name, wrong, answer.text)
            assert not [secret for secret in secrets if secret in answer.text], (name, answer.text)
            checked += 1
    assert checked == 3 * len(OPERATIONS)


def _forms_of(text: str) -> list[str]:
    """A key, and what is kept of it."""
    digest = sha256(text.encode()).digest()
    return [text, text[-20:], digest.hex(), b64encode(digest).decode()]


# When parts fail


async def test_whatever_fails_is_told_in_one_sentence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = await house.tenant("acme")
    world = await world_of(acme, "acme")
    await house.platform.runner.settled()

    async def broken(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(PRIVATE)

    monkeypatch.setattr(house.platform.db, "read", broken)
    monkeypatch.setattr(house.platform.db, "write", broken)
    bodies: dict[int, set[str]] = {}
    for name, operation in OPERATIONS.items():
        answer = await ask(house, name, f"Bearer {acme.key}", operation.body(world))
        if answer.status_code < 500:
            assert outcome(answer) in (operation.success, "VALID"), (name, answer.text)  # from memory
            continue
        body = answer.json()
        assert body.pop("meta").keys() == {"requestId"}
        bodies.setdefault(answer.status_code, set()).add(json.dumps(body))
        assert not [word for word in PRIVATE.split() if len(word) > 3 and word in answer.text], answer.text
    assert bodies.keys() == {500} and len(bodies[500]) == 1


# The same work for what is foreign and what is not there


@contextmanager
def _statements() -> Iterator[list[str]]:
    """What databases are asked meanwhile."""
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_what_is_foreign_costs_the_database_what_nothing_costs(house: House) -> None:
    """So that the time an answer takes tells nothing either."""
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    world = await world_of(acme, "acme")
    await world_of(rival, "rival")
    await house.platform.runner.settled()
    for name in FOREIGN:
        asked: list[list[str]] = []
        for wanted in (nobodys(world), world):
            body = OPERATIONS[name].body(wanted)
            await ask(house, name, f"Bearer {rival.key}", body)  # what memory keeps it has now
            with _statements() as said:
                answer = await ask(house, name, f"Bearer {rival.key}", body)
            assert outcome(answer) == OPERATIONS[name].missing
            asked.append(sorted(each for each in said if not any(table in each for table in UPKEEP)))
        assert asked[0] == asked[1], name


async def test_a_key_that_is_in_no_memory_is_one_question_whosever_it_is(house: House) -> None:
    acme, rival = await house.tenant("acme"), await house.tenant("rival")
    await world_of(rival, "rival")
    api = (await acme.data("apis.createApi", {"name": "payments"}))["apiId"]
    states: dict[str, dict[str, Any]] = {"foreign": {}, "off": {"enabled": False}, "deleted": {}}
    made = {
        state: await acme.data("keys.createKey", {"apiId": api, "prefix": "prod"} | more)
        for state, more in states.items()
    }
    await acme.data("keys.deleteKey", {"keyId": made["deleted"]["keyId"]})
    unknown = made["foreign"]["key"][:-8] + "xxxxxxxx"
    for text in (unknown, *(each["key"] for each in made.values())):
        with _statements() as said:
            verdict = await rival.data("keys.verifyKey", {"key": text})
        assert verdict == {"valid": False, "code": "NOT_FOUND"}
        assert len([each for each in said if each.startswith("SELECT")]) == 1, said
