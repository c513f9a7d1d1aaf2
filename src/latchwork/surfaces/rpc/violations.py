"""What is wrong with a request, in words: the keyword it breaks, got and wanted, and the remedy.

Nothing that was sent is repeated here but the names of unknown members, numbers, lengths and types:
a body may hold a secret.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from latchwork.surfaces.rpc.faults import Violation
from latchwork.surfaces.rpc.schemas import Schema
from latchwork.surfaces.rpc.trees import Finding, Path

if TYPE_CHECKING:
    from jsonschema import ValidationError

_ECHO_CHARACTERS = 100
_MESSAGE_CHARACTERS = 300
_FLAW = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
_JSON_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
_Words = tuple[str, str]
_Wording = Callable[["ValidationError", str], _Words]


def spoken(path: Path) -> str:
    """A place in a body as people write it: `credits.refill[2]`."""
    if not path:
        return "the body"
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"`{_cut(steps.removeprefix('.'))}`"


def violation_of(finding: Finding) -> Violation:
    """A finding of ours that no schema keyword expresses."""
    place = _location(finding.path)
    return Violation(place, finding.what, f"Send {spoken(finding.path)} {finding.remedy}.")


def flaw(error: Exception) -> Violation:
    """The one thing that a decoder said before it gave up."""
    if isinstance(error, UnicodeDecodeError):
        return Violation("/", "the body is not valid UTF-8", "Send JSON that is encoded as UTF-8.")
    if isinstance(error, RecursionError):
        return Violation("/", "nested too deep", "Send JSON with fewer levels.")
    if not isinstance(error, msgspec.ValidationError):
        return Violation("/", f"not valid JSON: {error}"[:_MESSAGE_CHARACTERS], "Send one JSON value.")
    found = _FLAW.fullmatch(str(error))
    what, steps = (found["what"], found["path"]) if found else (str(error), "")
    path: Path = tuple(s["name"] or int(s["index"]) for s in _STEP.finditer(steps or ""))
    return Violation(_location(path), what[:_MESSAGE_CHARACTERS], f"Change {spoken(path)} accordingly.")


def violations(schema: Schema, value: Any, most: int) -> list[Violation]:
    """Everything in which a decoded value breaks a schema without references, in order, at most `most`."""
    from jsonschema import Draft202012Validator

    return [_described(error) for error in islice(Draft202012Validator(schema).iter_errors(value), most)]


def _described(error: "ValidationError") -> Violation:
    message, fix = _WORDS.get(str(error.validator), _otherwise)(error, spoken(tuple(error.absolute_path)))
    location = "".join(f"/{_escaped(step)}" for step in error.absolute_schema_path)
    return Violation(location, message[:_MESSAGE_CHARACTERS], fix[:_MESSAGE_CHARACTERS])


def _bound(keyword: str, measured: Callable[[Any], Any], demand: str) -> _Wording:
    def words(error: "ValidationError", place: str) -> _Words:
        got, want = _cut(str(measured(error.instance))), error.validator_value
        return f"{keyword}: got {got}, want {want}", f"Send {place} {demand.format(want)}."

    return words


def _demanded(error: "ValidationError") -> Any:
    return error.validator_value


def _type(error: "ValidationError", place: str) -> _Words:
    wanted = _demanded(error)
    want = wanted if isinstance(wanted, str) else " or ".join(wanted)
    got = _JSON_TYPES[type(error.instance)]
    return f"got {got}, want {want}", f"Send {place} as {want}."


def _required(error: "ValidationError", place: str) -> _Words:
    # The library makes one error of each missing member and names it only in its message.
    name = error.message.rsplit(" is a required", 1)[0].strip("'")
    return f"missing property '{name}'", f"Add `{name}` to {place}."


def _additional(error: "ValidationError", place: str) -> _Words:
    instance: Any = error.instance
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    unknown = (name for name in instance if name not in known)
    extra = _cut(", ".join(f"'{name}'" for name in islice(unknown, 20)))
    return f"additional properties {extra} not allowed", f"Remove {extra} from {place}."


def _pattern(error: "ValidationError", place: str) -> _Words:
    rule = error.validator_value
    return f"does not match pattern '{rule}'", f"Send {place} as text that matches {rule}."


def _enum(error: "ValidationError", place: str) -> _Words:
    choices = ", ".join("null" if c is None else f"'{c}'" for c in _demanded(error))
    return f"value must be one of {choices}", f"Send {place} as one of {choices}."


def _otherwise(error: "ValidationError", place: str) -> _Words:
    return f"{error.validator}: not satisfied", f"Change {place} as the API reference says."


_WORDS: dict[str, _Wording] = {
    "type": _type,
    "required": _required,
    "additionalProperties": _additional,
    "pattern": _pattern,
    "enum": _enum,
    "minLength": _bound("minLength", len, "with at least {} characters"),
    "maxLength": _bound("maxLength", len, "with at most {} characters"),
    "minItems": _bound("minItems", len, "with at least {} items"),
    "maxItems": _bound("maxItems", len, "with at most {} items"),
    "minProperties": _bound("minProperties", len, "with at least {} members"),
    "maxProperties": _bound("maxProperties", len, "with at most {} members"),
    "minimum": _bound("minimum", str, "as a number of at least {}"),
    "maximum": _bound("maximum", str, "as a number of at most {}"),
    "exclusiveMinimum": _bound("exclusiveMinimum", str, "as a number above {}"),
    "exclusiveMaximum": _bound("exclusiveMaximum", str, "as a number below {}"),
}


def _location(path: Path) -> str:
    return "".join("/items" if isinstance(s, int) else f"/properties/{_escaped(s)}" for s in path) or "/"


def _escaped(step: str | int) -> str:
    return _cut(str(step).replace("~", "~0").replace("/", "~1"))


def _cut(text: str) -> str:
    return text if len(text) <= _ECHO_CHARACTERS else text[: _ECHO_CHARACTERS - 1] + "…"
