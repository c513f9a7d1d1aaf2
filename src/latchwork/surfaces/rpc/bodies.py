"""What requests and answers are made of, and the reading of a request into its declared type."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, UnsetType

from latchwork.surfaces.rpc.faults import InvalidRequest, Violation
from latchwork.surfaces.rpc.schemas import MAX_INTEGER, Schema, schema_of, skips_unknown, takes_anything
from latchwork.surfaces.rpc.trees import Finding, find_excess, find_nul, with_integers
from latchwork.surfaces.rpc.violations import flaw, violation_of, violations

B = TypeVar("B")
T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A request's object; members that it does not declare are refused."""


class TolerantBody(msgspec.Struct, rename="camel"):
    """A request's object that passes over members it does not declare."""


class Data(msgspec.Struct, rename="camel", omit_defaults=True):
    """An answer's object: what equals its default is left out, so an absent member is never null.

    Give what must always be there no default, what may be missing the default `UNSET`.
    """


class Empty(Data):
    """Nothing to tell: the procedure did what it was asked to do."""


Number = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
JsonObject = Annotated[dict[str, Any], Meta(max_length=100)]


def or_none(value: T | UnsetType) -> T | None:
    """A member that may be absent, as records have it."""
    return None if isinstance(value, UnsetType) else value


_SEARCHED_BYTES = 65_536  # what a slow look at every value may cost somebody who is not known yet
_LISTED_BYTES = 16_384  # the same for a look at every rule, which is far slower
_MOST_VIOLATIONS = 50
_MOST_MEMBERS = 500_000  # by colons, so that text counts too; bulk requests have far fewer
_MOST_CONTAINERS = 100_000  # by opening brackets
_FEW_BRACKETS = 100  # nesting is bounded by the number of opening brackets
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class BodyReader(Generic[B]):
    """Reads JSON into one declared type.

    The common case is one strict decode. What that refuses gets a second, slower look: integral
    floats such as `1.0` are integers and let in (in bodies of up to 64 KiB), and every violation is
    listed (up to 50, in bodies of up to 16 KiB; in longer ones the first). Integers beyond 2^53 - 1,
    values nested deeper than 100, text that is not UTF-8 and, unless `allows_nul`, NUL characters are
    refused everywhere.
    """

    def __init__(self, shape: Any, detail: str, *, allows_nul: bool = False) -> None:
        self._shape: type[B] = shape
        self._detail = detail
        self._decode: Callable[[bytes], B] = msgspec.json.Decoder(self._shape).decode
        self._allows_nul = allows_nul
        self._takes_anything = takes_anything(shape)
        self._skips_unknown = skips_unknown(shape)
        self._schema: Schema | None = None
        self._in_place_of_nothing = b"{}" if self._can_read(b"{}") else b""

    def read(self, body: bytes) -> B:
        """The declared value; raises `InvalidRequest`. No body counts as `{}` where `{}` would do."""
        body = body or self._in_place_of_nothing
        if len(body) > _SEARCHED_BYTES and _is_overfull(body):
            raise self.refusal(Violation("/", "too many values", "Send the request in smaller pieces."))
        try:
            value = self._decoded(body)
            self._inspect(body, value)
        except RecursionError as error:
            raise self.refusal(flaw(error)) from None
        return value

    def convert(self, loose: Any, most: int = _MOST_VIOLATIONS) -> B:
        """The declared value of decoded JSON; raises `InvalidRequest` with at most so many violations."""
        if self._schema is None:
            self._schema = schema_of(self._shape)
        mended = with_integers(loose, self._schema)
        try:
            return msgspec.convert(mended, self._shape)
        except msgspec.ValidationError as error:
            found = violations(self._schema, mended, most) if most > 1 else []
            raise self.refusal(*(found or [flaw(error)])) from None

    def refusal(self, *found: Violation) -> InvalidRequest:
        """The fault that names these violations."""
        return InvalidRequest(self._detail, found)

    def _can_read(self, body: bytes) -> bool:
        try:
            self._decode(body)
        except msgspec.ValidationError:
            return False
        return True

    def _decoded(self, body: bytes) -> B:
        try:
            if self._skips_unknown and not body.isascii():
                body.decode()  # what is skipped has to be text all the same
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if len(body) > _SEARCHED_BYTES or not isinstance(error, msgspec.ValidationError):
                raise self.refusal(flaw(error)) from None
        try:
            loose = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.refusal(flaw(error)) from None
        return self.convert(loose, _MOST_VIOLATIONS if len(body) <= _LISTED_BYTES else 1)

    def _inspect(self, body: bytes, value: B) -> None:
        if not self._allows_nul and b"\\u0000" in body and _NUL.search(body):
            self._refuse(find_nul(msgspec.to_builtins(value)) if len(body) <= _SEARCHED_BYTES else _SOME_NUL)
        if self._takes_anything and _is_unusual(body):
            self._refuse(find_excess(msgspec.to_builtins(value)))

    def _refuse(self, finding: Finding | None) -> None:
        if finding is not None:
            raise self.refusal(violation_of(finding))


_SOME_NUL = Finding((), "NUL characters are not allowed", "without the NUL character")


def _is_overfull(body: bytes) -> bool:
    return body.count(b":") > _MOST_MEMBERS or _brackets(body) > _MOST_CONTAINERS


def _brackets(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")


def _is_unusual(body: bytes) -> bool:
    return _brackets(body) > _FEW_BRACKETS or _LONG_NUMBER.search(body) is not None
