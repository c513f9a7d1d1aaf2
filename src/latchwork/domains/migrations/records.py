"""What a migration is, and what is taken over with it."""

from dataclasses import dataclass, field
from enum import StrEnum

from latchwork.domains.keys import NewKey
from latchwork.kernel.ids import new_id


class Algorithm(StrEnum):
    """What the hashes of the keys are of: the whole key, or the last part of a prefixed API key."""

    SHA256 = "sha256"
    PREFIXED_API_KEY = "github.com/seamapi/prefixed-api-key"


@dataclass(frozen=True, slots=True)
class Migration:
    """How the keys of another system were hashed."""

    id: str
    workspace_id: str
    algorithm: Algorithm
    created_ms: int


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key that was issued elsewhere: its SHA-256, what belongs to it, and the id that it will have here.

    `start` is what may be shown of it; empty where that is not known before its first use. With a
    `pending_migration_id` the digest is of what that migration says, until the first use. `sealed` is the
    text of a recoverable one.
    """

    digest: bytes
    wanted: NewKey
    start: str = ""
    pending_migration_id: str | None = None
    sealed: bytes | None = None
    id: str = field(default_factory=lambda: new_id("key"))

    def rows(self) -> int:
        """About how many rows it makes."""
        wanted = self.wanted
        return 2 + len(wanted.permissions) + len(wanted.roles) + len(wanted.limits)


@dataclass(frozen=True, slots=True)
class Offer:
    """A key offered to an API, with its text where that was given; the text is kept sealed or not at all."""

    api_id: str
    key: ForeignKey
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Migrated:
    """Which keys were taken over, digest to key id, and the digests that some key already had.

    `created` are the identities, permissions and roles that were missing, as pairs of noun and id.
    """

    key_ids: dict[bytes, str]
    taken: tuple[bytes, ...]
    created: tuple[tuple[str, str], ...] = ()
