"""What a declaration may say, and what is refused before anything is served."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from latchwork.kernel.clock import ManualClock
from latchwork.surfaces.rpc.application import RpcApplication
from latchwork.surfaces.rpc.bodies import Body, BodyReader, Empty, Number
from latchwork.surfaces.rpc.faults import InvalidRequest
from latchwork.surfaces.rpc.openapi import document
from latchwork.surfaces.rpc.procedures import Call, Family
from latchwork.surfaces.rpc.schemas import (
    MAX_INTEGER,
    components_of,
    schema_of,
    takes_anything,
    unbounded_integers,
)


class Fine(Body):
    number: Number
    below: Annotated[int, Meta(gt=0, lt=10)] = 1


def _family(handler: Any, *names: str) -> Family[None]:
    family: Family[None] = Family("odd", "Odd things.")
    for name in names or ("one",):
        family.procedure(name, answers=Empty, summary="One")(handler)
    return family


async def _fine(call: Call[None], body: Fine) -> Empty:
    return Empty()


@pytest.mark.parametrize(
    "bounds",
    [
        None,
        Meta(ge=0),
        Meta(le=5),
        Meta(ge=0, le=MAX_INTEGER + 1),
        Meta(gt=0, lt=2**60),
        Meta(ge=-(2**60), le=1),
    ],
)
def test_an_integer_without_bounds_that_clients_can_hold_is_refused(bounds: Meta | None) -> None:
    integer: Any = Annotated[int, bounds] if bounds else int
    loose = msgspec.defstruct("Loose", [("number", dict[str, list[integer | None]])])

    async def handler(call: Call[None], body: Any) -> Empty:
        return Empty()

    handler.__annotations__["body"] = loose
    with pytest.raises(TypeError, match=r"\$\.number"):
        _family(handler)


def test_bounded_integers_are_fine() -> None:
    assert unbounded_integers(Fine) == []


def test_a_body_type_in_quotes_is_refused() -> None:
    async def handler(call: "Call[None]", body: "Fine") -> Empty:
        return Empty()

    with pytest.raises(TypeError, match="without quotes"):
        _family(handler)


def test_a_procedure_that_is_declared_twice_is_refused() -> None:
    async def authenticate(*_: Any) -> Any: ...

    with pytest.raises(ValueError, match=r"POST /v2/odd\.one is declared twice"):
        RpcApplication([_family(_fine, "one", "one")], None, authenticate=authenticate, clock=ManualClock())


def test_the_envelopes_names_belong_to_the_envelope() -> None:
    taken = msgspec.defstruct("Error", [("x", str)])

    async def handler(call: Call[None], body: Any) -> Empty:
        return Empty()

    handler.__annotations__["body"] = taken
    with pytest.raises(TypeError, match="Error"):
        document([_family(handler)])


class Choice(Body):
    either: Annotated[int, Meta(ge=0, le=9)] | str | None
    free: object = None
    words: Sequence[Literal["a", "b"]] = ()
    pair: tuple[str, str] = ("", "")
    maybe: Literal["a", "b"] | None = None
    inner: Fine | None = None


def test_a_choice_of_several_types_stays_a_choice() -> None:
    properties = schema_of(Choice)["properties"]
    assert [option["type"] for option in properties["either"]["anyOf"]] == ["integer", "string", "null"]


def test_what_may_be_null_says_so_in_one_schema() -> None:
    properties = schema_of(Choice)["properties"]
    assert properties["maybe"]["enum"] == ["a", "b", None]
    assert properties["inner"]["type"] == ["object", "null"]


def test_a_component_that_may_be_null_stays_a_reference() -> None:
    (schema,), components = components_of([Choice])
    assert schema == {"$ref": "#/components/schemas/Choice"}
    assert components["Choice"]["properties"]["inner"]["anyOf"][0] == {"$ref": "#/components/schemas/Fine"}


def test_a_rule_without_words_of_its_own_is_named() -> None:
    reader: BodyReader[Choice] = BodyReader(Choice, "no good")
    with pytest.raises(InvalidRequest) as refused:
        reader.read(b'{"either":1.5}')
    (found,) = refused.value.errors
    assert (found.location, found.message) == ("/properties/either/anyOf", "anyOf: not satisfied")


def test_any_object_is_free_form() -> None:
    assert schema_of(Choice)["properties"]["free"] == {"description": "Any JSON value.", "default": None}
    assert takes_anything(Choice)
    assert not takes_anything(Fine)


def test_a_type_without_a_schema_is_refused() -> None:
    unknown = msgspec.defstruct("Unknown", [("x", complex)])
    with pytest.raises(TypeError, match="complex"):
        schema_of(unknown)
