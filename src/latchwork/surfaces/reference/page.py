"""One document as one page: a list of procedures on the left, everything about each on the right."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from latchwork.surfaces.reference.markup import Html, inline, join, prose, tag
from latchwork.surfaces.reference.schemas import GIVEN, Schemas
from latchwork.surfaces.reference.shell import Entry, Shell, Tab, copyable

_METHODS = ("get", "post", "put", "patch", "delete")
_SERVER = "http://127.0.0.1:8765"  # replaced by the page's own address where scripts run


class _Operation(NamedTuple):
    path: str
    method: str
    node: Mapping[str, Any]

    @property
    def anchor(self) -> str:
        """A fragment that stays the same as long as the procedure exists."""
        return str(self.node.get("operationId") or f"{self.method}-{self.path.strip('/').replace('/', '-')}")

    @property
    def label(self) -> str:
        """The name in the list: `createApi`, or the path where addresses are nouns."""
        _, dot, procedure = self.path.rpartition(".")
        return procedure if dot and "{" not in self.path else self.path


class Page:
    """Renders one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any], tabs: Sequence[Tab], source: str) -> None:
        self._document = document
        self._tabs = tabs
        self._source = source
        self._schemas = Schemas(document)

    def render(self) -> bytes:
        """The whole page in UTF-8."""
        info = self._document["info"]
        groups = [
            (str(group["name"]), [_entry(o) for o in operations]) for group, operations in self._groups()
        ]
        shell = Shell(str(info["title"]), str(info["version"]), "procedure", self._tabs, groups)
        return shell.around(self._main(info))

    def _groups(self) -> Iterator[tuple[Mapping[str, Any], list[_Operation]]]:
        operations = [
            _Operation(path, method, item[method])
            for path, item in self._document["paths"].items()
            for method in _METHODS
            if method in item
        ]
        declared = {str(t["name"]): t for t in self._document.get("tags", ())}
        used = dict.fromkeys(_tag_of(operation) for operation in operations)
        for name in [*(n for n in declared if n in used), *(n for n in used if n not in declared)]:
            yield declared.get(name, {"name": name}), [o for o in operations if _tag_of(o) == name]

    def _main(self, info: Mapping[str, Any]) -> Html:
        intro = tag(
            "header",
            tag("h1", str(info["title"])),
            prose(str(info.get("description", ""))),
            tag("p", "As data: ", tag("a", self._source, href=self._source)),
        )
        return join([intro, [self._group(group, operations) for group, operations in self._groups()]])

    def _group(self, group: Mapping[str, Any], operations: list[_Operation]) -> Html:
        head = tag("header", tag("h2", str(group["name"])), prose(str(group.get("description", ""))))
        return tag("section", head, [self._operation(o) for o in operations], class_="group")

    def _operation(self, operation: _Operation) -> Html:
        node = operation.node
        title = tag("a", str(node.get("summary") or operation.label), href=f"#{operation.anchor}")
        badge = tag("span", operation.method.upper(), class_=f"method {operation.method}")
        address = tag("p", badge, tag("code", operation.path), class_="address")
        told = tag(
            "div",
            prose(str(node.get("description", ""))),
            self._parameters(node),
            self._body(node),
            self._answers(node),
            class_="told",
        )
        example = tag("div", copyable("Request", self._curl(operation), "curl"), class_="shown")
        parts = (tag("h3", title), address, tag("div", told, example, class_="columns"))
        return tag("article", *parts, id=operation.anchor)

    def _parameters(self, node: Mapping[str, Any]) -> Html:
        found = [self._schemas.resolve(p) for p in node.get("parameters", ())]
        if not found:
            return Html()
        properties = {p["name"]: _as_property(p) for p in found}
        required = [p["name"] for p in found if p.get("required")]
        return join(
            [
                tag("h4", "Parameters"),
                self._schemas.members({"properties": properties, "required": required}),
            ]
        )

    def _body(self, node: Mapping[str, Any]) -> Html:
        if "requestBody" not in node:
            return Html()
        body = self._schemas.resolve(node["requestBody"])
        media_type, content = next(iter(body["content"].items()))
        schema = self._schemas.resolve(content.get("schema", {}))
        kind = tag("span", f"{self._schemas.type_of(schema)}, {media_type}", class_="type")
        heading = tag("h4", "Request body ", kind)
        return join([heading, self._schemas.about(schema), self._schemas.members(schema)])

    def _answers(self, node: Mapping[str, Any]) -> Html:
        answers = {status: self._schemas.resolve(answer) for status, answer in node["responses"].items()}
        good = [self._success(s, a) for s, a in answers.items() if s.startswith("2")]
        bad = [
            tag("div", _refusal(s, a), class_="refusal") for s, a in answers.items() if not s.startswith("2")
        ]
        more = tag("details", tag("summary", "What can go wrong"), bad, class_="refusals") if bad else None
        return join([tag("h4", "Answer"), good, more])

    def _success(self, status: str, answer: Mapping[str, Any]) -> Html:
        media_types = list(answer.get("content", {}))
        head = tag(
            "p",
            tag("code", status, class_="good"),
            " ",
            inline(str(answer.get("description", ""))),
            tag("span", " ", " or ".join(media_types), class_="type"),
        )
        shown = answer["content"][media_types[0]].get("schema", {}) if media_types else {}
        return join([head, self._schemas.members(shown, GIVEN)])

    def _query(self, node: Mapping[str, Any]) -> str:
        parameters = [self._schemas.resolve(p) for p in node.get("parameters", ())]
        asked = {p["name"]: p["example"] for p in parameters if p["in"] == "query" and "example" in p}
        return f"?{urlencode(asked, doseq=True)}" if asked else ""

    def _curl(self, operation: _Operation) -> str:
        node = operation.node
        verb = "" if operation.method in ("get", "post") else f"-X {operation.method.upper()} "
        lines = [f"curl {verb}{shlex.quote(_SERVER + operation.path + self._query(node))}"]
        lines += self._credentials(node)
        content = self._schemas.resolve(node.get("requestBody", {})).get("content", {})
        if "application/json" in content:
            body = content["application/json"].get("example", {})
            lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body, indent=2))}"]
        elif operation.method == "post":
            lines.append("-X POST")
        return " \\\n  ".join(lines)

    def _credentials(self, node: Mapping[str, Any]) -> list[str]:
        """The header of the first bearer scheme that the operation accepts."""
        schemes = self._document.get("components", {}).get("securitySchemes", {})
        for alternative in node.get("security", self._document.get("security")) or ():
            for name in alternative:
                scheme = schemes.get(name, {"scheme": "bearer"})
                if scheme.get("scheme") == "bearer":
                    return [f"-H 'Authorization: Bearer {scheme.get('bearerFormat', 'ROOT_KEY')}'"]
        return []


def _tag_of(operation: _Operation) -> str:
    return str((operation.node.get("tags") or ["other"])[0])


def _entry(operation: _Operation) -> Entry:
    words = f"{operation.path} {operation.node.get('summary', '')}"
    verb = tag("span", operation.method.upper(), class_=f"method {operation.method}")
    verb = verb if operation.label == operation.path else Html()
    return Entry(join([verb, operation.label]), f"#{operation.anchor}", words)


def _as_property(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    about = {"description": parameter.get("description", "")}
    return {**parameter.get("schema", {}), **about}


def _refusal(status: str, answer: Mapping[str, Any]) -> Html:
    """A failure as its status and, of every example it gives, the name and the sentence."""
    told = {
        name: example["value"].get("error", {}).get("detail", "")
        for content in answer.get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    }
    code = tag("code", status, class_="bad")
    rows = [tag("li", tag("code", name), " ", detail) for name, detail in told.items()]
    return join([code, tag("ul", rows) if rows else tag("p", inline(str(answer.get("description", ""))))])
