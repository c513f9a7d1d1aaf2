"""Which override of a namespace holds for an identifier."""

from collections.abc import Iterable, Iterator

from latchwork.domains.ratelimits.records import Override

ANY_RUN = "*"


class OverrideMatcher:
    """The overrides of one namespace, compiled: made once, asked for every request.

    An exact identifier wins over patterns; among the patterns that match, the one with the most literal
    characters, then the one with the lowest id. An override that has expired holds for nobody.
    """

    __slots__ = ("_exact", "_openings", "_patterns")

    def __init__(self, overrides: Iterable[Override]) -> None:
        self._exact: dict[str, Override] = {}
        self._patterns: dict[str, list[_Pattern]] = {}  # by the literal text they begin with
        for override in sorted(overrides, key=_rank):
            self._exact[override.identifier] = override
            if ANY_RUN in override.identifier:
                pattern = _Pattern(override)
                self._patterns.setdefault(pattern.opening, []).append(pattern)
        self._openings = sorted({len(opening) for opening in self._patterns})

    def find(self, identifier: str, now_ms: int) -> Override | None:
        """The override that holds for `identifier` now."""
        exact = self._exact.get(identifier)
        if exact is not None and _holds(exact, now_ms):
            return exact
        if not self._patterns:
            return None
        return min(self._matching(identifier, now_ms), key=_rank, default=None)

    def _matching(self, identifier: str, now_ms: int) -> Iterator[Override]:
        """The best match of every opening that `identifier` has."""
        for length in self._openings:
            for pattern in self._patterns.get(identifier[:length], ()):
                if _holds(pattern.override, now_ms) and pattern.matches(identifier):
                    yield pattern.override
                    break


class _Pattern:
    """A pattern with `*`. As `*` matches no newline, text and pattern are compared line by line."""

    __slots__ = ("_lines", "opening", "override")

    def __init__(self, override: Override) -> None:
        self.override = override
        self.opening = override.identifier.split(ANY_RUN, 1)[0]
        self._lines = [line.split(ANY_RUN) for line in override.identifier.split("\n")]

    def matches(self, identifier: str) -> bool:
        lines = identifier.split("\n")
        return len(lines) == len(self._lines) and all(map(_fits, lines, self._lines))


def _fits(line: str, literals: list[str]) -> bool:
    """Whether `line` is these literals in order with anything between them.

    Taking each literal at the first place it occurs is enough, so nothing is ever tried twice.
    """
    if len(literals) == 1:
        return line == literals[0]
    first, *middle, last = literals
    at, end = len(first), len(line) - len(last)
    if at > end or not line.startswith(first) or not line.endswith(last):
        return False
    for literal in middle:
        found = line.find(literal, at, end)
        if found < 0:
            return False
        at = found + len(literal)
    return True


def _rank(override: Override) -> tuple[int, str]:
    return override.identifier.count(ANY_RUN) - len(override.identifier), override.id


def _holds(override: Override, now_ms: int) -> bool:
    return override.expires_at_ms is None or now_ms <= override.expires_at_ms
