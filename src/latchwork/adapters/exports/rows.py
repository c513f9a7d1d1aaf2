"""Rows: what a file of some kind says, record by record, in the words of the API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latchwork.adapters.exports import litellm, plain, unkey
from latchwork.adapters.exports.files import Broken, Record, records
from latchwork.adapters.exports.litellm import Budgets
from latchwork.adapters.exports.values import Wrong
from latchwork.domains.migrations import digest_of_hash

KINDS = ("csv", "unkey", "litellm")


@dataclass(frozen=True, slots=True)
class Key:
    """A row that is a key: a member of `keys` of `keys.migrateKeys`, and what of the row has no place in it."""

    line: int
    key: dict[str, Any]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Left:
    """A row that is not to be taken, and why."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Flawed:
    """A row that cannot be taken: the field that is wrong, empty for the whole row, and how."""

    line: int
    field: str
    detail: str


Row = Key | Left | Flawed


def rows_of(kind: str, path: Path, budgets: Budgets) -> Iterator[Row]:
    """The rows of a file, of which none has the hash of one before it; raises `Unreadable`."""
    known: dict[str, int] = {}
    for number, record in enumerate(records(path), 1):
        if isinstance(record, Broken):
            yield Flawed(record.line, "", record.detail)
            continue
        if number == 1 and kind == "csv":
            plain.check(record.fields)
        yield _once(_row(kind, record, budgets), number, known)


def _row(kind: str, record: Record, budgets: Budgets) -> Row:
    try:
        key, notes = _key(kind, record.fields, budgets)
        digest = digest_of_hash(key["hash"])
    except Wrong as wrong:
        return Flawed(record.line, wrong.field, wrong.detail)
    except unkey.NotInUse as reason:
        return Left(record.line, str(reason))
    if digest is None:
        return Flawed(record.line, "hash", "It is not a SHA-256: 32 bytes in base64 or in hexadecimal.")
    return Key(record.line, key | {"hash": digest.hex()}, notes)


def _once(row: Row, number: int, known: dict[str, int]) -> Row:
    if not isinstance(row, Key):
        return row
    first = known.setdefault(row.key["hash"], number)
    return row if first == number else Flawed(row.line, "hash", f"It is the key of row {first} again.")


def _key(kind: str, fields: dict[str, Any], budgets: Budgets) -> tuple[dict[str, Any], list[str]]:
    if kind == "unkey":
        return unkey.key_of(fields)
    if kind == "litellm":
        return litellm.key_of(fields, budgets)
    return plain.key_of(fields), []
