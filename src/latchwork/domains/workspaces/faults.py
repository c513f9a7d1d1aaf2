"""What callers may be told about workspaces."""

from latchwork.kernel.faults import Forbidden, NotFound


class WorkspaceNotFound(NotFound):
    """The workspace does not exist."""

    code = "unkey/data/workspace_not_found"
    default_detail = "The provided root key is invalid. The requested workspace does not exist."


class WorkspaceDisabled(Forbidden):
    """The workspace was switched off by the operator."""

    code = "unkey/authorization/workspace_disabled"
    title = "Workspace is disabled"
    default_detail = "This workspace is disabled."
