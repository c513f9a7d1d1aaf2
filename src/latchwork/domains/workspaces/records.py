"""What a workspace is."""

from dataclasses import dataclass

OPERATOR_ID = "ws_operator"
"""The workspace that owns the root keys; no root key acts in it."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant; `api_requests_per_minute` bounds its use of the management API, `None` does not."""

    id: str
    name: str
    enabled: bool
    api_requests_per_minute: int | None
    created_ms: int
