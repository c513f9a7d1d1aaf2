"""Snapshots: all that a decision needs to know of a key, joined and parsed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from latchwork.domains.credits import Balance
from latchwork.domains.ratelimits import LimitCheck, LimitRule, counter_key
from latchwork.kernel.invalidations import Tag
from latchwork.kernel.principal import EVERYTHING


class Scope:
    """What many snapshots stand on together (an API, a workspace); ends all of them at once."""

    __slots__ = ("live",)

    def __init__(self) -> None:
        self.live = True


class Snapshot:
    """What a cache keeps under a digest."""

    __slots__ = ("digest", "identity_tag", "scope", "scope_tags")

    digest: bytes
    scope: Scope
    scope_tags: tuple[Tag, ...]
    identity_tag: Tag | None


class BoundLimit:
    """A named limit together with whose counter it uses.

    `check` is what one plain verification asks of the counters; `rendered` is the surface's.
    """

    __slots__ = ("check", "rendered", "rule")

    def __init__(self, rule: LimitRule, workspace_id: str, subject_id: str) -> None:
        self.rule = rule
        self.check = rule.check(counter_key(workspace_id, subject_id, rule.name))
        self.rendered: bytes = b""

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


class KeySnapshot(Snapshot):
    """A tenant's key. `rendered` and `bare` are the surface's own bytes, opaque here."""

    __slots__ = (
        "api_id",
        "api_ips",
        "auto_checks",
        "auto_limits",
        "checks",
        "credits",
        "enabled",
        "expires_ms",
        "external_id",
        "identity_id",
        "identity_limits",
        "identity_meta",
        "key_id",
        "key_ips",
        "keyspace_id",
        "limits",
        "meta",
        "name",
        "observed",
        "permissions",
        "rendered",
        "roles",
        "start",
        "workspace_enabled",
        "workspace_id",
    )

    key_id: str
    workspace_id: str
    workspace_enabled: bool
    keyspace_id: str
    api_id: str
    api_ips: IpList | None
    key_ips: IpList | None
    name: str | None
    start: str
    meta: Mapping[str, Any] | None
    enabled: bool
    expires_ms: int | None
    permissions: frozenset[str]
    roles: tuple[str, ...]
    identity_id: str
    external_id: str
    identity_meta: Mapping[str, Any] | None
    identity_limits: tuple[LimitRule, ...]
    limits: dict[str, BoundLimit]
    auto_limits: tuple[BoundLimit, ...]
    auto_checks: tuple[LimitCheck, ...]
    credits: Balance | None
    observed: str
    checks: tuple[Any, ...]
    rendered: bytes


class CallerSnapshot(Snapshot):
    """A root key: who calls, and what that caller may do."""

    __slots__ = (
        "enabled",
        "expires_ms",
        "key_id",
        "name",
        "permissions",
        "requests_per_minute",
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
    """What a set of permissions says about one action on APIs."""

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


Render = Callable[[KeySnapshot], bytes]
"""Fills `rendered` and the limits' `rendered`: what the surface can prepare once per snapshot."""
