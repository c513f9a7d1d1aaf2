"""Workspaces: the tenants. Everything else belongs to exactly one of them.

One more, the operator's own, holds the root keys through which people act in theirs.
"""

from latchwork.domains.workspaces.faults import WorkspaceDisabled, WorkspaceNotFound
from latchwork.domains.workspaces.records import OPERATOR_ID, Workspace
from latchwork.domains.workspaces.service import Workspaces, operator

__all__ = ["OPERATOR_ID", "Workspace", "WorkspaceDisabled", "WorkspaceNotFound", "Workspaces", "operator"]
