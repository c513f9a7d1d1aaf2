"""What somebody lacks to satisfy a permission query."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from itertools import product

_CONSIDERED = 32  # combinations kept at each step, the smallest first; real queries have fewer
_TOLD = 5  # alternatives; more help nobody


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the `count` items before it."""

    count: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Any of the `count` items before it."""

    count: int


Postfix = tuple[str | AllOf | AnyOf, ...]
"""A query with every AND and OR behind its parts; a string is a permission."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Alternatives, smallest first: to hold all permissions of any one of them would be enough.

    No permission of an alternative can be left out. `more`: there are further alternatives. As text it
    reads `a or (b and c)`.
    """

    alternatives: tuple[tuple[str, ...], ...]
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.alternatives)

    def __str__(self) -> str:
        plain = len(self.alternatives) == 1
        texts = [" and ".join(slugs) for slugs in self.alternatives]
        told = [
            text if plain or len(slugs) == 1 else f"({text})"
            for text, slugs in zip(texts, self.alternatives, strict=True)
        ]
        return " or ".join([*told, "other combinations"] if self.more else told)


def missing(postfix: Postfix, held: Set[str], allows: Callable[[Set[str]], bool]) -> Missing:
    """What would make `allows` true in addition to `held`, by the query `postfix` that it stands for."""
    if allows(held):
        return Missing(())
    slugs = tuple(dict.fromkeys(item for item in postfix if isinstance(item, str) and item not in held))
    masks, cut = _combinations(postfix, {slug: 1 << place for place, slug in enumerate(slugs)})
    found = [tuple(slug for place, slug in enumerate(slugs) if mask >> place & 1) for mask in masks]
    if cut:
        needed = dict.fromkeys(_without_the_needless(slugs, held, allows) for slugs in found)
        found = sorted(needed, key=len)
    return Missing(tuple(found[:_TOLD]), cut or len(found) > _TOLD)


def _combinations(postfix: Postfix, bits: dict[str, int]) -> tuple[list[int], bool]:
    """The smallest sets of lacking permissions that do, as bit masks; whether some were left out."""
    stack: list[list[int]] = []
    cut = False
    for item in postfix:
        if isinstance(item, str):
            stack.append([bits.get(item, 0)])
            continue
        parts = stack[-item.count :]
        del stack[-item.count :]
        masks = parts[0]
        for part in parts[1:]:
            joined = masks + part if isinstance(item, AnyOf) else [a | b for a, b in product(masks, part)]
            masks, some_left = _smallest(joined)
            cut = cut or some_left
        stack.append(masks)
    return stack[0], cut


def _smallest(masks: list[int]) -> tuple[list[int], bool]:
    """Those that contain no other, fewest permissions first, and whether there were too many."""
    kept: list[int] = []
    for mask in sorted(set(masks), key=lambda mask: (mask.bit_count(), mask)):
        if not any(mask & other == other for other in kept):
            if len(kept) == _CONSIDERED:
                return kept, True
            kept.append(mask)
    return kept, False


def _without_the_needless(
    slugs: tuple[str, ...], held: Set[str], allows: Callable[[Set[str]], bool]
) -> tuple[str, ...]:
    needed = set(slugs)
    for slug in slugs:
        if allows({*held, *needed} - {slug}):
            needed.discard(slug)
    return tuple(slug for slug in slugs if slug in needed)
