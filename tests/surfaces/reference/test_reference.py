"""The reference page: complete, readable without scripts, and nothing from elsewhere."""

import re
from typing import Any

import httpx
import pytest

from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.reference import Reference, ReferenceDocument
from tests.surfaces.reference.pages import Page

HOSTILE = "<script>alert(1)</script>\" onload='x'"

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": f"Lamps {HOSTILE}",
        "version": "1.2",
        "description": "Lamps & more.\n\n- one\n- `two`\n\n```sh\nmake run\n```\nSee [here](/docs/rpc) or "
        "[there](https://lamps.test/x), not [this](javascript:alert) in **bold**.",
    },
    "tags": [
        {"name": "lamps", "description": "Lamps."},
        {"name": "unused", "description": "Nothing has this tag."},
    ],
    "security": [{"rootKey": []}],
    "paths": {
        "/v2/lamps.make": {
            "post": {
                "operationId": "lamps.make",
                "tags": ["lamps"],
                "summary": "Make a lamp",
                "description": "Makes **one**.",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Lamp"},
                            "example": {"name": "it's"},
                        }
                    }
                },
                "responses": {
                    "200": {
                        "description": "Done.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "properties": {"data": {"$ref": "#/components/schemas/Lamp"}},
                                    "required": ["data"],
                                }
                            }
                        },
                    },
                    "404": {"$ref": "#/components/responses/Missing"},
                    "409": {"description": "There is `one` already."},
                },
            }
        },
        "/v2/lamps.count": {
            "post": {"tags": ["lamps"], "security": [], "responses": {"204": {"description": "Nothing."}}}
        },
        "/v2/lamps.dim": {
            "post": {
                "tags": ["lamps"],
                "security": [{"cookie": []}, {"token": []}],
                "responses": {"204": {"description": "Dimmed."}},
            }
        },
        "/v2/lamps.hide": {
            "post": {
                "tags": ["lamps"],
                "security": [{"cookie": []}],
                "responses": {"204": {"description": "Gone."}},
            }
        },
        "/api/v2/lamps/{lamp.id}": {
            "parameters": [],
            "get": {
                "summary": "Get a lamp",
                "parameters": [
                    {"$ref": "#/components/parameters/Id"},
                    {
                        "name": "page",
                        "in": "query",
                        "example": [2, 3],
                        "schema": {"type": "integer", "minimum": 1, "default": 1},
                    },
                ],
                "responses": {"200": {"description": "The lamp."}},
            },
            "delete": {"responses": {"204": {"description": "Gone."}}},
        },
    },
    "components": {
        "securitySchemes": {
            "cookie": {"type": "apiKey", "in": "cookie", "name": "lamp"},
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "LAMP_TOKEN"},
        },
        "parameters": {
            "Id": {
                "name": "lamp.id",
                "in": "path",
                "required": True,
                "description": "Which.",
                "schema": {"type": "string"},
            }
        },
        "responses": {
            "Missing": {
                "description": "None",
                "content": {
                    "application/json": {
                        "examples": {
                            "lamp_not_found": {"value": {"error": {"detail": f"No lamp {HOSTILE}."}}},
                            "elsewhere": {"value": {}},
                        }
                    }
                },
            }
        },
        "schemas": {
            "Named": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 3, "maxLength": 9}},
                "required": ["name"],
            },
            "Lamp": {
                "description": f"A lamp {HOSTILE}.",
                "allOf": [{"$ref": "#/components/schemas/Named"}],
                "properties": {
                    "watts": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
                    "any": {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
                    "least": {"type": "number", "minimum": 0.5},
                    "codes": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
                    "mixed": {"type": "array"},
                    "colour": {"enum": ["red", "green", None]},
                    "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    "lit": {"type": ["boolean", "null"], "default": False},
                    "word": {"type": "string", "default": "", "pattern": "^a"},
                    "inside": {"anyOf": [{"$ref": "#/components/schemas/Lamp"}, {"type": "null"}]},
                    "spares": {"type": "array", "items": {"$ref": "#/components/schemas/Named"}},
                    "by~key/x": {"additionalProperties": {"$ref": "#/components/schemas/Named"}},
                    "free": {},
                    "late": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Named"}]},
                },
            },
        },
    },
}


def _reference(gate: DocsGate | None = None) -> httpx.AsyncClient:
    documents = [
        ReferenceDocument("rpc", "RPC", "/v2/openapi.json", lambda: DOCUMENT),
        ReferenceDocument("other", "Other", "/api/v2/openapi.json", lambda: DOCUMENT | {"paths": {}}),
    ]
    transport = httpx.ASGITransport(Reference(documents, gate))
    return httpx.AsyncClient(transport=transport, base_url="http://latchwork.test")


@pytest.fixture
async def page() -> Page:
    answer = await _reference().get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(answer.text)


async def test_every_procedure_has_a_place_and_a_link_to_it(page: Page) -> None:
    places = {attributes.get("id") for attributes in page.all("article")}
    links = {(attributes.get("href") or "").removeprefix("#") for attributes in page.all("a")}
    assert len(places) == 6
    assert places <= links
    assert "lamps.make" in places
    assert "delete-api-v2-lamps-{lamp.id}" in places


