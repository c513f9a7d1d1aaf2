"""JSON Schemas (draft 2020-12) of declared types: as components of a document, or whole in themselves."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON client reads exactly; its negative is the smallest."""

Schema = dict[str, Any]
_COMPONENTS = "#/components/schemas/"


def components_of(types: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """For each type a schema that refers to named components, and those components."""
    schemas, components = _generated(types)
    return [_flat(s) for s in schemas], {name: _flat(s) for name, s in components.items()}


def schema_of(shape: Any) -> Schema:
    """The schema of one type with every reference replaced by what it refers to."""
    (schema,), components = _generated([shape])
    inlined: Schema = _inlined(schema, components)
    return inlined


def _generated(types: Sequence[Any]) -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    template = _COMPONENTS + "{name}"
    return msgspec.json.schema_components(types, schema_hook=_anything, ref_template=template)


def _anything(kind: type) -> Schema:
    """`object` is Python's word for any value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(f"{kind} has no JSON Schema")


def _inlined(node: Any, components: dict[str, Schema]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(components[node["$ref"].removeprefix(_COMPONENTS)], components)
    return _merged({key: _inlined(value, components) for key, value in node.items()})


def _flat(node: Any) -> Any:
    if isinstance(node, list):
        return [_flat(item) for item in node]
    if not isinstance(node, dict):
        return node
    return _merged({key: _flat(value) for key, value in node.items()})


def _merged(node: Schema) -> Schema:
    """`anyOf: [X, null]` as one schema, so that a violation's path names the keyword of X itself."""
    options = node.get("anyOf", ())
    if not isinstance(options, list) or len(options) != 2 or options[1] != {"type": "null"}:
        return node
    inner: Schema = dict(options[0])
    if "enum" in inner:
        inner["enum"] = [*inner["enum"], None]
    if isinstance(inner.get("type"), str):
        inner["type"] = [inner["type"], "null"]
    elif "enum" not in inner:
        return node
    return inner | {key: value for key, value in node.items() if key != "anyOf"}


def unbounded_integers(shape: Any) -> list[str]:
    """Where in a declared type an integer may pass `MAX_INTEGER`; a request type has no such place."""
    return [
        path
        for path, node in _walk(inspect.type_info(shape), "$")
        if isinstance(node, inspect.IntType) and not _bounded(node)
    ]


@cache
def takes_anything(shape: Any) -> bool:
    """Whether a declared type has a place for values of any kind, such as metadata."""
    free = inspect.AnyType | inspect.CustomType
    return any(isinstance(node, free) for _, node in _walk(inspect.type_info(shape), "$"))


@cache
def skips_unknown(shape: Any) -> bool:
    """Whether members that are not declared are passed over unread somewhere in a type."""
    return any(
        isinstance(node, inspect.StructType) and not node.forbid_unknown_fields
        for _, node in _walk(inspect.type_info(shape), "$")
    )


def _bounded(node: inspect.IntType) -> bool:
    highest = node.le if node.le is not None else (node.lt - 1 if node.lt is not None else None)
    lowest = node.ge if node.ge is not None else (node.gt + 1 if node.gt is not None else None)
    return highest is not None and highest <= MAX_INTEGER and lowest is not None and lowest >= -MAX_INTEGER


def _walk(node: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    yield path, node
    if isinstance(node, inspect.Metadata):
        yield from _walk(node.type, path)
    elif isinstance(node, inspect.StructType):
        for field in node.fields:
            yield from _walk(field.type, f"{path}.{field.encode_name}")
    elif isinstance(node, inspect.UnionType):
        for option in node.types:
            yield from _walk(option, path)
    elif isinstance(node, inspect.DictType):
        yield from _walk(node.value_type, f"{path}[...]")
    elif isinstance(node, inspect.CollectionType):
        yield from _walk(node.item_type, f"{path}[]")
