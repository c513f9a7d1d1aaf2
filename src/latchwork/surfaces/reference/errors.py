"""Pages of errors: one for each code, at the address that the `type` of an error gives."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from typing import Any

from latchwork.surfaces.reference.markup import Html, inline, join, tag
from latchwork.surfaces.reference.shell import Entry, Shell, Tab, copyable

_EXAMPLE_ID = "req_4sTq0XbZ1"
_TOLD = 12  # procedures named on a page; what more of them answer, nearly all do


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a code stands for: when it happens, the fixed sentence if there is one, what to do."""

    when: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """Everything behind one code. `operations` are the ids of the procedures that may answer it.

    `lists_violations`: the error has a list `errors`.
    """

    code: str
    status: int
    title: str
    meanings: tuple[Meaning, ...]
    operations: tuple[str, ...] = ()
    lists_violations: bool = False

    @property
    def name(self) -> str:
        """The last part of the code."""
        return self.code.rpartition("/")[2]

    @property
    def category(self) -> str:
        """The code without its last part."""
        return self.code.rpartition("/")[0]

    @property
    def remedies(self) -> tuple[str, ...]:
        """What can be done, each once."""
        return tuple(dict.fromkeys(meaning.remedy for meaning in self.meanings))


class ErrorPages:
    """Renders the pages: the list of all errors, and one for each."""

    def __init__(self, kinds: Sequence[ErrorKind], tabs: Sequence[Tab]) -> None:
        self._kinds = sorted(kinds, key=lambda kind: kind.code)
        self._tabs = tabs

    def render(self, code: str) -> bytes | None:
        """The page of a code, or with none the list; `None` where there is no such code."""
        if not code:
            return self._shell("Errors", "").around(_list(self._kinds))
        found = next((kind for kind in self._kinds if kind.code == code), None)
        return None if found is None else self._shell(found.name, code).around(_page(found))

    def _shell(self, title: str, current: str) -> Shell:
        groups = [
            (category, [_entry(kind, current) for kind in kinds]) for category, kinds in _grouped(self._kinds)
        ]
        return Shell(f"{title} · Latchwork", version("latchwork"), "error", self._tabs, groups)


def _grouped(kinds: Sequence[ErrorKind]) -> Iterator[tuple[str, list[ErrorKind]]]:
    for category, found in groupby(kinds, key=lambda kind: kind.category):
        yield category, list(found)


def _href(kind: ErrorKind) -> str:
    return f"/docs/errors/{kind.code}"


def _entry(kind: ErrorKind, current: str) -> Entry:
    return Entry(kind.name, _href(kind), f"{kind.code} {kind.status} {kind.title}", kind.code == current)


def _list(kinds: Sequence[ErrorKind]) -> Html:
    lead = (
        "Every error carries `type`, an address that ends with one of these codes and leads to its page. "
        "The outcome of a verification is no error but data: see `code` in the answer of `keys.verifyKey`."
    )
    rows = [
        tag(
            "div",
            tag(
                "dt",
                tag("a", tag("code", kind.code, class_="name"), href=_href(kind)),
                tag("span", f"{kind.status} {kind.title}", class_="type"),
            ),
            tag("dd", tag("p", inline(kind.meanings[0].when))),
            class_="member",
        )
        for kind in kinds
    ]
    header = tag("header", tag("h1", "Errors"), tag("p", inline(lead)))
    return join([header, tag("dl", rows, class_="members")])


def _page(kind: ErrorKind) -> Html:
    header = tag(
        "header",
        tag("h1", kind.name),
        tag("p", tag("code", str(kind.status), class_="bad"), f" {kind.title} ", tag("code", kind.code)),
    )
    told = tag(
        "div",
        tag("h4", "When it is answered"),
        tag("ul", [tag("li", _meaning(meaning)) for meaning in kind.meanings]),
        tag("h4", "What to do"),
        tag("ul", [tag("li", inline(remedy)) for remedy in kind.remedies]),
        _operations(kind),
        class_="told",
    )
    example = tag("div", copyable("Answer", _example(kind), "json"), class_="shown")
    return join([header, tag("article", tag("div", told, example, class_="columns"))])


def _meaning(meaning: Meaning) -> Html:
    detail = tag("p", f"“{meaning.detail}”", class_="rule") if meaning.detail else None
    return join([inline(meaning.when), detail])


def _operations(kind: ErrorKind) -> Html:
    if not kind.operations:
        return Html()
    if len(kind.operations) > _TOLD:
        return join(
            [tag("h4", "Answered by"), tag("p", f"{len(kind.operations)} procedures of the RPC API.")]
        )
    links = [tag("li", tag("a", name, href=f"/docs/rpc#{name}")) for name in kind.operations]
    return join([tag("h4", "Answered by"), tag("ul", links)])


def _example(kind: ErrorKind) -> str:
    detail = next(
        (each.detail for each in kind.meanings if each.detail), "A sentence about this very request."
    )
    error: dict[str, Any] = {
        "title": kind.title,
        "detail": detail,
        "status": kind.status,
        "type": f"…{_href(kind)}",
    }
    if kind.lists_violations:
        error["errors"] = []
    body = {"meta": {"requestId": _EXAMPLE_ID}, "error": error}
    return json.dumps(body, indent=2, ensure_ascii=False)


def markdown(kinds: Sequence[ErrorKind]) -> str:
    """All of them as one Markdown page, each under a heading of its own."""
    ordered = sorted(kinds, key=lambda kind: kind.code)
    rows = [f"| [`{kind.code}`](#{_anchor(kind.code)}) | {kind.status} | {kind.title} |" for kind in ordered]
    return "\n".join([_INTRODUCTION, *rows, *(_section(kind) for kind in ordered)]) + "\n"


def _section(kind: ErrorKind) -> str:
    meanings = [f"- {each.when}" + (f" “{each.detail}”" if each.detail else "") for each in kind.meanings]
    lines = [f"\n### {kind.code}", f"\n{kind.status} {kind.title}.\n", *meanings, "", " ".join(kind.remedies)]
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """The fragment that Markdown renderers make of a heading."""
    return "".join(each for each in heading if each.isalnum() or each in "_-")


_INTRODUCTION = """\
# Errors

Every error carries a `type`: an address of the server itself that ends with one of the codes below and leads to the
code's page (`/docs/errors/<code>`). Tell errors apart by the code, which stays; titles and details are for people. The
outcome of a verification is no error but data: see `code` in the answer of `keys.verifyKey`.

This page is made by `scripts/errors_reference.py`.

| Code | Status | Title |
|---|---|---|"""
