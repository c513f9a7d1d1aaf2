"""Permissions in the URN form, `unkey:v1:<workspace>:<path>#<action>`, and the tuples that they mean.

A URN is read once, when its holder is loaded, and becomes tuples such as `api.*.read_key`; whatever decides
later looks into one set. So a URN costs nothing where permissions are checked.

In a path `*` stands for one segment, and `**` at its end for everything below. The actions `read`, `write` and
`delete` stand for the specific ones that only read, that create or change, and that delete; none of them includes
another. What reveals or uses keys and limits (`verify_key`, `decrypt_key`, `encrypt_key`, `limit`) is granted by its
own name alone. The action `*` goes with the path `**` only, and grants everything.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

EVERYTHING = "*"
PREFIX = "unkey:"

_URN = re.compile(
    r"unkey:v1:(?P<workspace>[A-Za-z0-9_\-]+):(?P<path>[A-Za-z0-9_.\-/*]+)#(?P<action>\*|[^:#/*\s]+)",
    re.ASCII,
)
_SEGMENT = re.compile(r"[A-Za-z0-9_.\-]+|\*", re.ASCII)

_CLASSES = {
    "read": ("read_", "list_"),
    "write": ("create_", "update_", "set_", "add_", "remove_"),
    "delete": ("delete_",),
}
_RBAC_PERMISSIONS = (
    "rbac: read_permission create_permission update_permission delete_permission "
    "add_permission_to_key remove_permission_from_key"
)
_RBAC_ROLES = (
    "rbac: read_role create_role update_role delete_role add_role_to_key remove_role_from_key "
    "add_permission_to_role remove_permission_from_role"
)
_PORTALS = "portal: read_portal create_portal update_portal delete_portal"

_PATHS: dict[str, str] = {
    "keyspaces/{id}": "api: read_api create_api update_api delete_api read_analytics create_key",
    "keyspaces/{id}/keys/{part}": (
        "api: read_key create_key update_key delete_key verify_key encrypt_key decrypt_key"
    ),
    "projects/*/identities/{id}": "identity: read_identity create_identity update_identity delete_identity",
    "ratelimits/namespaces/{id}": (
        "ratelimit: read_namespace create_namespace update_namespace delete_namespace limit read_analytics"
    ),
    "ratelimits/namespaces/{id}/overrides/{part}": (
        "ratelimit: read_override list_overrides set_override delete_override"
    ),
    "rbac/permissions/{id}": _RBAC_PERMISSIONS,
    "rbac/roles/{id}": _RBAC_ROLES,
    "projects/*/rbac/permissions/{id}": _RBAC_PERMISSIONS,
    "projects/*/rbac/roles/{id}": _RBAC_ROLES,
    "projects/*/portals/{id}": _PORTALS,
    "projects/*/portals/{id}/sessions/*": "portal: create_portal_session read_portal_session",
    "rootKeys/{id}": "workspace: read_root_key create_root_key update_root_key delete_root_key",
    "auditLogs/*": "workspace: read_audit_log",
    "limits": "workspace: read_limits update_limits",
    "usage": "workspace: read_usage",
}
"""Where the things are that tuples speak of. `id` is the tuple's own, `part` what is within it.

There are no projects here, so `*` stands for the one that there would be.
"""


class BadUrn(ValueError):
    """The text begins as a URN does and is none."""


@dataclass(frozen=True, slots=True)
class Urn:
    """A permission in the URN form, taken apart."""

    workspace_id: str
    path: tuple[str, ...]
    action: str


@dataclass(frozen=True, slots=True)
class _Place:
    path: tuple[str, ...]
    resource: str
    actions: tuple[str, ...]


@lru_cache(maxsize=4096)
def parse(text: str) -> Urn:
    """The parts of a URN; raises `BadUrn`."""
    found = _URN.fullmatch(text)
    if found is None:
        raise BadUrn("it must read unkey:v1:<workspace>:<path>#<action>")
    action, path = found["action"], tuple(found["path"].split("/"))
    *before, last = path
    if not all(map(_SEGMENT.fullmatch, before)) or not (last == "**" or _SEGMENT.fullmatch(last)):
        raise BadUrn("in its path `*` is a whole segment, and `**` the last one")
    if action == EVERYTHING and path != ("**",):
        raise BadUrn("the action `*` goes with the path `**` only")
    if action.startswith("_") or action.endswith("_"):
        raise BadUrn("its action must not begin or end with `_`")
    return Urn(found["workspace"], path, action)


def is_urn(permission: str) -> bool:
    """Whether the text claims to be a URN, well-formed or not."""
    return permission.startswith(PREFIX)


def keyspaces_of(permissions: Iterable[str], workspace_id: str) -> set[str]:
    """The ids of keyspaces that URNs among `permissions` name."""
    paths = (urn.path for urn in _own(permissions, workspace_id))
    return {path[1] for path in paths if path[0] == "keyspaces" and len(path) > 1 and "*" not in path[1]}


def expanded(
    permissions: Iterable[str], workspace_id: str, api_of_keyspace: Mapping[str, str]
) -> frozenset[str]:
    """`permissions` and the tuples that the URNs among them mean in this workspace.

    A URN of another workspace, or one that is no URN after all, means nothing. A tuple whose thing is one
    part of another, such as a single key, reads `api.<apiId>/<keyId>.<action>`.
    """
    held = frozenset(permissions)
    meant = (meaning(urn, api_of_keyspace) for urn in _own(held, workspace_id))
    return held.union(*meant)


def meaning(urn: Urn, api_of_keyspace: Mapping[str, str]) -> frozenset[str]:
    """The tuples that a URN means; `api_of_keyspace` holds the API of every keyspace that it names."""
    if urn.action == EVERYTHING:
        return frozenset({EVERYTHING})
    return frozenset(
        f"{place.resource}.{subject}.{action}"
        for place in _places()
        if (subject := _subject(urn.path, place, api_of_keyspace)) is not None
        for action in place.actions
        if _includes(urn.action, action)
    )


def _own(permissions: Iterable[str], workspace_id: str) -> list[Urn]:
    found = []
    for permission in permissions:
        if permission.startswith(PREFIX):
            try:
                urn = parse(permission)
            except BadUrn:
                continue
            if urn.workspace_id == workspace_id:
                found.append(urn)
    return found


@cache
def _places() -> tuple[_Place, ...]:
    places = []
    for path, declared in _PATHS.items():
        resource, _, actions = declared.partition(": ")
        places.append(_Place(tuple(path.split("/")), resource, tuple(actions.split())))
    return tuple(places)


def _includes(granted: str, action: str) -> bool:
    return granted == action or action.startswith(_CLASSES.get(granted, ("\0",)))


def _subject(path: tuple[str, ...], place: _Place, api_of_keyspace: Mapping[str, str]) -> str | None:
    """Which id, or id and part, of a place a URN's path names; `None` where it is about something else."""
    named = _named(path, place.path)
    if named is None:
        return None
    subject = named.get("{id}", "*")
    if place.resource == "api" and subject != "*":
        if subject not in api_of_keyspace:
            return None
        subject = api_of_keyspace[subject]
    part = named.get("{part}", "*")
    return subject if part == "*" else f"{subject}/{part}"


def _named(path: tuple[str, ...], place: tuple[str, ...]) -> dict[str, str] | None:
    named: dict[str, str] = {}
    for at, segment in enumerate(place):
        given = path[at] if at < len(path) else ""
        if given == "**":
            return named
        if segment.startswith("{") and given:
            named[segment] = given
        elif given not in (segment, "*"):
            return None
    return named if len(path) == len(place) else None
