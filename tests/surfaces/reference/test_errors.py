"""The pages of errors: where the `type` of an error leads."""

import subprocess
import sys

import httpx
import pytest

from latchwork.compose.errors import error_kinds
from latchwork.compose.surfaces import ADMISSION_FAULTS, FAMILIES
from latchwork.surfaces.http.docs import DocsGate
from latchwork.surfaces.reference import ErrorKind, Meaning, Reference, ReferenceDocument, markdown
from tests.shape.tree import ROOT
from tests.surfaces.reference.pages import Page

HOSTILE = "<script>alert(1)</script>"
LAMP = ErrorKind(
    "unkey/data/lamp_not_found",
    404,
    "Not Found",
    (
        Meaning(f"No lamp has that `id` {HOSTILE}.", "There is no such lamp.", "Light another."),
        Meaning("It is dark.", "", "Light another."),
    ),
    ("lamps.light",),
)
BROKEN = ErrorKind(
    "unkey/application/broken",
    500,
    "Internal Server Error",
    (Meaning("A defect.", "", "Report it."),),
    tuple(f"lamps.do{number}" for number in range(13)),
    lists_violations=True,
)


def _client(gate: DocsGate | None = None) -> httpx.AsyncClient:
    documents = [ReferenceDocument("rpc", "RPC", "/v2/openapi.json", dict)]
    reference = Reference(documents, gate, lambda: [LAMP, BROKEN])
    return httpx.AsyncClient(transport=httpx.ASGITransport(reference), base_url="http://latchwork.test")


async def _page(path: str) -> Page:
    answer = await _client().get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(answer.text)


async def test_a_code_has_a_page_that_says_when_and_what_to_do() -> None:
    page = await _page("/docs/errors/unkey/data/lamp_not_found")
    for words in (
        "404 Not Found unkey/data/lamp_not_found",
        f"No lamp has that id {HOSTILE}.",
        "“There is no such lamp.”",
        "It is dark.",
        '"type": "…/docs/errors/unkey/data/lamp_not_found"',
    ):
        assert words in page.text, words
    assert page.text.count("Light another.") == 1
    assert list(page.all("script")) == [{"src": "/docs/reference.js", "defer": None}]


async def test_a_page_links_to_the_procedures_that_answer_it() -> None:
    links = [a.get("href") for a in (await _page("/docs/errors/unkey/data/lamp_not_found")).all("a")]
    assert "/docs/rpc#lamps.light" in links
    assert '"errors": []' in (await _page("/docs/errors/unkey/application/broken")).text
    assert "13 procedures" in (await _page("/docs/errors/unkey/application/broken")).text


async def test_the_list_leads_to_every_page() -> None:
    page = await _page("/docs/errors")
    links = [a.get("href") or "" for a in page.all("a")]
    assert {"/docs/errors/unkey/data/lamp_not_found", "/docs/errors/unkey/application/broken"} <= set(links)
    assert [a.get("aria-current") for a in page.all("a") if a.get("href") == "/docs/errors"] == ["page"]


async def test_the_page_that_is_read_is_marked_in_the_list() -> None:
    page = await _page("/docs/errors/unkey/data/lamp_not_found")
    marked = [a["href"] for a in page.all("a") if a.get("aria-current")]
    assert marked == ["/docs/errors", "/docs/errors/unkey/data/lamp_not_found"]


@pytest.mark.parametrize("path", ["unkey/data/nothing", "unkey/data", "lamp_not_found"])
async def test_a_code_that_is_not_there_has_no_page(path: str) -> None:
    assert (await _client().get(f"/docs/errors/{path}")).status_code == 404


async def test_who_may_not_read_the_reference_sees_no_errors() -> None:
    assert (await _client(DocsGate("off")).get("/docs/errors")).status_code == 404


async def test_every_real_error_has_a_page() -> None:
    kinds = error_kinds(FAMILIES, ADMISSION_FAULTS)
    assert len(kinds) > 40
    reference = Reference([ReferenceDocument("rpc", "RPC", "/v2/openapi.json", dict)], None, lambda: kinds)
    transport = httpx.ASGITransport(reference)
    async with httpx.AsyncClient(transport=transport, base_url="http://latchwork.test") as client:
        for kind in kinds:
            page = Page((await client.get(f"/docs/errors/{kind.code}")).text)
            assert all(meaning.when and meaning.remedy for meaning in kind.meanings), kind
            assert f"{kind.status} {kind.title} {kind.code}" in page.text


def test_in_markdown_each_code_has_a_heading_that_the_table_leads_to() -> None:
    text = markdown([LAMP, BROKEN])
    assert "| [`unkey/data/lamp_not_found`](#unkeydatalamp_not_found) | 404 | Not Found |" in text
    assert "\n### unkey/data/lamp_not_found\n" in text
    assert text.index("application/broken") < text.index("data/lamp_not_found")


def test_the_written_reference_is_the_one_that_the_faults_give() -> None:
    made = [sys.executable, str(ROOT / "scripts" / "errors_reference.py")]
    printed = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs" / "reference" / "errors.md").read_text()
    assert written == printed, "run: .venv/bin/python scripts/errors_reference.py > docs/reference/errors.md"
