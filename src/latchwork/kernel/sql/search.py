"""Searching texts: case-insensitive substrings, the same on both databases."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, text

_TRIGRAMS = 8  # of a long search that are looked up; the text itself is compared in the end
_BETWEEN = "\x1f"  # fields stand apart, so that nothing is found across two of them


def searchable(*fields: str | None) -> str:
    """The text in which a search finds every substring of each field, whatever its case."""
    return _BETWEEN.join(_folded(field) for field in fields if field)


def searchable_columns(*names: str) -> Callable[[Any], str]:
    """The default of a column that holds the `searchable` text of its row's columns `names`."""

    def of(context: Any) -> str:
        row = context.get_current_parameters()
        return searchable(*(row.get(name) for name in names))

    return of


def wanted(search: str) -> str:
    """What to look for: trimmed and folded; empty when everything is wanted."""
    return _folded(search.strip())


def holds(column: ColumnElement[str], folded: str) -> ColumnElement[bool]:
    """Whether a `searchable` column holds `folded`, in which `%` and `_` are ordinary characters."""
    return column.contains(folded, autoescape=True)


def trigrams(folded: str) -> str | None:
    """What FTS5 is asked for the rows that have the trigrams of `folded`, in any places; `None` if it has none.

    Those that overlap are left out: they say nearly the same, and each costs as much.
    """
    ends = len(folded) - 2
    starts = sorted({*range(0, ends, 3), ends - 1}) if ends > 0 else ()
    found = list(dict.fromkeys(folded[at : at + 3] for at in starts))[-_TRIGRAMS:]
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in found) or None


def has_table(connection: Connection, name: str) -> bool:
    """Whether SQLite has that table of trigrams: it has none when it was built without FTS5."""
    named = text("SELECT 1 FROM sqlite_master WHERE name = :name").bindparams(name=name)
    return connection.execute(named).scalar() is not None


def _folded(text: str) -> str:
    return text.casefold().replace(_BETWEEN, " ")
