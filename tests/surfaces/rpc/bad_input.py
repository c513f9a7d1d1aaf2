"""Bad input, generated from the OpenAPI document.

Every member of every body and every parameter of every query is wrong in every way its schema tells, and holds what
JSON or UTF-8 does not have.
"""

import copy
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

Schema = dict[str, Any]
Place = tuple[str | int, ...]

_SAMPLES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": 1.5,
    "string": "text",
    "array": [],
    "object": {},
}
_LONGEST = 20_000  # characters or members that are really sent
_MILLION = 1_000_000
_MARK = "a place that is written over"
_NO_VALUES = {
    "not a number": "NaN",
    "infinite": "-Infinity",
    "beyond all floats": "1e309",
    "half of a surrogate pair": r'"\udfff\ud800"',
    "a string that does not end": '"',
    "more digits than anybody counts": "9" * 50_000,
}
"""What stands for no value, as it is written in a body."""
_TEXTS = {
    "with a NUL character": "a%00b",
    "of broken UTF-8": "%C3%28",
    "of half a surrogate pair": "%ED%A0%80",
}
"""What is no text, as it is written in a query."""


class Bad(NamedTuple):
    """A body with one thing wrong in it: the member at `place`."""

    place: Place
    why: str
    body: Any

    @property
    def named(self) -> str:
        """What the answer has to name."""
        return next((str(step) for step in reversed(self.place) if isinstance(step, str)), "")


