"""Schemas as lists of members: name, type, rules and what they mean."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from latchwork.surfaces.reference.markup import Html, inline, join, tag

Schema = Mapping[str, Any]

_DEEPEST = 8  # a schema may contain itself
_PAYLOAD = "data"  # what one reads an answer for


class Words(NamedTuple):
    """How members are spoken of: one asks for them, or one is given them."""

    required: str
    default: str


ASKED = Words("required", "default {}")
GIVEN = Words("always", "absent means {}")


class Schemas:
    """Renders the schemas of one document, whose references it resolves."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a node stands for: itself, or what its `$ref` points to."""
        while "$ref" in node:
            found: Any = self._document
            for step in str(node["$ref"]).removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            node = found | {key: value for key, value in node.items() if key != "$ref"}
        return node

    def members(self, schema: Schema, words: Words = ASKED, depth: int = 0) -> Html:
        """The members of an object, or of the objects in an array; empty when there are none."""
        properties, required = self._properties(self._item(schema))
        if not properties or depth > _DEEPEST:
            return Html()
        rows = [self._member(name, node, name in required, words, depth) for name, node in properties.items()]
        return tag("dl", rows, class_="members")

    def _member(self, name: str, node: Schema, required: bool, words: Words, depth: int) -> Html:
        schema = self.resolve(node)
        head = [
            tag("code", name, class_="name"),
            tag("span", self.type_of(schema), class_="type"),
            tag("span", words.required, class_="required") if required else None,
        ]
        inner = self.members(schema, words, depth + 1)
        summary = tag("summary", f"Members of {name}")
        more = tag("details", summary, inner, open=name == _PAYLOAD and depth == 0) if inner else None
        return tag("div", tag("dt", head), tag("dd", self.about(schema, words), more), class_="member")

    def about(self, schema: Schema, words: Words = ASKED) -> Html:
        """What a schema means and the rules that its type does not show."""
        described = inline(str(schema.get("description", "")))
        rules = [tag("span", rule, class_="rule") for rule in self._rules(schema, words)]
        return join([tag("p", described) if described else None, tag("p", rules) if rules else None])

    def type_of(self, schema: Schema) -> str:
        """The type in words, such as `array of string` or `integer or null`."""
        schema = self.resolve(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return " or ".join(dict.fromkeys(self.type_of(option) for option in options))
        if "enum" in schema:
            return " | ".join("null" if value is None else str(value) for value in schema["enum"])
        kinds = schema.get("type", "object" if "properties" in schema or "allOf" in schema else "any value")
        names = [kinds] if isinstance(kinds, str) else list(kinds)
        return " or ".join(self._array(schema) if name == "array" else name for name in names)

    def _array(self, schema: Schema) -> str:
        return f"array of {self.type_of(schema['items'])}" if schema.get("items") else "array"

    def _item(self, schema: Schema) -> Schema:
        """The object that a reader wants to see in an array, a map or a choice with null."""
        schema = self.resolve(schema)
        for option in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
            if self.resolve(option).get("type") != "null":
                return self._item(option)
        inner = schema.get("items") or schema.get("additionalProperties")
        return self._item(inner) if isinstance(inner, Mapping) and "properties" not in schema else schema

    def _properties(self, schema: Schema) -> tuple[dict[str, Schema], set[str]]:
        properties: dict[str, Schema] = {}
        required: set[str] = set(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            inherited, needed = self._properties(self.resolve(part))
            properties |= inherited
            required |= needed
        return properties | dict(schema.get("properties", {})), required

    def _rules(self, schema: Schema, words: Words) -> list[str]:
        rules = [
            _range(schema, "minLength", "maxLength", "characters"),
            _range(schema, "minItems", "maxItems", "items"),
            _range(schema, "minProperties", "maxProperties", "members"),
            _range(schema, "minimum", "maximum", ""),
            f"matches {schema['pattern']}" if "pattern" in schema else "",
            words.default.format(_shown(schema["default"])) if schema.get("default") is not None else "",
        ]
        return [rule for rule in rules if rule]


_HUGE = 2**53 - 1  # a bound that only says "any number"


def _range(schema: Schema, least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    low = None if low == -_HUGE else low
    high = None if high == _HUGE else high
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low} {unit}".rstrip()
    return (f"{low} to {high} {unit}" if low is not None else f"at most {high} {unit}").rstrip()


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}" or '""'
