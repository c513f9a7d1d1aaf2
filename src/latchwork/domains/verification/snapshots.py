"""Snapshots: all that a decision needs to know of a key, joined and parsed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from latchwork.domains.ratelimits import LimitCheck, LimitRule, counter_key
from latchwork.domains.verification.purses import Purse
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.principal import EVERYTHING

STALE_OK_S = 86_400
"""How long what was known of a caller may be used while nothing can be read; a key's API says less."""


class Scope:
    """What many snapshots stand on together; ends all of them at once when one of `tags` changes."""

    __slots__ = ("live", "stale_ok_s", "tags")

    def __init__(self, *tags: Tag) -> None:
        self.live = True
        self.tags = tags
        self.stale_ok_s = STALE_OK_S


class Place(Scope):
    """An API in its workspace: what the snapshots of all its keys have in common."""

    __slots__ = (
        "api_id",
        "api_ips",
        "keyspace_id",
        "observed",
        "operations_per_month",
        "workspace_enabled",
        "workspace_id",
    )

    api_id: str
    api_ips: "IpList | None"
    keyspace_id: str
    observed: str
    operations_per_month: int | None
    workspace_enabled: bool
    workspace_id: str


P = TypeVar("P", bound=Scope)


class Snapshot(Generic[P]):
    """What a cache keeps under a digest."""

    __slots__ = ("digest", "identity_tag", "scope")

    digest: bytes
    scope: P
    identity_tag: Tag | None


class BoundLimit:
    """A named limit together with whose counter it uses.

    `check` is what one plain verification asks of the counters; `rendered` is the surface's: what answers
    say of the limit after its id.
    """

    __slots__ = ("check", "rendered", "rule")

    def __init__(self, rule: LimitRule, workspace_id: str, subject_id: str) -> None:
        self.rule = rule
        self.check = rule.check(counter_key(workspace_id, subject_id, rule.name))
        self.rendered = ""

    def costing(self, cost: int) -> LimitCheck:
        """The same question for another cost."""
        return self.rule.check(self.check.key, cost)


class IpList:
    """Addresses and networks that may use a key; empty means any."""

    __slots__ = ("_known", "_networks")

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._networks = tuple(ip_network(entry) for entry in entries)
        self._known: dict[str, bool] = {}

    def allows(self, ip: str) -> bool:
        """Whether `ip` is inside; an address that cannot be parsed is outside."""
        known = self._known.get(ip)
        if known is None:
            if len(self._known) > 1_000:
                self._known.clear()
            known = self._known[ip] = self._holds(ip)
        return known

    def _holds(self, ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def __str__(self) -> str:
        return ", ".join(str(network) for network in self._networks)


class KnownIdentity(NamedTuple):
    """Whose key it is; `limits` are those that none of the key's own hides."""

    id: str
    external_id: str
    meta: Mapping[str, Any] | None
    limits: tuple[LimitRule, ...]


class KeySnapshot(Snapshot[Place]):
    """A tenant's key. There may be a million, so what is equal among many is shared.

    `checks` are those that could ever refuse it, `auto` the limits that every verification asks for; a key
    with none of the former and one of the latter, as most are, `is_plain`; `usual` is that one limit where
    nothing else is to be thought of either. `was_shown` is false of a key that was taken over by its hash and
    whose text nobody has seen yet. `purse` is `None` for a key without credits. `rendered` is the surface's:
    what every answer says of the key after its id.
    """

    __slots__ = (
        "auto",
        "checks",
        "enabled",
        "expires_ms",
        "identity",
        "is_plain",
        "key_id",
        "key_ips",
        "limits",
        "meta",
        "name",
        "permissions",
        "purse",
        "rendered",
        "roles",
        "usual",
        "was_shown",
    )

    key_id: str
    key_ips: IpList | None
    name: str | None
    was_shown: bool
    meta: Mapping[str, Any] | None
    enabled: bool
    expires_ms: int | None
    permissions: frozenset[str]
    roles: tuple[str, ...]
    identity: KnownIdentity | None
    limits: tuple[BoundLimit, ...]
    auto: tuple[BoundLimit, ...]
    purse: Purse | None
    checks: tuple[Any, ...]
    is_plain: bool
    usual: BoundLimit | None
    rendered: str

    @property
    def workspace_id(self) -> str:
        return self.scope.workspace_id

    @property
    def keyspace_id(self) -> str:
        return self.scope.keyspace_id

    @property
    def api_id(self) -> str:
        return self.scope.api_id

    @property
    def identity_id(self) -> str:
        """Empty when the key is nobody's."""
        return "" if self.identity is None else self.identity.id

    @property
    def external_id(self) -> str:
        """Empty when the key is nobody's."""
        return "" if self.identity is None else self.identity.external_id

    def limit(self, name: str) -> BoundLimit | None:
        """The limit of that name, the key's own or its identity's."""
        for bound in self.limits:
            if bound.rule.name == name:
                return bound
        return None


class CallerSnapshot(Snapshot[Scope]):
    """A root key: who calls, and what that caller may do.

    Up to `until_ms` nothing at all is in its way; before the epoch if something is.
    """

    __slots__ = (
        "enabled",
        "expires_ms",
        "key_id",
        "name",
        "operations_per_month",
        "permissions",
        "requests_per_minute",
        "until_ms",
        "verifies_all",
        "verifies_apis",
        "workspace_enabled",
        "workspace_id",
    )

    key_id: str
    name: str | None
    enabled: bool
    expires_ms: int | None
    permissions: frozenset[str]
    workspace_id: str
    workspace_enabled: bool | None
    requests_per_minute: int | None
    operations_per_month: int | None
    until_ms: int
    verifies_all: bool
    verifies_apis: frozenset[str]


class Verifying(Protocol):
    """Whose keys may be verified: a workspace's, of all its APIs or of some."""

    @property
    def workspace_id(self) -> str: ...
    @property
    def verifies_all(self) -> bool: ...
    @property
    def verifies_apis(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Grant:
    """What a set of permissions says about one action on APIs.

    `verifies_apis` are ids of APIs, and `<apiId or *>/<keyId>` for single keys.
    """

    workspace_id: str
    verifies_all: bool
    verifies_apis: frozenset[str]

    @classmethod
    def of(cls, workspace_id: str, permissions: frozenset[str], action: str = "verify_key") -> "Grant":
        """Read tuples such as `api.*.verify_key` and `api.<id>.verify_key`."""
        all_ = EVERYTHING in permissions or f"api.*.{action}" in permissions
        tail = f".{action}"
        named = (held for held in permissions if held.startswith("api.") and held.endswith(tail))
        return cls(workspace_id, all_, frozenset(held[len("api.") : -len(tail)] for held in named))


Render = Callable[[KeySnapshot], None]
"""Fills `rendered` and the limits' `rendered`: what the surface can prepare once per snapshot."""