class Wrongs:
    """Makes bodies that are wrong, from a document and bodies that are right."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas: dict[str, Schema] = document["components"]["schemas"]

    def of(self, schema: Schema, right: Any) -> Iterator[Bad]:
        """Every way to be wrong that the schema of the body tells."""
        yield from self._within(self._resolved(schema), right, right, ())

    def no_values(self, schema: Schema, right: Any) -> Iterator[Bad]:
        """Bodies as they are sent, each of whose members is in its turn something that JSON does not have."""
        for place, whole in self._places(schema, right).items():
            before, after = json.dumps(_with(whole, place, _MARK)).split(json.dumps(_MARK))
            for why, token in _NO_VALUES.items():
                yield Bad(place, why, f"{before}{token}{after}".encode())

    def no_texts(self, schema: Schema, right: Any, *, allows_nul: bool = False) -> Iterator[Bad]:
        """Bodies each of whose members is in its turn a text with NUL, or one of a million characters."""
        for place, whole in self._places(schema, right).items():
            if not allows_nul:
                yield Bad(place, "a NUL character", _with(whole, place, "abc\0def"))
            if place[-1] != _FREE:
                yield Bad(place, "a million characters", _with(whole, place, "x" * _MILLION))

    def with_text(self, schema: Schema, right: Any, text: str) -> Iterator[Bad]:
        """Bodies each of whose members is in its turn this text."""
        for place, whole in self._places(schema, right).items():
            yield Bad(place, text, _with(whole, place, text))

    def _places(self, schema: Schema, right: Any) -> dict[Place, Any]:
        """Each member that there may be, with a body in which it has a place."""
        return {
            bad.place: bad.body for bad in self.of(schema, right) if bad.why not in ("missing", "unknown")
        }

    def of_query(self, parameters: list[dict[str, Any]], right: dict[str, Any]) -> Iterator[Bad]:
        """Every way for a query to be wrong; its bodies are query strings."""
        yield Bad(("unheardOf",), "unknown", urlencode(right | {"unheardOf": 1}, doseq=True))
        for parameter in parameters:
            name, schema = parameter["name"], self._resolved(parameter["schema"])
            others = urlencode({key: value for key, value in right.items() if key != name}, doseq=True)
            if parameter["required"]:
                yield Bad((name,), "missing", others)
            for why, text in _texts(self._resolved(schema.get("items", schema))):
                yield Bad((name,), why, f"{others}&{name}={text}")
            if "maxItems" in schema:
                yield Bad((name,), "too many", f"{others}{f'&{name}=x' * (schema['maxItems'] + 1)}")

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _choices(self, schema: Schema) -> list[Schema]:
        schema = self._resolved(schema)
        some = schema.get("anyOf") or schema.get("oneOf")
        return [schema] if some is None else [each for choice in some for each in self._choices(choice)]

    def _within(self, schema: Schema, whole: Any, here: Any, place: Place) -> Iterator[Bad]:
        if isinstance(here, list) and "items" in schema:
            item = here[0] if here else self._example(schema["items"])
            yield from self._member(schema["items"], whole, item, (*place, 0))
        for name, member in schema.get("properties", {}).items():
            if not isinstance(here, dict):
                return
            present = here.get(name, _ABSENT)
            value = self._example(member) if present is _ABSENT else present
            yield from self._member(member, whole, value, (*place, name))
            if name in schema.get("required", ()):
                yield Bad((*place, name), "missing", _without(whole, (*place, name)))
        if schema.get("additionalProperties") is False and isinstance(here, dict):
            yield Bad((*place, "unheardOf"), "unknown", _with(whole, (*place, "unheardOf"), 1))

    def _member(self, member: Schema, whole: Any, value: Any, place: Place) -> Iterator[Bad]:
        choices = self._choices(member)
        for why, wrong in _values(choices):
            yield Bad(place, why, _with(whole, place, wrong))
        for choice in choices:
            if "object" in _types(choice) and "properties" not in choice:
                yield Bad((*place, _FREE), "beyond 2^53", _with(whole, (*place, _FREE), 2**63))
            if _types(choice) & {"object", "array"} and value is not None:
                yield from self._within(choice, _with(whole, place, value), value, place)

    def _example(self, schema: Schema) -> Any:
        """Something that the schema allows, if only in its shape."""
        choice = self._choices(schema)[0]
        if "enum" in choice:
            return choice["enum"][0]
        if "const" in choice:
            return choice["const"]
        kinds = _types(choice)
        if "object" in kinds:
            members = choice.get("properties", {})
            return {name: self._example(members[name]) for name in choice.get("required", ())}
        if "array" in kinds:
            return [self._example(choice["items"])] if choice.get("minItems") else []
        if kinds & {"integer", "number"}:
            return choice.get("minimum", 1)
        return True if "boolean" in kinds else "x" * max(3, choice.get("minLength", 0))


_ABSENT = object()
_FREE = "free"  # a member of an object that may have any


def _types(schema: Schema) -> set[str]:
    kinds = schema.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _values(choices: list[Schema]) -> Iterator[tuple[str, Any]]:
    """Values that none of the choices allows."""
    kinds = {kind for choice in choices for kind in _types(choice)}
    if any("enum" in choice or "const" in choice for choice in choices):
        kinds.add("string")
        yield "none of those there are", "nonsense"
    if not kinds:
        return  # anything goes
    for kind, sample in _SAMPLES.items():
        if kind not in kinds:
            yield f"of type {kind}", sample
    if "integer" in kinds:
        yield "beyond all numbers", 10**40
        yield "beyond 2^63", 2**63
    one = [choice for choice in choices if _types(choice) != {"null"}]
    if len(one) == 1:
        yield from _bounds(one[0])


def _bounds(schema: Schema) -> Iterator[tuple[str, Any]]:
    if "minimum" in schema:
        yield "too small", schema["minimum"] - 1
    if "maximum" in schema:
        yield "too large", schema["maximum"] + 1
    if schema.get("minLength"):
        yield "too short", "x" * (schema["minLength"] - 1)
    if schema.get("maxLength", _LONGEST) < _LONGEST:
        yield "too long", "x" * (schema["maxLength"] + 1)
    if "pattern" in schema:
        yield "of other characters", "§ §"
    if schema.get("minItems"):
        yield "too few", []


def _texts(schema: Schema) -> Iterator[tuple[str, str]]:
    """Texts, percent-encoded, that a parameter does not allow."""
    yield from _TEXTS.items()
    kinds = _types(schema)
    if "integer" in kinds:
        for text in ("five", "", "1.5", "1e309", "NaN", "-0x1", "9" * 5_000, str(2**63), "٣"):
            yield f"the number {text[:9]}", quote(text)
    if "boolean" in kinds:
        yield "neither true nor false", "yes"
    if "enum" in schema:
        yield "none of those there are", "nonsense"
    for why, value in _bounds(schema):
        yield why, quote(str(value))


def _with(whole: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(whole)
    at = changed
    for step, following in pairwise(place):
        if isinstance(step, int) and len(at) <= step:
            at.append([] if isinstance(following, int) else {})
        elif isinstance(at, dict):
            at.setdefault(step, [] if isinstance(following, int) else {})
        at = at[step]
    if not place:
        return value
    last = place[-1]
    if isinstance(at, list) and isinstance(last, int):
        at[last : last + 1] = [value]
    else:
        at[last] = value
    return changed


def _without(whole: Any, place: Place) -> Any:
    changed = copy.deepcopy(whole)
    at = changed
    for step in place[:-1]:
        at = at[step]
    at.pop(place[-1], None)
    return changed