async def test_what_a_document_says_cannot_become_markup(page: Page) -> None:
    assert list(page.all("script")) == [{"src": "/docs/reference.js", "defer": None}]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: Page) -> None:
    assert not any("style" in attributes for _, attributes in page.tags)
    sources = [a.get("src") or "" for _, a in page.tags if "src" in a]
    sheets = [a.get("href") or "" for a in page.all("link")]
    assert all(source.startswith("/docs/") for source in sources + sheets)
    assert not list(page.all("style"))
    assert not list(page.all("img"))


async def test_types_and_rules_are_told_in_words(page: Page) -> None:
    for words in (
        "name string required",
        "3 to 9 characters",
        "watts integer at least 0",
        "least number at least 0.5",
        "codes array of string at most 4 items",
        "mixed array",
        "colour red | green | null",
        "id string or integer",
        "lit boolean or null default false",
        'word string matches ^a default ""',
        "inside object or null",
        "spares array of object",
        "free any value",
        "absent means false",
        "name string always",
        "lamp.id string required Which.",
        "page integer at least 1 default 1",
    ):
        assert words in page.text, words
    assert str(2**53 - 1) not in page.text


async def test_a_schema_inside_itself_ends(page: Page) -> None:
    assert "Members of inside" in page.text
    assert "Members of spares" in page.text
    assert "Members of late" in page.text
    assert "Members of by~key/x" in page.text


async def test_failures_are_told_by_name_and_sentence(page: Page) -> None:
    assert "What can go wrong" in page.text
    assert "404 lamp_not_found No lamp" in page.text
    assert "409 There is one already." in page.text


async def test_each_procedure_shows_a_request_to_copy(page: Page) -> None:
    text = "".join(page.words)
    assert "curl http://127.0.0.1:8765/v2/lamps.make \\\n  -H 'Authorization: Bearer ROOT_KEY'" in text
    assert """-d '{\n  "name": "it'"'"'s"\n}'""" in text
    assert "curl http://127.0.0.1:8765/v2/lamps.count \\\n  -X POST" in text
    assert "curl http://127.0.0.1:8765/v2/lamps.dim \\\n  -H 'Authorization: Bearer LAMP_TOKEN' \\\n" in text
    assert "curl http://127.0.0.1:8765/v2/lamps.hide \\\n  -X POST" in text
    assert "curl -X DELETE 'http://127.0.0.1:8765/api/v2/lamps/{lamp.id}'" in text
    assert "curl 'http://127.0.0.1:8765/api/v2/lamps/{lamp.id}?page=2&page=3' \\\n  -H 'Auth" in text


async def test_descriptions_are_read_as_markdown(page: Page) -> None:
    assert len(list(page.all("strong"))) >= 3
    targets = [attributes.get("href") for attributes in page.all("a")]
    assert "https://lamps.test/x" in targets
    assert "/docs/rpc" in targets
    assert not any("javascript" in (target or "") for target in targets)
    assert "make run" in page.text
    assert "Nothing has this tag." not in page.text
    assert "See here or there" in page.text


async def test_documents_are_tabs(page: Page) -> None:
    tabs = {
        a["href"]: a.get("aria-current")
        for a in page.all("a")
        if a.get("href") in ("/docs/rpc", "/docs/other")
    }
    assert tabs["/docs/other"] is None
    other = Page((await _reference().get("/docs/other")).text)
    assert [a.get("aria-current") for a in other.all("a") if a.get("href") == "/docs/other"] == ["page"]
    assert "/api/v2/openapi.json" in other.text


async def test_the_first_document_is_the_page_of_docs_itself() -> None:
    client = _reference()
    bodies = {(await client.get(path)).text for path in ("/docs", "/docs/", "/docs/rpc")}
    assert len(bodies) == 1


async def test_the_policy_allows_only_this_servers_own_files() -> None:
    answer = await _reference().get("/docs")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert re.fullmatch("req_[0-9A-Za-z]{9}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("reference.css", "text/css; charset=utf-8"), ("reference.js", "text/javascript; charset=utf-8")],
)
async def test_style_and_script_are_served_beside_the_page(name: str, media_type: str) -> None:
    answer = await _reference().get(f"/docs/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert "url(" not in answer.text
    assert "https://" not in answer.text


async def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    client = _reference()
    first = await client.get("/docs")
    again = await client.get("/docs", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_head_answers_without_the_page() -> None:
    answer = await _reference().head("/docs")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/../etc/passwd", "/docs/assets/reference.css"])
async def test_what_is_not_there_is_404(path: str) -> None:
    assert (await _reference().get(path)).status_code == 404


async def test_the_page_is_read_only() -> None:
    answer = await _reference().post("/docs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_only_http_is_spoken() -> None:
    async def unused(*_: Any) -> Any:
        raise AssertionError

    await Reference([ReferenceDocument("rpc", "RPC", "/", lambda: DOCUMENT)])(
        {"type": "lifespan"}, unused, unused
    )


@pytest.mark.parametrize(("access", "expected"), [("off", 404), ("admin", 404), ("public", 200)])
@pytest.mark.parametrize("path", ["/docs", "/docs/reference.css"])
async def test_the_page_can_be_hidden(access: Any, expected: int, path: str) -> None:
    assert (await _reference(DocsGate(access)).get(path)).status_code == expected
