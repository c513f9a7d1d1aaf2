"""Bad input, generated from the OpenAPI document: every member of every body, wrong in every way its schema tells."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

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
