"""What callers may be told about root keys."""

from latchwork.kernel.faults import NotFound, PreconditionFailed


class RootKeyNotFound(NotFound):
    """No live root key of the workspace has that id."""

    code = "unkey/data/key_not_found"
    default_detail = "This root key does not exist."


class LastWayIn(PreconditionFailed):
    """Without this root key nobody could do everything in the workspace any more."""

    code = "unkey/application/protected_resource"
    title = "Resource is protected"
    default_detail = (
        "This is the last root key that may do everything in this workspace and lives as long. "
        "Create another one with the permission `*` first."
    )
