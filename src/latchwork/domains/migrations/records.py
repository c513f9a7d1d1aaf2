"""What a migration is, and what is taken over with it."""

from dataclasses import dataclass
from enum import StrEnum

from latchwork.domains.keys import NewKey


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
    """A key that was issued elsewhere: its SHA-256 (of what the migration says), and what belongs to it.

    `start` is what may be shown of it; empty where that is not known before its first use.
    """

    digest: bytes
    wanted: NewKey
    start: str = ""

    @property
    def weight(self) -> int:
        """About how many rows it makes."""
        wanted = self.wanted
        return 2 + len(wanted.permissions) + len(wanted.roles) + len(wanted.limits)


@dataclass(frozen=True, slots=True)
class Migrated:
    """Which keys were taken over, digest to key id, and the digests that some key already had."""

    key_ids: dict[bytes, str]
    taken: tuple[bytes, ...]
