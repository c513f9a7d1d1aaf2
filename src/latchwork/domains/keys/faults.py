"""What callers may be told about APIs and keys."""

from latchwork.kernel.faults import Fault, NotFound


class ApiNotFound(NotFound):
    """No live API has that id in this workspace."""

    code = "unkey/data/api_not_found"
    default_detail = "The requested API does not exist or has been deleted."


class KeyNotFound(NotFound):
    """No live key has that id, or that text, in this workspace."""

    code = "unkey/data/key_not_found"
    default_detail = "We could not find the requested key."


class DeleteProtected(Fault):
    """The API must be unlocked before it can be deleted."""

    code = "unkey/application/protected_resource"
    status = 412
    title = "Resource is protected"
    default_detail = "This API has delete protection enabled. Disable it before attempting to delete."
    remedy = "Set `deleteProtection` to false with `apis.updateApi`, then delete the API."
