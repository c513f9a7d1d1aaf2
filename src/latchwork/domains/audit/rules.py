"""The chain: each row's digest covers its content and the digest before it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

GENESIS = bytes(32)
"""The digest before the first row of a workspace."""

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
