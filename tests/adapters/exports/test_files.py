"""Files of any kind become records, or one sentence that says why not; none brings the reader down."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.adapters.exports import files
from latchwork.adapters.exports.files import Broken, Record, Unreadable, records


def read(place: Path, content: str | bytes, name: str = "file") -> list[Record | Broken]:
    path = place / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(records(path))


def refusal(place: Path, content: str | bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        read(place, content)
    return str(caught.value).removeprefix(f"{place / 'file'} ")


class TestCsv:
    def test_rows_know_the_line_on_which_they_begin(self, tmp_path: Path) -> None:
        text = '\ufeff name , note\n\na,"two\nlines"\nb,c\r\n'
        assert read(tmp_path, text) == [
            Record(3, {"name": "a", "note": "two\nlines"}),
            Record(5, {"name": "b", "note": "c"}),
        ]

    def test_a_broken_row_does_not_stop_the_next(self, tmp_path: Path) -> None:
        found = read(tmp_path, 'a,b\n1\n"x"y,2\n3,4\n1,2,3\n')
        assert [each.line for each in found] == [2, 3, 4, 5]
        assert found[2] == Record(4, {"a": "3", "b": "4"})
        broken = [each for each in found if isinstance(each, Broken)]
        assert broken[0].detail == "It has 1 cells, the header has 2."
        assert broken[1].detail.startswith("It is not CSV: ")

    def test_a_cell_of_megabytes_is_refused_and_the_rest_read(self, tmp_path: Path) -> None:
        found = read(tmp_path, f"a\n{'x' * (files.MOST_RECORD_CHARACTERS + 1)}\nb\n")
        assert [type(each) for each in found] == [Broken, Record]

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("", "is empty."),
            ("a,b,a\n", "has the column 'a' twice."),
            (",".join(f"c{n}" for n in range(201)), "has 201 columns; at most 200 are read."),
            ('"a"b\n', "does not begin with a header of CSV"),
            (b"a,b\n\xff\xfe,1\n", "is not UTF-8: byte 4 of the part read."),
        ],
    )
    def test_what_cannot_be_read_at_all_is_told(self, tmp_path: Path, content: str | bytes, why: str) -> None:
        assert refusal(tmp_path, content).startswith(why)

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(Unreadable, match="cannot be read: no such file"):
            list(records(tmp_path / "nothing"))


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            '[{"a": 1}, {"a": 2}]',
            '{"data": [{"a": 1}, {"a": 2}], "pagination": {"hasMore": false}}',
            '{"meta": {"requestId": "x"}, "keys": [{"a": 1}, {"a": 2}]}',
            '{"a": 1}\n{"a": 2}\n',
            '{"a": 1},{"a": 2}',
            '{"keys": [{"a": 1}]}\n{"keys": [{"a": 2}], "cursor": null}',
            '\ufeff [ {"a":1} , {"a":2} ] ',
        ],
    )
    def test_every_shape_in_which_keys_are_exported_is_read(self, tmp_path: Path, text: str) -> None:
        assert [record.fields for record in read(tmp_path, text) if isinstance(record, Record)] == [
            {"a": 1},
            {"a": 2},
        ]

    def test_an_empty_list_has_no_records(self, tmp_path: Path) -> None:
        assert read(tmp_path, "[]") == read(tmp_path, '{"data": []}') == []

    def test_an_object_that_wraps_no_list_is_a_record(self, tmp_path: Path) -> None:
        assert read(tmp_path, '{"data": {"a": 1}}') == [Record(1, {"data": {"a": 1}})]
        assert read(tmp_path, "{}") == [Record(1, {})]

    def test_records_know_the_line_on_which_they_begin(self, tmp_path: Path) -> None:
        text = '[\n  {\n    "a": 1\n  },\n  {"a": 2}, {"a": 3}\n]'
        assert [record.line for record in read(tmp_path, text)] == [2, 5, 5]

    def test_a_broken_record_does_not_stop_the_next(self, tmp_path: Path) -> None:
        text = f'[1, {{"a": 1, "a": 2}}, {{"a": "{"x" * files.MOST_RECORD_CHARACTERS}"}}, {{"a": 3}}]'
        found = read(tmp_path, text)
        assert [each.detail for each in found if isinstance(each, Broken)] == [
            "It is not an object.",
            "It has the member 'a' twice.",
            "It is longer than 262,144 characters.",
        ]
        assert found[-1] == Record(1, {"a": 3})

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("[" * 100_000, "it is nested too deep, on line 1."),
            ('[{"a": ' + "[" * 100_000, "it is nested too deep, on line 1."),
            ('[\n{"a": ' + "9" * 10_000 + "}]", "a number is longer than 4300 digits, on line 2."),
            ('[{"a": 1}', "a comma or the end of the list should be here, on line 1."),
            ('[{"a": 1} {"a": 2}]', "a comma or the end of the list should be here, on line 1."),
            ('[\n{"a": }]', "expecting value, on line 2."),
            ('[{"a": 1}] x', "a list or an object should begin here, on line 1."),
            ('{"data": [{"a": 1}]', "'}' should be here, on line 1."),
            ('{"data" [', "':' should be here, on line 1."),
            ('{"data": [1], "more"', "':' should be here, on line 1."),
            ('{"a": 1 "b"}', "expecting ',' delimiter, on line 1."),
        ],
    )
    def test_bombs_and_debris_are_told_in_a_sentence(self, tmp_path: Path, text: str, why: str) -> None:
        assert refusal(tmp_path, text) == f"is not JSON that can be read: {why}"

    def test_a_file_that_is_too_large_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        with path.open("wb") as file:
            file.write(b"[")
            file.truncate(files.MOST_JSON_BYTES + 1)  # a hole, which takes no room
        with pytest.raises(Unreadable, match="at most 268,435,456 of JSON"):
            list(records(path))


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(min_size=1, max_size=8), _VALUES, max_size=4), max_size=6), st.booleans()
)
def test_what_was_written_as_json_is_read(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, Any]], spread: bool
) -> None:
    text = json.dumps(objects, indent=2 if spread else None)
    found = read(tmp_path_factory.getbasetemp(), text, "written.json")
    assert [each.fields for each in found if isinstance(each, Record)] == objects


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:1a \n', max_size=40).map(str.encode))
def test_no_file_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        read(tmp_path_factory.getbasetemp(), content, "any")
    except Unreadable as error:
        assert str(error).endswith(".")
