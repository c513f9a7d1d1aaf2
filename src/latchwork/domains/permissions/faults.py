"""What callers may be told about permissions and roles."""

from latchwork.kernel.faults import NotFound


class RoleNotFound(NotFound):
    """A role named in the request does not exist."""

    code = "unkey/data/role_not_found"
    default_detail = "This role does not exist."


class PermissionNotFound(NotFound):
    """A permission named in the request does not exist."""

    code = "unkey/data/permission_not_found"
    default_detail = "This permission does not exist."
