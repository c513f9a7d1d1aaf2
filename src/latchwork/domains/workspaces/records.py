"""What a workspace is."""

from dataclasses import dataclass

OPERATOR_ID = "ws_operator"
"""The workspace that owns the root keys; no root key acts in it."""


MOST = 1_000_000_000
"""No quota is larger; one that should be is none."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a workspace may use at most; `None` is no limit.

    Requests of the management API per minute, verifications and limits per calendar month (UTC), days that
    analytics and the audit log reach back, and log drains.
    """

    requests_per_minute: int | None = None
    operations_per_month: int | None = None
    logs_retention_days: int | None = None
    audit_retention_days: int | None = None
    log_drains: int | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant; `api_requests_per_minute` bounds its use of the management API, `None` does not."""

    id: str
    name: str
    enabled: bool
    api_requests_per_minute: int | None
    created_ms: int
