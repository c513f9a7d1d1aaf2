"""Batches: events on their way from memory to the store, as frames of columns in a file.

What many events share (key, identity, namespace, tags) is written once a batch and referred to by number.
A frame is complete or it is not there: its length and checksum come first.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from latchwork.domains.analytics.columns import END_BYTES, Column, Kind, Texts, numbers
from latchwork.domains.analytics.records import OUTCOME_NUMBERS, Row
from latchwork.kernel.ids import new_id

TABLES: dict[str, dict[str, Kind]] = {
    "verifications": {
        "time": "number",
        "request_id": "text",
        "subject": "number",
        "outcome": "byte",
        "tags": "number",
        "spent_credits": "number",
        "latency_us": "number",
    },
    "limits": {
        "time": "number",
        "request_id": "text",
        "namespace": "number",
        "identifier": "text",
        "passed": "byte",
        "latency_us": "number",
        "override_id": "text",
        "limit": "number",
        "remaining": "number",
        "reset_at": "number",
        "tokens": "number",
    },
    "subjects": {
        "number": "number",
        "workspace_id": "text",
        "key_space_id": "text",
        "key_id": "text",
        "identity_id": "text",
        "external_id": "text",
    },
    "namespaces": {"number": "number", "workspace_id": "text", "namespace_id": "text"},
    "tagsets": {"number": "number", "tags": "text"},
}
"""What a batch holds. `subject`, `namespace` and `tags` of an event are numbers of `subjects`,
`namespaces` and `tagsets`; tags are JSON lists."""

HEAD = struct.Struct("<4sII")
"""What a frame begins with: which format this is, and length and checksum of what follows."""
_FORMAT = b"lwe1"
_encode = msgspec.msgpack.Encoder().encode
Columns = Sequence[Any]
_Parts = list[tuple[int, list[bytes]]]
_decode = msgspec.msgpack.Decoder(_Parts).decode
_subject_parts = attrgetter("workspace_id", "keyspace_id", "key_id", "identity_id", "external_id")
_namespace_id = attrgetter("id")


class Table(NamedTuple):
    """Rows of one kind: how many, and their columns by name."""

    rows: int
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, its tables as in `TABLES`; of one that is `damaged` what came before the damage."""

    name: str
    tables: dict[str, Table]
    damaged: bool = False

    @property
    def events(self) -> int:
        """How many events it holds."""
        return self.tables["verifications"].rows + self.tables["limits"].rows


class Draft:
    """A batch while it is written: turns events into frames, each to be appended to what came before."""

    def __init__(self) -> None:
        self.name = new_id("b")
        self.events = 0
        self.size_bytes = 0
        self._subjects: dict[Any, int] = {}
        self._namespaces: dict[str, int] = {}
        self._tagsets: dict[tuple[str, ...], int] = {}
        self._texts = {
            (table, name): Texts()
            for table, columns in TABLES.items()
            for name, kind in columns.items()
            if kind == "text"
        }

    def frame(self, verifications: Sequence[Row], limits: Sequence[Row]) -> bytes:
        """The next frame: these events, and what they share as far as it is new."""
        columns: dict[str, Columns] = dict.fromkeys(TABLES, ())
        if verifications:
            self._verifications(verifications, columns)
        if limits:
            self._limits(limits, columns)
        payload = _encode([self._part(table, columns[table]) for table in TABLES])
        self.events += len(verifications) + len(limits)
        frame = framed(payload)
        self.size_bytes += len(frame)
        return frame

    def _verifications(self, rows: Sequence[Row], columns: dict[str, Columns]) -> None:
        times, requests, snapshots, outcomes, tags, spent, latencies = zip(*rows, strict=True)
        tags = tuple(map(tuple, tags)) if any(tags) else ((),) * len(rows)
        subjects, tagsets = _unseen(self._subjects, snapshots), _unseen(self._tagsets, tags)
        columns["verifications"] = (
            times,
            requests,
            map(self._subjects.__getitem__, snapshots),
            map(OUTCOME_NUMBERS.__getitem__, outcomes),
            map(self._tagsets.__getitem__, tags),
            spent,
            latencies,
        )
        if subjects:
            columns["subjects"] = (subjects.values(), *zip(*map(_subject_parts, subjects), strict=True))
        if tagsets:
            columns["tagsets"] = (tagsets.values(), [msgspec.json.encode(t).decode() for t in tagsets])

    def _limits(self, rows: Sequence[Row], columns: dict[str, Columns]) -> None:
        times, requests, namespaces, identifiers, passed, latencies, overrides, *rest = zip(
            *rows, strict=True
        )
        by_id = {namespace.id: namespace for namespace in namespaces}
        unseen = _unseen(self._namespaces, by_id)
        columns["limits"] = (
            times,
            requests,
            map(self._namespaces.__getitem__, map(_namespace_id, namespaces)),
            identifiers,
            passed,
            latencies,
            [override or "" for override in overrides],
            *rest,
        )
        if unseen:
            columns["namespaces"] = (
                unseen.values(),
                [by_id[id_].workspace_id for id_ in unseen],
                list(unseen),
            )

    def _part(self, table: str, columns: Columns) -> tuple[int, list[bytes]]:
        if not columns:
            return 0, []
        parts: list[bytes] = []
        for (name, kind), values in zip(TABLES[table].items(), columns, strict=True):
            if kind == "text":
                parts += self._texts[table, name].part(values)
            else:
                parts.append(numbers(kind, values))
        return len(columns[0]), parts


def framed(payload: bytes) -> bytes:
    """The frame that holds `payload`."""
    return HEAD.pack(_FORMAT, len(payload), zlib.crc32(payload)) + payload


def read(name: str, content: bytes) -> Batch:
    """The batch that `content` is the file of; a last frame that was not written to its end is none."""
    frames, damaged = _frames(content)
    tables = {}
    for index, (table, columns) in enumerate(TABLES.items()):
        parts = [frame[index] for frame in frames if frame[index][0]]
        tables[table] = _joined(columns, parts)
    return Batch(name, tables, damaged)


def _frames(content: bytes) -> tuple[list[_Parts], bool]:
    """The frames, and whether something else than a frame follows them."""
    frames: list[_Parts] = []
    view = memoryview(content)
    at = 0
    while at + HEAD.size <= len(content):
        format_, length, checksum = HEAD.unpack_from(content, at)
        payload = view[at + HEAD.size : at + HEAD.size + length]
        if format_ != _FORMAT:
            return frames, True
        if len(payload) < length:
            break
        if zlib.crc32(payload) != checksum:
            return frames, True
        frames.append(_decode(payload))
        at += HEAD.size + length
    return frames, False


def _joined(columns: dict[str, Kind], parts: Sequence[tuple[int, list[bytes]]]) -> Table:
    """One table of the parts of several frames."""
    buffers = iter(zip(*(buffers for _, buffers in parts), strict=True))
    joined = {name: _column(kind, buffers) for name, kind in columns.items()} if parts else {}
    return Table(sum(count for count, _ in parts), joined)


def _column(kind: Kind, buffers: Iterator[tuple[bytes, ...]]) -> Column:
    data = b"".join(next(buffers))
    return Column(kind, data, bytes(END_BYTES) + b"".join(next(buffers)) if kind == "text" else b"")


def _unseen(numbered: dict[Any, int], values: Iterable[Any]) -> dict[Any, int]:
    """Number those of `values` that have no number yet; they and their numbers."""
    unseen = set(values).difference(numbered)
    new = dict(zip(unseen, range(len(numbered), len(numbered) + len(unseen)), strict=True))
    numbered.update(new)
    return new
