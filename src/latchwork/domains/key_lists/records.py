"""What is asked of a list of keys."""

from dataclasses import dataclass
from typing import Literal

Sort = Literal[
    "createdAt",
    "-createdAt",
    "name",
    "-name",
    "expires",
    "-expires",
    "lastUsedAt",
    "-lastUsedAt",
]
"""What to order by, with a minus from the end. Ties are in the order of ids, which is that of creation."""


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """Which keys, in which order; what is `None` or empty does not narrow.

    `search` is looked for in the id, the name, the start and the external id, without regard to case; the
    SHA-256 of a whole key, in Base64 or as hexadecimal digits, finds that key. `expires_before_ms` leaves
    out keys that never expire, `unused_since_ms` keeps those never used at all. `tag` is one with which
    the key was verified, as far back as analytics reach.
    """

    search: str = ""
    api_id: str | None = None
    external_id: str | None = None
    enabled: bool | None = None
    expires_before_ms: int | None = None
    unused_since_ms: int | None = None
    tag: str | None = None
    sort: Sort = "createdAt"

    @property
    def order(self) -> str:
        """What to order by, without the direction."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an ordered list: what it is ordered by there, `None` where that is the id alone, and the id."""

    value: str | int | None
    key_id: str
