"""What a caller may hand on, and how a root key's text may be shown; pure."""

from collections.abc import Iterable, Mapping

from latchwork.kernel import urns
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.principal import EVERYTHING

_END_CHARS = 4
_MINUTE_MS = 60_000


def end_of(key: str) -> str:
    """The last characters of a root key, by which people tell two apart."""
    return key[-_END_CHARS:]


def checked(permissions: Iterable[str]) -> tuple[str, ...]:
    """The permissions without repeats; raises `BadRequest` for one that begins as a URN and is none."""
    wanted = tuple(dict.fromkeys(permissions))
    for permission in filter(urns.is_urn, wanted):
        try:
            urns.parse(permission)
        except urns.BadUrn as error:
            raise BadRequest(f"`permissions` holds '{permission[:200]}': {error}.") from None
    return wanted


def beyond(
    wanted: Iterable[str], held: frozenset[str], workspace_id: str, api_of_keyspace: Mapping[str, str]
) -> list[str]:
    """Those of `wanted` that go beyond `held`, the permissions of somebody in that workspace, URNs expanded."""
    return [each for each in wanted if not _covers(held, each, workspace_id, api_of_keyspace)]


def _covers(
    held: frozenset[str], permission: str, workspace_id: str, api_of_keyspace: Mapping[str, str]
) -> bool:
    if not urns.is_urn(permission):
        return _covers_tuple(held, permission)
    urn = urns.parse(permission)
    if urn.workspace_id != workspace_id:
        return False
    if permission in held or EVERYTHING in held:
        return True
    meant = urns.meaning(urn, api_of_keyspace)
    return bool(meant) and all(_covers_tuple(held, each) for each in meant)


def _covers_tuple(held: frozenset[str], permission: str) -> bool:
    if permission in held or EVERYTHING in held:
        return True
    resource, _, rest = permission.partition(".")
    subject, _, action = rest.rpartition(".")
    if not (subject and action):
        return False
    whole, _, part = subject.partition("/")
    wider = [f"{resource}.*.{action}"]
    if part:
        wider += [f"{resource}.{whole}.{action}", f"{resource}.*/{part}.{action}"]
    return any(each in held for each in wider)


def readable(held: frozenset[str]) -> frozenset[str]:
    """The ids of root keys that `held` lets one read, `*` among them for all."""
    head, tail = "workspace.", ".read_root_key"
    named = (each for each in held if each.startswith(head) and each.endswith(tail))
    ids = frozenset(each[len(head) : -len(tail)] for each in named)
    return ids | {EVERYTHING} if EVERYTHING in held else ids


def old_expiry(expires_ms: int | None, grace_ms: int | None, now_ms: int) -> int | None:
    """When the old key of a reroll ends: at once, or after the grace, rounded up to a whole minute.

    No grace leaves its own expiry; a grace never lengthens it.
    """
    if grace_ms is None:
        return expires_ms
    ends_ms = now_ms + grace_ms
    if grace_ms:
        ends_ms = -(-ends_ms // _MINUTE_MS) * _MINUTE_MS
    return ends_ms if expires_ms is None else min(ends_ms, expires_ms)


def lasts_as_long(other_ms: int | None, than_ms: int | None) -> bool:
    """Whether an expiry is no earlier than another; `None` is never."""
    return other_ms is None or (than_ms is not None and other_ms >= than_ms)
