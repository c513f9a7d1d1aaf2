"""What a root key is, and what may be changed of it."""

from dataclasses import dataclass

from msgspec import UNSET, UnsetType


@dataclass(frozen=True, slots=True)
class RootKey:
    """A root key; `workspace_id` is the workspace it acts in.

    `start` and `end` are what may be shown of its text; `end` is empty for keys from before it was kept.
    `permissions` are as they were granted, sorted: tuples, URNs, `*`. `last_used_ms` is 0 for never.
    """

    id: str
    workspace_id: str
    lineage_id: str
    digest: bytes
    start: str
    end: str
    name: str | None
    enabled: bool
    created_ms: int
    expires_ms: int | None
    permissions: tuple[str, ...]
    last_used_ms: int = 0


@dataclass(frozen=True, slots=True)
class RootKeyChange:
    """What to change of a root key: unset stays, a name of `None` is cleared, permissions are replaced."""

    name: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    permissions: tuple[str, ...] | UnsetType = UNSET
