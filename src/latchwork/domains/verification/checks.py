"""The stateless checks of a found key, cheapest first; the first refusal wins."""

from collections.abc import Callable
from dataclasses import dataclass

from latchwork.domains.verification.records import Outcome, Refusal
from latchwork.domains.verification.snapshots import KeySnapshot
from latchwork.kernel.durations import moment

Refuse = Callable[[KeySnapshot, str, int], Refusal | None]
"""`refuse(snapshot, ip, now_ms)`: why the key is refused, or `None`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `concerns` says whether it can refuse a given key at all."""

    name: str
    concerns: Callable[[KeySnapshot], bool]
    refuse: Refuse
    passes: Callable[[KeySnapshot], str]
    remedy: Callable[[KeySnapshot], str]


def _workspace(snapshot: KeySnapshot, ip: str, now_ms: int) -> Refusal | None:
    if snapshot.scope.workspace_enabled:
        return None
    return Refusal(Outcome.FORBIDDEN, "The workspace of this key is disabled.")


def _enabled(snapshot: KeySnapshot, ip: str, now_ms: int) -> Refusal | None:
    return None if snapshot.enabled else Refusal(Outcome.DISABLED, "The key is disabled.")


def _expiry(snapshot: KeySnapshot, ip: str, now_ms: int) -> Refusal | None:
    expires_ms = snapshot.expires_ms
    if expires_ms is None or now_ms <= expires_ms:
        return None
    return Refusal(Outcome.EXPIRED, f"The key expired at {moment(expires_ms)}.")


def _api_ips(snapshot: KeySnapshot, ip: str, now_ms: int) -> Refusal | None:
    allowed = snapshot.scope.api_ips
    if allowed is None or allowed.allows(ip):
        return None
    return Refusal(Outcome.FORBIDDEN, f"The address {ip} is not among those the API allows.")


def _key_ips(snapshot: KeySnapshot, ip: str, now_ms: int) -> Refusal | None:
    if snapshot.key_ips is None or snapshot.key_ips.allows(ip):
        return None
    return Refusal(Outcome.FORBIDDEN, f"The address {ip} is not among those the key allows.")


def _api_allows(snapshot: KeySnapshot) -> str:
    allows = "any" if snapshot.scope.api_ips is None else "the"
    return f"The API allows {allows} address."


def _until(snapshot: KeySnapshot) -> str:
    expires_ms = snapshot.expires_ms
    return "The key never expires." if expires_ms is None else f"The key expires at {moment(expires_ms)}."


CHECKS: tuple[Check, ...] = (
    Check(
        "workspace",
        lambda key: not key.scope.workspace_enabled,
        _workspace,
        lambda key: "The workspace is enabled.",
        lambda key: "Ask the operator to enable the workspace.",
    ),
    Check(
        "enabled",
        lambda key: not key.enabled,
        _enabled,
        lambda key: "The key is enabled.",
        lambda key: f"Enable the key: keys.updateKey with keyId {key.key_id} and enabled true.",
    ),
    Check(
        "expiry",
        lambda key: key.expires_ms is not None,
        _expiry,
        _until,
        lambda key: "Move the expiry: keys.updateKey with a later `expires`, or null for never.",
    ),
    Check(
        "apiIpWhitelist",
        lambda key: key.scope.api_ips is not None,
        _api_ips,
        _api_allows,
        lambda key: f"Call from {key.scope.api_ips}, or change the API's `ipWhitelist`.",
    ),
    Check(
        "keyIpWhitelist",
        lambda key: key.key_ips is not None,
        _key_ips,
        lambda key: "The key allows any address." if key.key_ips is None else "The key allows the address.",
        lambda key: f"Call from {key.key_ips}, or change the key's `ipWhitelist`.",
    ),
)


def concerning(snapshot: KeySnapshot) -> tuple[Refuse, ...]:
    """The checks that could ever refuse this key, in order; most keys need none of them."""
    return tuple(check.refuse for check in CHECKS if check.concerns(snapshot))
