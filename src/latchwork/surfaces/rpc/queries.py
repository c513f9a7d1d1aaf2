"""Query strings read into the same declared types as bodies."""

from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from latchwork.surfaces.rpc.bodies import BodyReader
from latchwork.surfaces.rpc.faults import InvalidRequest, Violation
from latchwork.surfaces.rpc.schemas import Schema, schema_of
from latchwork.surfaces.rpc.trees import find_garbled, find_nul, is_garbled
from latchwork.surfaces.rpc.violations import violation_of

B = TypeVar("B")

_MOST_PARAMETERS = 500
_MOST_DIGITS = 20
_SECRETS = frozenset({"key", "token", "rootkey", "root_key", "authorization", "access_token", "api_key"})


class QueryReader(Generic[B]):
    """Reads a query string into one declared type.

    A parameter whose type is a list may be repeated; of any other the last wins. Integers and booleans
    are read from their JSON spelling.
    """

    def __init__(self, shape: Any, detail: str) -> None:
        self._reader: BodyReader[B] = BodyReader(shape, detail)
        self._properties: dict[str, Schema] = schema_of(shape)["properties"]

    def read(self, query: bytes) -> B:
        """The declared value; raises `InvalidRequest`."""
        loose: dict[str, Any] = {}
        for name, text in self._pairs(query):
            schema = self._properties.get(name, {})
            if schema.get("type") == "array":
                loose.setdefault(name, []).append(_value(text, schema.get("items", {})))
            else:
                loose[name] = _value(text, schema)
        finding = find_nul(loose) or find_garbled(loose)
        if finding is not None:
            raise self._reader.refusal(violation_of(finding))
        return self._reader.convert(loose)

    def _pairs(self, query: bytes) -> list[tuple[str, str]]:
        try:
            # What is not UTF-8 is kept as halves of surrogate pairs, so that its parameter can be named.
            pairs = parse_qsl(
                query.decode("ascii", "surrogateescape"),
                keep_blank_values=True,
                errors="surrogateescape",
                max_num_fields=_MOST_PARAMETERS,
            )
        except ValueError:
            fix = f"Send at most {_MOST_PARAMETERS} parameters."
            raise self._reader.refusal(Violation("/", "the query string cannot be read", fix)) from None
        if any("\0" in name or is_garbled(name) for name, _ in pairs):
            fix = "Send names of parameters as the API reference has them."
            raise self._reader.refusal(Violation("/", "the name of a parameter is not valid text", fix))
        return pairs


def refuse_secrets(query: bytes, path: str) -> None:
    """Raise `InvalidRequest` when a secret was put in the address, where logs and proxies keep it."""
    for pair in query.split(b"&"):
        name = pair.partition(b"=")[0].decode("latin-1").lower()
        if name in _SECRETS:
            fix = f"Send `{name}` in the body or, for the root key, in the Authorization header."
            lapse = Violation(f"/query/{name}", "secrets do not belong in an address", fix)
            raise InvalidRequest(f"The query string of '{path}' holds a secret.", [lapse])


def _value(text: str, schema: Schema) -> Any:
    kinds = schema.get("type", "string")
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    digits = text.removeprefix("-")
    if "integer" in kinds and digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS:
        return int(text)
    return text
