"""What APIs and keys are, and what may be asked of them."""

from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from latchwork.domains.credits import Balance, Refill
from latchwork.domains.identities import Identity
from latchwork.domains.ratelimits import LimitRule


@dataclass(frozen=True, slots=True)
class Api:
    """An API and the keyspace that holds its keys.

    `ip_whitelist` are addresses and networks that its keys may be used from (empty: any).
    `analytics` is `full`, `sampled` or `off`. `stale_ok_s` is how long a cluster node that is cut
    off may go on trusting what it knows about the API's keys.
    """

    id: str
    workspace_id: str
    keyspace_id: str
    name: str
    delete_protection: bool
    ip_whitelist: tuple[str, ...]
    default_prefix: str | None
    default_byte_length: int | None
    store_encrypted_keys: bool
    analytics: str
    stale_ok_s: int
    created_ms: int
    updated_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ApiChange:
    """What to change of an API; what is unset stays."""

    name: str | UnsetType = UNSET
    delete_protection: bool | UnsetType = UNSET
    ip_whitelist: tuple[str, ...] | UnsetType = UNSET
    default_prefix: str | UnsetType | None = UNSET
    default_byte_length: int | UnsetType | None = UNSET
    store_encrypted_keys: bool | UnsetType = UNSET
    analytics: str | UnsetType = UNSET
    stale_ok_s: int | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. `for_workspace_id` is set on root keys: the workspace they act in.

    While `pending_migration_id` is set, `digest` is of what that migration's algorithm hashes; the first
    use of the key makes it the digest of the whole key. `byte_length` is known of keys that were minted here.
    """

    id: str
    workspace_id: str
    for_workspace_id: str | None
    keyspace_id: str
    api_id: str | None
    lineage_id: str
    digest: bytes
    start: str
    name: str | None
    identity_id: str | None
    meta: dict[str, Any] | None
    enabled: bool
    expires_ms: int | None
    ip_whitelist: tuple[str, ...]
    created_ms: int
    updated_ms: int | None = None
    pending_migration_id: str | None = None
    byte_length: int | None = None


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key with everything that belongs to it.

    `permissions` are direct ones and those of its roles. `text` is that of a recoverable key, where it
    was asked for.
    """

    key: Key
    permissions: tuple[str, ...]
    roles: tuple[str, ...]
    limits: tuple[LimitRule, ...]
    credits: Balance | None
    identity: Identity | None
    last_used_ms: int | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked of a new key; `credits` of `None` means unlimited."""

    prefix: str | None = None
    name: str | None = None
    byte_length: int | None = None
    external_id: str | None = None
    meta: dict[str, Any] | None = None
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    expires_ms: int | None = None
    credits: Balance | None = None
    limits: tuple[LimitRule, ...] = ()
    enabled: bool = True
    recoverable: bool = False
    ip_whitelist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreditsChange:
    """What to change of a key's credits; `remaining` of `None` makes the key unlimited."""

    remaining: int | UnsetType | None = UNSET
    refill: Refill | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What to change of a key: unset stays, `None` clears, a list replaces the whole list."""

    name: str | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    meta: dict[str, Any] | UnsetType | None = UNSET
    expires_ms: int | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    credits: CreditsChange | UnsetType | None = UNSET
    limits: tuple[LimitRule, ...] | UnsetType = UNSET
    roles: tuple[str, ...] | UnsetType = UNSET
    permissions: tuple[str, ...] | UnsetType = UNSET
    ip_whitelist: tuple[str, ...] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Owner:
    """An end user for whom only the keys of their own identity in one keyspace exist."""

    keyspace_id: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key; `key` is its text, known only here and to whoever is told."""

    key_id: str
    key: str

    def __repr__(self) -> str:
        return f"Minted(key_id={self.key_id!r}, key='…')"
