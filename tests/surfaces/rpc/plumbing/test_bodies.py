"""What is accepted as a body, and everything that is said about what is not."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from latchwork.surfaces.rpc.bodies import BodyReader
from latchwork.surfaces.rpc.faults import InvalidRequest
from latchwork.surfaces.rpc.schemas import MAX_INTEGER, schema_of
from tests.surfaces.rpc.plumbing.things import Make, World

LAMP = {"name": "lamp"}


async def _violations(world: World, body: Any, procedure: str = "make") -> list[dict[str, str]]:
    answer = await world.post(procedure, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["detail"] == f"POST request body for '/v2/things.{procedure}' failed to validate schema"
    found: list[dict[str, str]] = error["errors"]
    return found


@pytest.mark.parametrize(
    ("body", "location", "message", "fix"),
    [
        ({}, "/required", "missing property 'name'", "Add `name` to the body."),
        (
            {"name": "ab"},
            "/properties/name/minLength",
            "minLength: got 2, want 3",
            "Send `name` with at least 3 characters.",
        ),
        (
            {"name": "x" * 17},
            "/properties/name/maxLength",
            "maxLength: got 17, want 16",
            "Send `name` with at most 16 characters.",
        ),
        (
            {"name": "a/b"},
            "/properties/name/pattern",
            "does not match pattern '^[^/]*$'",
            "Send `name` as text that matches ^[^/]*$.",
        ),
        ({"name": None}, "/properties/name/type", "got null, want string", "Send `name` as string."),
        (
            LAMP | {"count": -1},
            "/properties/count/minimum",
            "minimum: got -1, want 0",
            "Send `count` as a number of at least 0.",
        ),
        (
            LAMP | {"count": 2**53},
            "/properties/count/maximum",
            f"maximum: got {2**53}, want {MAX_INTEGER}",
            f"Send `count` as a number of at most {MAX_INTEGER}.",
        ),
        (
            LAMP | {"count": True},
            "/properties/count/type",
            "got boolean, want integer",
            "Send `count` as integer.",
        ),
        (
            LAMP | {"count": 1.5},
            "/properties/count/type",
            "got number, want integer",
            "Send `count` as integer.",
        ),
        (
            LAMP | {"size": {"width": 0}},
            "/properties/size/properties/width/minimum",
            "minimum: got 0, want 1",
            "Send `size.width` as a number of at least 1.",
        ),
        (
            LAMP | {"size": {"width": 1, "unit": "ell"}},
            "/properties/size/properties/unit/enum",
            "value must be one of 'cm', 'mm'",
            "Send `size.unit` as one of 'cm', 'mm'.",
        ),
        (
            LAMP | {"size": 3},
            "/properties/size/type",
            "got integer, want object or null",
            "Send `size` as object or null.",
        ),
        (
            LAMP | {"note": "far too long"},
            "/properties/note/maxLength",
            "maxLength: got 12, want 8",
            "Send `note` with at most 8 characters.",
        ),
        (
            LAMP | {"tags": ["a", "b", "c", "d"]},
            "/properties/tags/maxItems",
            "maxItems: got 4, want 3",
            "Send `tags` with at most 3 items.",
        ),
        (
            LAMP | {"tags": ["a", ""]},
            "/properties/tags/items/minLength",
            "minLength: got 0, want 1",
            "Send `tags[1]` with at least 1 characters.",
        ),
        (
            LAMP | {"meta": {f"k{n}": n for n in range(101)}},
            "/properties/meta/maxProperties",
            "maxProperties: got 101, want 100",
            "Send `meta` with at most 100 members.",
        ),
        (
            LAMP | {"colour": "red", "size": None},
            "/additionalProperties",
            "additional properties 'colour' not allowed",
            "Remove 'colour' from the body.",
        ),
        ([], "/type", "got array, want object", "Send the body as object."),
        ("lamp", "/type", "got string, want object", "Send the body as object."),
    ],
)
async def test_a_violation_names_its_keyword_what_was_wanted_and_the_remedy(
    world: World, body: Any, location: str, message: str, fix: str
) -> None:
    assert await _violations(world, body) == [{"location": location, "message": message, "fix": fix}]


async def test_all_violations_are_listed_at_once(world: World) -> None:
    found = await _violations(world, {"name": "ab", "count": -1, "tags": [""], "x": 1})
    assert {violation["location"] for violation in found} == {
        "/properties/name/minLength",
        "/properties/count/minimum",
        "/properties/tags/items/minLength",
        "/additionalProperties",
    }


async def test_violations_in_an_array_name_the_item(world: World) -> None:
    (found,) = await _violations(world, [LAMP, {"name": "ab"}], "makeMany")
    assert found["location"] == "/items/properties/name/minLength"
    assert "`[1].name`" in found["fix"]


async def test_an_array_that_is_too_short_or_too_long_is_refused(world: World) -> None:
    (empty,) = await _violations(world, [], "makeMany")
    (full,) = await _violations(world, [LAMP] * 101, "makeMany")
    assert (empty["message"], full["message"]) == ("minItems: got 0, want 1", "maxItems: got 101, want 100")


async def test_at_most_fifty_violations_are_listed(world: World) -> None:
    assert len(await _violations(world, [{}] * 100, "makeMany")) == 50


async def test_a_value_that_was_sent_is_never_repeated(world: World) -> None:
    answer = await world.post("make", {"name": "sk_secret/" * 30, "count": "sk_secret"})
    assert answer.status_code == 400
    assert "sk_secret" not in answer.text


async def test_names_of_unknown_members_are_repeated_up_to_100_characters(world: World) -> None:
    answer = await world.post("make", LAMP | {"x" * 5000: 1})
    assert answer.status_code == 400
    assert max(len(run) for run in re.findall("x+", answer.text)) <= 100


async def test_names_with_slashes_are_escaped_in_locations(world: World) -> None:
    (found,) = await _violations(world, LAMP | {"meta": {"a/b~c": "\0"}})
    assert found["location"] == "/properties/meta/properties/a~1b~0c"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}}",
        b'{"name":"lamp",}',
        b"{'name':'lamp'}",
        b'{"name":"lamp"} trailing',
        b'{"name":"la\nmp"}',
        b'{"name":"lamp","ratio":NaN}',
        b'{"name":"lamp","ratio":Infinity}',
        b'\xef\xbb\xbf{"name":"lamp"}',
        b'{"count":"x","name"',
    ],
)
async def test_what_is_not_json_is_a_violation_of_the_body_as_a_whole(world: World, body: bytes) -> None:
    (found,) = await _violations(world, body)
    assert found["location"] == "/"
    assert found["message"].startswith("not valid JSON")


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"\xff\xfe\xfd"}',
        b'{"name":"lamp","\xff":1}',
        b'{"name":"lamp","meta":{"a":"\xc3\x28"}}',
        b'{"count":"x","name":"\xff"}',
    ],
)
async def test_text_that_is_not_utf8_is_refused(world: World, body: bytes) -> None:
    (found,) = await _violations(world, body)
    assert "UTF-8" in found["message"]


async def test_members_that_are_passed_over_are_utf8_too(world: World) -> None:
    (found,) = await _violations(world, b'{"name":"ann","other":"\xff"}', "tell")
    assert found["message"] == "the body is not valid UTF-8"
    assert (await world.post("tell", '{"name":"änn","other":"é"}'.encode())).status_code == 200


@pytest.mark.parametrize("name", [r"\ud800abc", r"abc\udc00", r"a\ud800\u0041b"])
async def test_half_of_a_surrogate_pair_is_refused(world: World, name: str) -> None:
    assert (await world.post("make", f'{{"name":"{name}"}}'.encode())).status_code == 400


async def test_a_whole_surrogate_pair_is_one_character(world: World) -> None:
    assert (await world.post("make", rb'{"name":"ab\ud83d\ude00"}')).status_code == 200
    assert world.shelf.made[0].name == "ab😀"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (LAMP | {"note": "a\0b"}, "`note`"),
        (LAMP | {"tags": ["a", "\0"]}, "`tags[1]`"),
        (LAMP | {"meta": {"deep": [{"er": "\0"}]}}, "`meta.deep[0].er`"),
        (LAMP | {"meta": {"na\0me": 1}}, "`meta`"),
    ],
)
async def test_a_nul_character_is_refused_and_its_field_named(world: World, body: Any, place: str) -> None:
    (found,) = await _violations(world, body)
    assert found["message"] == "NUL characters are not allowed"
    assert found["fix"] == f"Send {place} without the NUL character."


async def test_a_nul_character_in_a_long_body_is_refused_without_a_search(world: World) -> None:
    (found,) = await _violations(world, LAMP | {"meta": {"a": "x" * 70_000 + "\0"}})
    assert found == {
        "location": "/",
        "message": "NUL characters are not allowed",
        "fix": "Send the body without the NUL character.",
    }


async def test_the_escape_of_an_escape_is_no_nul_character(world: World) -> None:
    assert (await world.post("make", rb'{"name":"a\\u0000"}')).status_code == 200
    assert (await world.post("make", rb'{"name":"a\\\u0000"}')).status_code == 400


async def test_a_nul_character_in_a_member_that_is_passed_over_does_not_matter(world: World) -> None:
    answer = await world.client.post("/v2/things.open", json={"name": "ann", "other": "\0"})
    assert answer.status_code == 200


async def test_a_procedure_may_allow_nul_characters(world: World) -> None:
    assert (await world.post("tell", {"name": "a\0b"})).json()["data"]["asked"]["name"] == "a\0b"


@pytest.mark.parametrize("count", [b"2.0", b"2e0", b"200E-2", b"2"])
async def test_an_integral_float_is_an_integer(world: World, count: bytes) -> None:
    assert (await world.post("make", b'{"name":"lamp","count":%b}' % count)).status_code == 200
    made = world.shelf.made[0].count
    assert (made, type(made)) == (2, int)


async def test_integral_floats_are_mended_wherever_integers_are_asked_for(world: World) -> None:
    body = b'[{"name":"lamp","size":{"width":3.0},"meta":{"free":4.0},"ratio":1.0,"tags":["a"]}]'
    assert (await world.post("makeMany", body)).status_code == 200
    made = world.shelf.made[0]
    assert (made.size.width, type(made.size.width)) == (3, int)
    assert type(made.meta["free"]) is float


async def test_a_float_beyond_the_integers_is_refused(world: World) -> None:
    (found,) = await _violations(world, b'{"name":"lamp","count":1e16}')
    assert found["location"] == "/properties/count/maximum"


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740992", "1" * 4000])
async def test_integers_that_clients_cannot_hold_are_refused_in_free_form_json(
    world: World, number: str
) -> None:
    (found,) = await _violations(world, f'{{"name":"lamp","meta":{{"id":{number}}}}}'.encode())
    assert (found["location"], found["message"]) == (
        "/properties/meta/properties/id",
        "integer beyond 2^53 - 1",
    )
    assert "`meta.id`" in found["fix"]


async def test_among_very_many_values_a_long_integer_is_refused_without_a_name(world: World) -> None:
    (found,) = await _violations(world, LAMP | {"meta": {"a": 2**53, "b": [0] * 50_000}})
    assert (found["location"], found["message"]) == ("/", "integer beyond 2^53 - 1")


async def test_the_largest_integers_and_long_digits_in_text_are_fine(world: World) -> None:
    meta = {"most": MAX_INTEGER, "least": -MAX_INTEGER, "text": "9" * 40, "flag": True}
    assert (await world.post("make", LAMP | {"meta": meta})).status_code == 200
    assert world.shelf.made[0].meta == meta


async def test_what_comes_in_free_form_goes_through_unchanged(world: World) -> None:
    meta = {"a": [1, 0.1, None, {"b": "ü\u2028"}], "empty": {}}
    await world.post("make", LAMP | {"meta": meta})
    assert world.shelf.made[0].meta == meta


def _deep(levels: int) -> bytes:
    return b'{"name":"lamp","meta":{"a":' + b"[" * levels + b"]" * levels + b"}}"


BOMBS = {
    "a hundred thousand open brackets": b"[" * 100_000,
    "a hundred thousand levels in metadata": _deep(100_000),
    "nine hundred levels in metadata": _deep(900),
    "a hundred levels in metadata": _deep(100),
    "a hundred thousand levels in an unknown member": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a long integer": b'{"name":"lamp","count":' + b"9" * 1_000_000 + b"}",
    "a long integer in metadata": b'{"name":"lamp","meta":{"a":' + b"9" * 1_000_000 + b"}}",
    "a number out of range": b'{"name":"lamp","meta":{"a":1e309}}',
    "a long string": b'{"name":"' + b"x" * 1_000_000 + b'"}',
    "many unknown members": json.dumps({f"k{n}": n for n in range(60_000)}).encode(),
    "many unknown members, few bytes": json.dumps({f"k{n}": n for n in range(4_000)}).encode(),
    "many members in metadata": json.dumps(LAMP | {"meta": {f"k{n}": n for n in range(60_000)}}).encode(),
    "many containers in metadata": json.dumps(LAMP | {"meta": {"a": [[1]] * 120_000}}).encode(),
    "many values in metadata": json.dumps(LAMP | {"meta": {"a": [[1]] * 110 + [1] * 210_000}}).encode(),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
async def test_a_json_bomb_is_a_400(world: World, bomb: bytes) -> None:
    answer = await world.post("make", bomb)
    assert answer.status_code == 400
    assert len(answer.content) < 20_000


async def test_a_bomb_of_members_in_a_bulk_body_is_refused_before_it_is_read(world: World) -> None:
    (found,) = await _violations(world, b'[{"":' * 1_000_000, "makeMany")
    assert found["message"] == "too many values"


async def test_a_bomb_in_a_member_that_is_passed_over_is_a_400(world: World) -> None:
    (found,) = await _violations(world, b'{"other":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "tell")
    assert found["message"] == "nested too deep"


async def test_metadata_may_be_nested_99_levels(world: World) -> None:
    assert (await world.post("make", _deep(98))).status_code == 200


@pytest.mark.parametrize("length", [17_000, 70_000])
async def test_a_long_body_hears_of_its_first_flaw_only(world: World, length: int) -> None:
    body = LAMP | {"count": -1, "tags": ["", ""], "meta": {"a": "x" * length}}
    (found,) = await _violations(world, body)
    assert found == {
        "location": "/properties/count",
        "message": "Expected `int` >= 0",
        "fix": "Change `count` accordingly.",
    }


async def test_the_first_flaw_of_a_long_array_names_its_item(world: World) -> None:
    (found,) = await _violations(world, [LAMP, {"name": "ab"}, {"name": "x" * 70_000}], "makeMany")
    assert found["location"] == "/items/properties/name"
    assert "`[1].name`" in found["fix"]


async def test_duplicate_members_keep_the_last(world: World) -> None:
    assert (await world.post("make", b'{"name":"lamp","name":"chair"}')).status_code == 200
    assert world.shelf.made[0].name == "chair"


async def test_no_body_counts_as_an_empty_object_where_that_would_do(world: World) -> None:
    for procedure, expected in (("list", 200), ("tell", 200), ("status", 202), ("make", 400)):
        answer = await world.client.post(
            f"/v2/things.{procedure}", headers={"authorization": "Bearer root_secret"}
        )
        assert (procedure, answer.status_code) == (procedure, expected)


async def test_a_body_that_nobody_asked_for_is_not_looked_at(world: World) -> None:
    assert (await world.post("status", b"\xff")).status_code == 202


async def test_the_detail_names_the_method_that_was_used(world: World) -> None:
    answer = await world.client.put(
        "/v2/things.remove", json={}, headers={"authorization": "Bearer root_secret"}
    )
    assert answer.json()["error"]["detail"].startswith("PUT request body for '/v2/things.remove'")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 20) | st.floats(-2, 4) | st.text("ab/\x00é", max_size=18),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["width", "unit", "k"]), inner, max_size=3)
    ),
    max_leaves=6,
)
THINGS = st.fixed_dictionaries(
    {"name": st.text("ab/", min_size=2, max_size=5) | JSON},
    optional=dict.fromkeys(("count", "size", "note", "tags", "meta", "ratio", "other"), JSON),
)
_READER: BodyReader[Make] = BodyReader(Make, "no good", allows_nul=True)
_SCHEMA = Draft202012Validator(schema_of(Make))


@given(THINGS)
def test_a_body_is_accepted_exactly_when_its_published_schema_accepts_it(body: Any) -> None:
    try:
        _READER.read(json.dumps(body).encode())
        accepted = True
    except InvalidRequest as refusal:
        accepted = False
        assert 1 <= len(refusal.errors) <= 50
        assert all(violation.fix and violation.message for violation in refusal.errors)
    assert accepted == _SCHEMA.is_valid(body)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        _READER.read(body)
    except InvalidRequest as refusal:
        assert refusal.errors
