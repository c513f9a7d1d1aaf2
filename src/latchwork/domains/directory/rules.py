"""Texts that compare without regard to case; pure."""

from collections.abc import Iterable

_BETWEEN = "\x1f"  # so that a search never reaches over two words


def searchable(words: Iterable[str | None]) -> str:
    """What a search looks into, for something that is called all these words."""
    return folded(_BETWEEN.join(word or "" for word in words))


def folded(text: str) -> str:
    """`text` as it compares without regard to case."""
    return text.casefold()
