"""Searching texts: case-insensitive substrings, the same on both databases."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, text

_TRIGRAMS = 8  # of a long search that are looked up; the text itself is compared in the end
_RAREST = 3  # of those that overlap
_WEIGHED = 16  # of a long search whose frequency is asked for
_WORD = re.compile(r"[^\W_]{3,}")  # that PostgreSQL has trigrams of
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
    return _all_of(list(dict.fromkeys(folded[at : at + 3] for at in starts))[-_TRIGRAMS:])


class Sample:
    """Texts of several places of a table, to tell what is rare in it: at most the share `rare` of texts hold it.

    Of several places because what rows of one time hold is alike.
    """

    def __init__(self, places: Sequence[Sequence[str]], rare: float) -> None:
        self._places = [place for place in places if place]
        self._rare = rare

    def is_rare(self, part: str) -> bool:
        """Whether there is a place where it is rare."""
        return not self._places or min(map(_share_of(part), self._places)) <= self._rare

    def rarest_trigrams(self, folded: str) -> str | None:
        """What FTS5 is asked for, as `trigrams` says, but for the trigrams that fewest texts have.

        Going through those that all rows have takes longer than all the rest of a search.
        """
        found = list(dict.fromkeys(folded[at : at + 3] for at in range(len(folded) - 2)))
        weighed = found[:: 1 + len(found) // _WEIGHED]
        return _all_of(sorted(weighed, key=self._share)[:_RAREST])

    def rare_word(self, folded: str) -> str | None:
        """The word of `folded` that fewest texts hold, if it is rare: PostgreSQL looks it up alone."""
        found = min(_WORD.findall(folded)[:_WEIGHED], key=self._share, default=None)
        return found if found is not None and self._share(found) <= self._rare else None

    def _share(self, part: str) -> float:
        return sum(map(_share_of(part), self._places)) / max(1, len(self._places))


def _share_of(part: str) -> Callable[[Sequence[str]], float]:
    return lambda place: sum(part in text for text in place) / len(place)


def _all_of(trigrams: Iterable[str]) -> str | None:
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams) or None


def has_table(connection: Connection, name: str) -> bool:
    """Whether SQLite has that table of trigrams: it has none when it was built without FTS5."""
    named = text("SELECT 1 FROM sqlite_master WHERE name = :name").bindparams(name=name)
    return connection.execute(named).scalar() is not None


def _folded(text: str) -> str:
    return text.casefold().replace(_BETWEEN, " ")
