"""Columns: many values of one kind as bytes, the form in which events are spooled and loaded.

The layout is that of Apache Arrow, so that whoever loads them need not look at each value: numbers as
the machine writes them, texts as UTF-8 one after the other with the end of each as a 32-bit number.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Kind = Literal["byte", "number", "text"]
"""0 to 255; 64 bits with a sign; any text without lone surrogates."""

_CODES = {"byte": "B", "number": "q"}
NUMBER_BYTES = {"byte": 1, "number": 8}
END_BYTES = 4


@dataclass(frozen=True, slots=True)
class Column:
    """All values of a column. Of texts `data` holds the characters and `ends` where each ends, 0 first."""

    kind: Kind
    data: bytes
    ends: bytes = b""


class Texts:
    """Writes one column of texts in several parts; the ends count from the first part on."""

    __slots__ = ("_written",)

    def __init__(self) -> None:
        self._written = 0

    def part(self, values: Sequence[str]) -> tuple[bytes, bytes]:
        """The characters of `values`, and their ends."""
        data = "".join(values).encode()
        encoded = values if data.isascii() else map(str.encode, values)
        ends = array("i", accumulate(map(len, encoded), initial=self._written))
        del ends[0]
        self._written += len(data)
        return data, ends.tobytes()


def numbers(kind: Kind, values: Iterable[int]) -> bytes:
    """A part of a column of numbers; raises `OverflowError` for one that does not fit."""
    return array(_CODES[kind], values).tobytes()
