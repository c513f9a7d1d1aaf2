"""What callers may be told about rate limits."""

from latchwork.kernel.faults import Conflict, Fault, NotFound


class NamespaceNotFound(NotFound):
    """No namespace has that name or id in this workspace."""

    code = "unkey/data/ratelimit_namespace_not_found"
    default_detail = "This namespace does not exist."


class NamespaceGone(Fault):
    """The namespace was deleted; its name is not free again."""

    code = "unkey/data/ratelimit_namespace_gone"
    status = 410
    title = "Resource Gone"
    default_detail = "This namespace has been deleted."


class NamespaceTaken(Conflict):
    """Another namespace of the workspace has that name, or had it when it was deleted."""

    code = "unkey/data/ratelimit_namespace_already_exists"
    default_detail = "A namespace with this name already exists, or did before it was deleted."


class OverrideNotFound(NotFound):
    """No override of the namespace has, or matches, that identifier."""

    code = "unkey/data/ratelimit_override_not_found"
    default_detail = "This override does not exist."
