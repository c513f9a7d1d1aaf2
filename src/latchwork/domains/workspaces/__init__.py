"""Workspaces: the tenants. Everything else belongs to exactly one of them.

One more, the operator's own, holds the root keys through which people act in theirs.
"""

from latchwork.domains.workspaces.faults import WorkspaceDisabled, WorkspaceNotFound
from latchwork.domains.workspaces.limits import WorkspaceLimits, audit_retention_days
from latchwork.domains.workspaces.records import MOST, OPERATOR_ID, Quotas, Workspace
from latchwork.domains.workspaces.rules import first_of, following_month_ms, month_start_ms
from latchwork.domains.workspaces.service import Workspaces, operator

__all__ = [
    "MOST",
    "OPERATOR_ID",
    "Quotas",
    "Workspace",
    "WorkspaceDisabled",
    "WorkspaceLimits",
    "WorkspaceNotFound",
    "Workspaces",
    "audit_retention_days",
    "first_of",
    "following_month_ms",
    "month_start_ms",
    "operator",
]
