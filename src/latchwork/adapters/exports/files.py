"""Files as records: CSV with a header, a JSON array, an object that holds one, or JSON objects one after another."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MOST_JSON_BYTES = 256 << 20  # it is in memory as text while it is read; CSV is not
MOST_RECORD_CHARACTERS = 256 << 10
MOST_COLUMNS = 200
_WRAPPERS = ("data", "keys", "rows")  # members under which lists of keys are answered
_BOM = "\ufeff"
_SPACE = " \t\r\n"


class Unreadable(Exception):
    """The file as a whole cannot be read; the message is one sentence that says why."""


class Record(NamedTuple):
    """One record and the line on which it begins."""

    line: int
    fields: dict[str, Any]


class Broken(NamedTuple):
    """A record that cannot be read, and why."""

    line: int
    detail: str


def records(path: Path) -> Iterator[Record | Broken]:
    """The records of a file; raises `Unreadable`. Fields of CSV are text, those of JSON are values."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.read(4096).lstrip(_SPACE + _BOM)
        if head[:1] in ("[", "{"):
            yield from _of_json(path)
        else:
            yield from _of_csv(path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not UTF-8: byte {error.start} of the part read.") from error


def _of_csv(path: Path) -> Iterator[Record | Broken]:
    csv.field_size_limit(MOST_RECORD_CHARACTERS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = _header(path, reader)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Broken(line, f"It is not CSV: {error}.")
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                yield Broken(line, f"It has {len(cells)} cells, the header has {len(header)}.")
                continue
            yield Record(line, dict(zip(header, cells, strict=True)))


def _header(path: Path, reader: Any) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise Unreadable(f"{path} does not begin with a header of CSV: {error}.") from error
    if not header:
        raise Unreadable(f"{path} is empty.")
    if len(header) > MOST_COLUMNS:
        raise Unreadable(f"{path} has {len(header)} columns; at most {MOST_COLUMNS} are read.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise Unreadable(f"{path} has the column {twice[0][:64]!r} twice.")
    return header


def _of_json(path: Path) -> Iterator[Record | Broken]:
    size = path.stat().st_size
    if size > MOST_JSON_BYTES:
        told = f"{path} has {size:,} bytes; at most {MOST_JSON_BYTES:,} of JSON are read at once."
        raise Unreadable(f"{told} Split it, or export CSV.")
    yield from _Json(path, path.read_text(encoding="utf-8-sig")).records()


class _Json:
    """A walk over JSON text that decodes one record at a time."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._decode = json.JSONDecoder(object_pairs_hook=_without_repeats).raw_decode

    def records(self) -> Iterator[Record | Broken]:
        while self._peek():
            if self._peek() == "[":
                yield from self._array()
            elif self._peek() == "{":
                yield from self._object()
            else:
                raise self._unreadable("a list or an object should begin here")
            if self._peek() == ",":  # between objects that stand one after another
                self._at += 1

    def _array(self) -> Iterator[Record | Broken]:
        self._at += 1
        while self._peek() != "]":
            yield self._record()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "]":
                raise self._unreadable("a comma or the end of the list should be here")
        self._at += 1

    def _object(self) -> Iterator[Record | Broken]:
        """The records of the list that an object wraps, or the object itself as a record."""
        begin = self._at
        wrapped = self._wrapped_list()
        if wrapped is None:
            self._at = begin
            yield self._record()
            return
        self._at = wrapped
        yield from self._array()
        self._to_the_end_of_the_object()

    def _wrapped_list(self) -> int | None:
        """Where the list begins that the object here wraps, `None` if it is a record itself."""
        self._at += 1
        while self._peek() == '"':
            name = self._value()
            self._expect(":")
            if name in _WRAPPERS and self._peek() == "[":
                return self._at
            self._value()
            if self._peek() != ",":
                return None
            self._at += 1
        return None

    def _to_the_end_of_the_object(self) -> None:
        while self._peek() == ",":
            self._at += 1
            self._value()
            self._expect(":")
            self._value()
        self._expect("}")

    def _record(self) -> Record | Broken:
        begin, line = self._at, self._current_line()
        try:
            value = self._value()
        except _Repeated as error:
            self._at = begin
            self._skip()
            return Broken(line, f"It has the member {str(error)[:64]!r} twice.")
        if not isinstance(value, dict):
            return Broken(line, "It is not an object.")
        if self._at - begin > MOST_RECORD_CHARACTERS:
            return Broken(line, f"It is longer than {MOST_RECORD_CHARACTERS:,} characters.")
        return Record(line, value)

    def _skip(self) -> None:
        """Pass over a value whose members repeat."""
        _, self._at = json.JSONDecoder().raw_decode(self._text, self._at)

    def _value(self) -> Any:
        self._peek()
        try:
            value, self._at = self._decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            raise self._unreadable(error.msg[0].lower() + error.msg[1:]) from None
        except RecursionError:
            raise self._unreadable("it is nested too deep") from None
        except ValueError as error:  # an integer of thousands of digits
            if isinstance(error, _Repeated):
                raise
            raise self._unreadable(f"a number is longer than {sys.get_int_max_str_digits()} digits") from None
        return value

    def _peek(self) -> str:
        """The next character that is no space, empty at the end."""
        text, at = self._text, self._at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        self._at = at
        return text[at : at + 1]

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._unreadable(f"{character!r} should be here")
        self._at += 1

    def _current_line(self) -> int:
        self._peek()
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = max(self._counted, self._at)
        return self._line

    def _unreadable(self, why: str) -> Unreadable:
        return Unreadable(
            f"{self._path} is not JSON that can be read: {why}, on line {self._current_line()}."
        )


class _Repeated(ValueError):
    """An object has a member twice."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found
