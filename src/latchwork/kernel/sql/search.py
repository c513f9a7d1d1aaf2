"""Searching texts: case-insensitive substrings, the same on both databases."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement

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


def _folded(text: str) -> str:
    return text.casefold().replace(_BETWEEN, " ")
