"""The permission query language of a verification.

    expr := and { OR and }      and := primary { AND primary }      primary := PERMISSION | '(' expr ')'

Keywords count in any case, and only as whole words. A permission is matched literally: `documents.*` is held
by those who hold `documents.*`. Nothing here recurses, so nesting is limited by the length of a query alone.
"""

import re
from collections.abc import Iterator, Set
from functools import lru_cache

from latchwork.domains.permissions.lacking import AllOf, AnyOf, Missing, Postfix, missing
from latchwork.kernel.faults import BadRequest

LONGEST = 1_000  # characters, by the wire contract
_REMEMBERED = 1_024  # compiled queries: some 20 KB each at the very most

_WORD = re.compile(r"[()]|[A-Za-z0-9._\-*:/]+")
_SPACE = re.compile(r"[ \t\r\n]*")

_ACCEPT = -1
_REJECT = -2

Step = tuple[str, int, int]
"""A permission, and where to go on if it is held and if it is not."""


class QuerySyntaxError(BadRequest):
    """A permission query cannot be read; the detail says what is wrong and at which position, from 0."""

    code = "user/bad_request/permissions_query_syntax_error"
    default_detail = "The permission query cannot be read."


class PermissionQuery:
    """A query that was understood. Immutable; asked as often as you like."""

    __slots__ = ("_postfix", "_steps", "text")

    def __init__(self, text: str, postfix: Postfix) -> None:
        self.text = text
        self._postfix = postfix
        self._steps = _steps(postfix)

    def allows(self, slugs: Set[str]) -> bool:
        """Whether the holder of exactly these permissions satisfies the query."""
        steps = self._steps
        at = 0
        while at >= 0:
            slug, held, lacking = steps[at]
            at = held if slug in slugs else lacking
        return at == _ACCEPT

    def missing(self, slugs: Set[str]) -> Missing:
        """What would satisfy the query in addition to `slugs`; nothing where they do already."""
        return missing(self._postfix, slugs, self.allows)

    def __repr__(self) -> str:
        return f"PermissionQuery({self.text!r})"


@lru_cache(maxsize=_REMEMBERED)
def compile_query(text: str) -> PermissionQuery:
    """The query that `text` says; raises `QuerySyntaxError`. Repeated texts cost a look-up."""
    if len(text) > LONGEST:
        raise QuerySyntaxError(
            f"The permission query is {len(text)} characters long; at most {LONGEST} are allowed."
        )
    return PermissionQuery(text, _Parser().parse(text))


class _Parser:
    """Reads a query left to right into postfix form, with a stack of open parentheses."""

    def __init__(self) -> None:
        self._postfix: list[str | AllOf | AnyOf] = []
        self._open: list[_Group] = []
        self._group = _Group(-1)
        self._last = ""  # the word before; empty at the beginning

    def parse(self, text: str) -> Postfix:
        for at, word in _words(text):
            if self._wants_operand():
                self._operand(at, word)
            else:
                self._operator(at, word)
            self._last = word
        self._end(len(text))
        return tuple(self._postfix)

    def _wants_operand(self) -> bool:
        return self._last in ("", "(") or _is_keyword(self._last)

    def _operand(self, at: int, word: str) -> None:
        if word == ")" and self._last == "(":
            raise QuerySyntaxError(f"Empty parentheses at position {at}: they must hold a permission.")
        if word == ")" or _is_keyword(word):
            raise QuerySyntaxError(
                f"Unexpected '{word}' at position {at}: a permission or '(' must come here."
            )
        if word == "(":
            self._open.append(self._group)
            self._group = _Group(at)
        else:
            self._postfix.append(word)
            self._group.factors += 1

    def _operator(self, at: int, word: str) -> None:
        if word == ")":
            self._close(at)
        elif not _is_keyword(word):
            raise QuerySyntaxError(f"Unexpected '{word}' at position {at}: AND, OR or ')' must come here.")
        elif word.upper() == "OR":
            self._join_factors()

    def _close(self, at: int) -> None:
        if not self._open:
            raise QuerySyntaxError(f"Unexpected ')' at position {at}: no parenthesis is open.")
        self._join_terms()
        self._group = self._open.pop()
        self._group.factors += 1

    def _end(self, at: int) -> None:
        if not self._last:
            raise QuerySyntaxError("The permission query is empty.")
        if self._wants_operand():
            raise QuerySyntaxError(
                f"The query ends at position {at} after '{self._last}': a permission or '(' must come here."
            )
        if self._open:
            opened_at = self._group.opened_at
            raise QuerySyntaxError(
                f"The query ends at position {at}, and the '(' at position {opened_at} is not closed."
            )
        self._join_terms()

    def _join_factors(self) -> None:
        if self._group.factors > 1:
            self._postfix.append(AllOf(self._group.factors))
        self._group.factors = 0
        self._group.terms += 1

    def _join_terms(self) -> None:
        self._join_factors()
        if self._group.terms > 1:
            self._postfix.append(AnyOf(self._group.terms))


class _Group:
    """What stands between two parentheses so far: finished terms of an OR, factors of the present AND."""

    __slots__ = ("factors", "opened_at", "terms")

    def __init__(self, opened_at: int) -> None:
        self.opened_at = opened_at
        self.factors = 0
        self.terms = 0


def _words(text: str) -> Iterator[tuple[int, str]]:
    at = _past_space(text, 0)
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            raise QuerySyntaxError(
                f"Invalid character {text[at]!r} at position {at}: a query is made of letters, digits, "
                "'.', '_', '-', '*', ':', '/', parentheses and spaces."
            )
        yield at, word.group()
        at = _past_space(text, word.end())


def _past_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _is_keyword(word: str) -> bool:
    return word.upper() in ("AND", "OR")


def _steps(postfix: Postfix) -> tuple[Step, ...]:
    """One step per permission, in the order of the text, each knowing where its answer leads."""
    steps: list[Step] = []
    index = sum(isinstance(item, str) for item in postfix)
    frames: list[_Frame] = [_Frame(1, all_of=True)]
    for item in reversed(postfix):
        while not frames[-1].left:
            frames.pop()
        held, lacking = frames[-1].targets(index)
        if isinstance(item, str):
            index -= 1
            steps.append((item, held, lacking))
        else:
            frames.append(_Frame(item.count, all_of=isinstance(item, AllOf), held=held, lacking=lacking))
    steps.reverse()
    return tuple(steps)


class _Frame:
    """An AND or OR whose parts are being placed, the last part first."""

    __slots__ = ("_all_of", "_held", "_is_last", "_lacking", "left")

    def __init__(self, count: int, *, all_of: bool, held: int = _ACCEPT, lacking: int = _REJECT) -> None:
        self.left = count
        self._all_of = all_of
        self._held = held
        self._lacking = lacking
        self._is_last = True

    def targets(self, following: int) -> tuple[int, int]:
        """Where the next part leads to; `following` is the first step of the part after it."""
        self.left -= 1
        if self._is_last:
            self._is_last = False
            return self._held, self._lacking
        return (following, self._lacking) if self._all_of else (self._held, following)
