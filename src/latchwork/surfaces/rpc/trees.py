"""Decoded JSON of any shape: walked without recursion, however deep it is."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from latchwork.surfaces.rpc.schemas import MAX_INTEGER, Schema

Path = tuple[str | int, ...]

MOST_DEPTH = 100
"""Levels of nesting in one value; what is deeper may overflow somebody's stack later."""

MOST_NODES = 200_000
"""Values and member names in one tree of free-form JSON; a megabyte cannot hold more."""

_MOST_NAMED = 20_000  # naming the place takes longer than knowing that there is one


class Finding(NamedTuple):
    """Where in a tree something is wrong, what, and what would be right."""

    path: Path
    what: str
    remedy: str


def nodes(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Every value in a tree, and every member's name under the path of its object."""
    waiting: list[tuple[Path, Any]] = [((), tree)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        if isinstance(node, dict):
            waiting.extend(((*path, name), value) for name, value in node.items())
            for name in node:
                yield path, name
        elif isinstance(node, list):
            waiting.extend(((*path, index), value) for index, value in enumerate(node))


def find_nul(tree: Any) -> Finding | None:
    """The first text that holds a NUL character."""
    for path, node in nodes(tree):
        if isinstance(node, str) and "\0" in node:
            return Finding(path, "NUL characters are not allowed", "without the NUL character")
    return None


def find_garbled(tree: Any) -> Finding | None:
    """The first text that was not UTF-8 when it came."""
    for path, node in nodes(tree):
        if isinstance(node, str) and is_garbled(node):
            return Finding(path, "not valid UTF-8", "percent-encoded as UTF-8")
    return None


def is_garbled(text: str) -> bool:
    """Whether a text holds halves of surrogate pairs, as bytes do that could not be decoded."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def find_excess(tree: Any) -> Finding | None:
    """Whether a tree is too deep or too large, or the first integer in it that clients cannot hold."""
    level, count = [tree], 0
    for _ in range(MOST_DEPTH):
        count += len(level)
        if count > MOST_NODES:
            return Finding((), "too many values", f"with at most {MOST_NODES} values")
        if any(_is_too_long(node) for node in level):
            return _first_long_integer(tree)
        level = [child for node in level if isinstance(node, dict | list) for child in _children(node)]
        if not level:
            return None
    return Finding((), "nested too deep", f"with at most {MOST_DEPTH} levels")


def _first_long_integer(tree: Any) -> Finding:
    found = (path for path, node in islice(nodes(tree), _MOST_NAMED) if _is_too_long(node))
    return Finding(next(found, ()), "integer beyond 2^53 - 1", f"as text, or as at most {MAX_INTEGER}")


def _is_too_long(node: Any) -> bool:
    return type(node) is int and not -MAX_INTEGER <= node <= MAX_INTEGER


def _children(node: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def with_integers(value: Any, schema: Schema) -> Any:
    """`value` with floats such as `1.0` made integers wherever `schema` asks for integers."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and "integer" in schema.get("type", ()) else value
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {name: _mended(item, properties.get(name, rest)) for name, item in value.items()}
    if isinstance(value, list):
        return [_mended(item, schema.get("items", {})) for item in value]
    return value


def _mended(value: Any, schema: Schema) -> Any:
    return with_integers(value, schema) if schema else value  # nothing asks for integers below here
