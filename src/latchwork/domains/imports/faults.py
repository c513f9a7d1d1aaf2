"""What callers may be told about imports."""

from latchwork.kernel.faults import Conflict, NotFound


class RunNotFound(NotFound):
    """No run has that id in this workspace."""

    code = "unkey/data/import_not_found"
    default_detail = "There is no such import in this workspace."


class RunMoved(Conflict):
    """The run is not where its caller thinks: somebody else is at it, or has undone it."""

    code = "unkey/data/import_moved"
    default_detail = "This import is being carried out elsewhere, or was undone meanwhile."
