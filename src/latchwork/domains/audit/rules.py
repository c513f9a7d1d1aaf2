"""The chain: each row's digest covers its content and the digest before it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

GENESIS = bytes(32)
"""The digest before the first row of a workspace."""

_NOT_TOLD = frozenset({"meta"})
"""What may be about people: the log cannot forget, so it says only that it was changed."""

_COVERED = (
    "workspace_id",
    "seq",
    "id",
    "time_ms",
    "event",
    "display",
    "actor",
    "remote_ip",
    "user_agent",
    "correlation_id",
    "resources",
)


def link(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """SHA-256 over the previous digest and the row's canonical JSON."""
    content = msgspec.json.encode([row[name] for name in _COVERED], order="sorted")
    return hashlib.sha256(previous + content).digest()


def terms(row: Mapping[Any, Any]) -> set[str]:
    """What a row is found by: who did it, and of which ids and types its resources are."""
    found = {f"actor:{row['actor'].get('id')}"} if row["actor"].get("id") is not None else set()
    for resource in row["resources"]:
        found |= {f"{kind}:{resource[kind]}" for kind in ("id", "type") if resource.get(kind) is not None}
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What `after` says differently, as `before` and `after` it, by names as the API spells them.

    `before` has every member of `after`; of metadata it is told only that it is another.
    """
    changed = [name for name in after if after[name] != before[name]]
    told = [name for name in changed if name not in _NOT_TOLD]
    said: dict[str, Any] = {}
    if told:
        said = {
            "before": {_spelled(name): before[name] for name in told},
            "after": {_spelled(name): after[name] for name in told},
        }
    return said | {name: "changed" for name in changed if name in _NOT_TOLD}


def _spelled(name: str) -> str:
    first, *others = name.removesuffix("_ms").removesuffix("_at").split("_")
    return first + "".join(word.capitalize() for word in others)
