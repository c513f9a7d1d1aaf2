"""The document says what the server does, and nothing else."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from latchwork.kernel.faults import Forbidden
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.rpc.bodies import BodyReader
from latchwork.surfaces.rpc.examples import example_of
from tests.surfaces.rpc.plumbing.things import World, things

Document = dict[str, Any]


@pytest.fixture
async def document(world: World) -> Document:
    answer = await world.client.get("/v2/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    read: Document = answer.json()
    return read


def _operation(document: Document, procedure: str, method: str = "post") -> Document:
    found: Document = document["paths"][f"/v2/things.{procedure}"][method]
    return found


def _schema(document: Document, schema: Document) -> Draft202012Validator:
    return Draft202012Validator({"components": document["components"]} | schema)


async def test_the_document_is_valid_openapi(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_the_document_has_every_route_and_no_other(world: World, document: Document) -> None:
    documented = {
        path: {method.upper() for method in item if method != "parameters"}
        for path, item in document["paths"].items()
    }
    assert documented == {path: set(methods) for path, methods in world.app.paths.items()}


async def test_every_operation_has_an_id_of_its_own(document: Document) -> None:
    ids = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))
    assert "things.make" in ids
    assert {"things.remove", "things.remove.delete", "things.remove.put", "things.find.get"} <= set(ids)


async def test_an_operation_tells_what_it_is_and_needs(document: Document) -> None:
    make = _operation(document, "make")
    assert make["tags"] == ["things"]
    assert make["summary"] == "Make a thing"
    assert make["description"].startswith("Makes a thing and answers its id.")
    assert "Permission: `thing.*.make`." in make["description"]
    assert make["x-permission"] == "thing.*.make"
    assert make["security"] == [{"rootKey": []}]


async def test_an_open_operation_needs_no_key(document: Document) -> None:
    look = _operation(document, "open")
    assert look["security"] == []
    assert set(look["responses"]) == {"200", "400", "408", "413", "415", "500", "503"}
    assert "RateLimit-Limit" not in look["responses"]["200"]["headers"]


async def test_every_status_that_may_be_answered_is_there(document: Document) -> None:
    expected = {"200", "400", "401", "403", "408", "409", "413", "415", "429", "500", "503"}
    assert set(_operation(document, "make")["responses"]) == expected
    assert "404" in _operation(document, "rename")["responses"]
    assert "202" in _operation(document, "status")["responses"]
    assert "413" not in _operation(document, "status")["responses"]


async def test_faults_are_named_by_their_codes(document: Document) -> None:
    refused = _operation(document, "make")["responses"]["400"]
    assert "`unkey/application/invalid_input`" in refused["description"]
    assert "`unkey/authentication/malformed`" in refused["description"]
    assert set(refused["content"]["application/json"]["examples"]) == {"invalid_input", "malformed"}


async def test_content_types_are_those_that_are_sent(document: Document) -> None:
    def types(procedure: str, status: str) -> set[str]:
        return set(_operation(document, procedure)["responses"][status]["content"])

    both = {"application/json", "application/problem+json"}
    assert types("make", "200") == types("make", "500") == {"application/json"}
    assert types("make", "429") == {"application/problem+json"}
    assert types("make", "403") == both
    assert types("forget", "404") == types("forget", "500") == {"application/problem+json"}
    assert types("rename", "429") == types("rename", "404") == {"application/json"}


async def test_admission_may_add_faults_to_every_authenticated_operation() -> None:
    class Banned(Forbidden):
        """You are banned."""

        code = "unkey/authorization/banned"

    document = World(admission_faults=[Banned]).app.openapi()
    assert "banned" in _operation(document, "make")["responses"]["403"]["description"]
    assert "403" not in _operation(document, "open")["responses"]


async def test_what_is_answered_matches_the_document(world: World, document: Document) -> None:
    asked: list[tuple[str, Any]] = [
        ("make", {"name": "lamp"}),
        ("make", {"name": "x"}),
        ("make", {}),
        ("makeMany", [{"name": "lamp"}]),
        ("list", {}),
        ("list", {"cursor": "x"}),
        ("forget", {"thingId": "a"}),
        ("forget", {"thingId": "none"}),
        ("status", {}),
        ("fail", {"kind": "refuse"}),
        ("fail", {"kind": "unavailable"}),
        ("fail", {"kind": "boom"}),
    ]
    for procedure, body in asked:
        answer = await world.post(procedure, body)
        described = _operation(document, procedure)["responses"][str(answer.status_code)]
        content = described["content"][answer.headers["content-type"]]
        _schema(document, content["schema"]).validate(answer.json())


async def test_examples_of_errors_match_their_schemas(document: Document) -> None:
    checked = 0
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                for content in response["content"].values():
                    for example in content.get("examples", {}).values():
                        _schema(document, content["schema"]).validate(example["value"])
                        assert example["value"]["error"]["detail"]
                        checked += 1
    assert checked > 50


async def test_every_example_of_a_request_is_accepted(document: Document) -> None:
    for procedure in things.procedures:
        if procedure.body is None or procedure.methods == ("GET",):
            continue
        content = document["paths"][procedure.path]["post"]["requestBody"]["content"]["application/json"]
        BodyReader[Any](procedure.body, "").convert(content["example"])
    assert _operation(document, "make")["requestBody"]["content"]["application/json"]["example"]["count"] == 2


async def test_a_body_that_may_be_left_out_is_not_required(document: Document) -> None:
    assert _operation(document, "make")["requestBody"]["required"] is True
    assert _operation(document, "makeMany")["requestBody"]["required"] is True
    assert _operation(document, "list")["requestBody"]["required"] is False
    assert "requestBody" not in _operation(document, "status")


async def test_a_query_is_documented_as_parameters(document: Document) -> None:
    find = _operation(document, "find", "get")
    parameters = {parameter["name"]: parameter for parameter in find["parameters"]}
    assert parameters["thingId"]["required"] is True
    assert parameters["thingId"]["example"] == "thing_1"
    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "At most so many.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 100},
    }
    assert parameters["tag"]["schema"]["type"] == "array"
    assert "parameters" in _operation(document, "remove", "delete")


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"type": "string", "examples": ["x"]}, "x"),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 1000}, 1000),
        ({"type": ["boolean", "null"]}, True),
        ({"type": "number"}, 1.0),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [1, 1]),
        ({"type": "object"}, {}),
        ({}, {}),
        (
            {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {"type": "integer"},
                    "c": {"type": "integer", "examples": [7]},
                },
                "required": ["a"],
            },
            {"a": 1, "c": 7},
        ),
    ],
)
def test_examples_are_made_of_what_a_schema_asks_for(schema: Document, example: Any) -> None:
    assert example_of(schema) == example


async def test_the_document_is_made_once(world: World) -> None:
    first = await world.client.get("/v2/openapi.json")
    second = await world.client.get("/v2/openapi.json")
    assert first.content == second.content
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_the_document_is_read_only(world: World) -> None:
    answer = await world.client.post("/v2/openapi.json")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(("access", "expected"), [("off", 404), ("admin", 404), ("public", 200)])
async def test_the_document_can_be_hidden(access: Any, expected: int) -> None:
    world = World(docs=DocsGate(access))
    assert (await world.client.get("/v2/openapi.json")).status_code == expected


async def test_administrators_may_be_shown_the_document() -> None:
    async def is_admin(scope: Any) -> bool:
        return dict(scope["headers"]).get(b"cookie") == b"admin"

    world = World(docs=DocsGate("admin", is_admin))
    assert (await world.client.get("/v2/openapi.json")).status_code == 404
    seen = await world.client.get("/v2/openapi.json", headers={"cookie": "admin"})
    assert seen.status_code == 200
