"""Examples made up from a schema, for procedures whose declaration gives none."""

from typing import Any

from latchwork.surfaces.rpc.schemas import Schema

_PLACEHOLDERS: dict[str, Any] = {"string": "text", "number": 1.0, "boolean": True, "object": {}, "null": None}


def example_of(schema: Schema) -> Any:
    """A value that the schema accepts: its own example, else what is required with the least values."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object" and "properties" in schema:
        return {
            name: example_of(field)
            for name, field in schema["properties"].items()
            if name in schema.get("required", ()) or field.get("examples")
        }
    if kind == "array":
        return [example_of(schema["items"]) for _ in range(max(1, schema.get("minItems", 1)))]
    if kind == "integer":
        return max(schema.get("minimum", 1), 1)
    return _text(schema) if kind == "string" else _PLACEHOLDERS[kind]


def _text(schema: Schema) -> str:
    text: str = _PLACEHOLDERS["string"]
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(text) + 300)]
