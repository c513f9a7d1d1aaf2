"""Batches as columns of the tables."""

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from latchwork.adapters.clickhouse.schema import EVENTS, HOURS, LIMITS
from latchwork.domains.analytics import BadBatch, Batch
from latchwork.domains.analytics.batches import TABLES
from latchwork.domains.analytics.columns import NUMBER_BYTES
from latchwork.domains.analytics.records import OUTCOMES
from latchwork.domains.analytics.rules import HOUR_MS

Columns = dict[str, Sequence[Any]]
_ARRAYS = {"byte": "B", "number": "q"}
_OUTCOMES = list(OUTCOMES.values())
_LONGEST_US = 2**31 - 1
_tags = msgspec.json.Decoder(list[str]).decode


def columns_of(batch: Batch) -> dict[str, Columns]:
    """What of the batch goes into which table; raises `BadBatch` where it cannot be read."""
    try:
        read = {table: _read(batch, table) for table in TABLES}
        found = {}
        if batch.tables["verifications"].rows:
            found[EVENTS] = _events(batch.name, read)
            found[HOURS] = _hours(found[EVENTS])
        if batch.tables["limits"].rows:
            found[LIMITS] = _limits(batch.name, read)
    except (ValueError, LookupError, msgspec.MsgspecError) as error:
        raise BadBatch(str(error)) from error
    return found


def _read(batch: Batch, table: str) -> Columns:
    rows, columns = batch.tables[table]
    found: Columns = {}
    for name, kind in TABLES[table].items():
        if not rows:
            found[name] = ()
            continue
        column = columns[name]
        if kind == "text":
            found[name] = _texts(column.data, column.ends, rows)
        else:
            if len(column.data) != rows * NUMBER_BYTES[kind]:
                raise ValueError(f"{table}.{name} is not as long as it should be")
            found[name] = array(_ARRAYS[kind], column.data)
    return found


def _texts(data: bytes, ends: bytes, rows: int) -> list[str]:
    found = array("i", ends)
    if len(found) != rows + 1 or found[-1] != len(data):
        raise ValueError("a column of texts is not as long as it should be")
    if data.isascii():
        text = data.decode("ascii")
        return [text[begin:end] for begin, end in pairwise(found)]
    return [data[begin:end].decode() for begin, end in pairwise(found)]


def _events(name: str, read: dict[str, Columns]) -> Columns:
    rows, subjects = read["verifications"], read["subjects"]
    tagsets = _by_number(read["tagsets"]["number"], [_tags(text) for text in read["tagsets"]["tags"]])
    subject = rows["subject"]

    def of_subject(column: str) -> list[Any]:
        values = _by_number(subjects["number"], subjects[column])
        return [values[number] for number in subject]

    return {
        "workspace_id": of_subject("workspace_id"),
        "key_space_id": of_subject("key_space_id"),
        "time": rows["time"],
        **_identity(name, len(subject)),
        "request_id": rows["request_id"],
        "key_id": of_subject("key_id"),
        "identity_id": of_subject("identity_id"),
        "external_id": of_subject("external_id"),
        "outcome": [_OUTCOMES[number] for number in rows["outcome"]],
        "tags": [tagsets[number] for number in rows["tags"]],
        "spent_credits": rows["spent_credits"],
        "latency_us": _latencies(rows["latency_us"]),
    }


def _hours(events: Columns) -> Columns:
    hours = [time - time % HOUR_MS for time in events["time"]]
    counted = Counter(
        zip(events["workspace_id"], events["key_space_id"], hours, events["outcome"], strict=True)
    )
    workspaces, spaces, times, outcomes = zip(*counted, strict=True)
    return {
        "workspace_id": workspaces,
        "key_space_id": spaces,
        "time": times,
        "outcome": outcomes,
        "batch": [events["batch"][0]] * len(counted),
        "verifications": list(counted.values()),
    }


def _limits(name: str, read: dict[str, Columns]) -> Columns:
    rows, known = read["limits"], read["namespaces"]
    workspaces = _by_number(known["number"], known["workspace_id"])
    namespaces = _by_number(known["number"], known["namespace_id"])
    as_they_are = ("request_id", "identifier", "override_id", "limit", "remaining", "reset_at", "tokens")
    return {
        "workspace_id": [workspaces[number] for number in rows["namespace"]],
        "namespace_id": [namespaces[number] for number in rows["namespace"]],
        "time": rows["time"],
        **_identity(name, len(rows["time"])),
        "passed": [passed != 0 for passed in rows["passed"]],
        "latency_us": _latencies(rows["latency_us"]),
        **{column: rows[column] for column in as_they_are},
    }


def _identity(name: str, rows: int) -> Columns:
    return {"batch": [name] * rows, "number": range(rows)}


def _latencies(values: Sequence[int]) -> list[int]:
    return [min(value, _LONGEST_US) for value in values]


def _by_number(numbers: Sequence[int], values: Sequence[Any]) -> dict[int, Any]:
    return dict(zip(numbers, values, strict=True))
