"""What callers may be told about permissions and roles."""

from latchwork.kernel.faults import Conflict, NotFound


class RoleNotFound(NotFound):
    """A role named in the request does not exist."""

    code = "unkey/data/role_not_found"
    default_detail = "This role does not exist."

    @classmethod
    def called(cls, name: str) -> "RoleNotFound":
        """Names the role."""
        return cls(f"Role '{name[:128]}' was not found in this workspace.")


class PermissionNotFound(NotFound):
    """A permission named in the request does not exist."""

    code = "unkey/data/permission_not_found"
    default_detail = "This permission does not exist."

    @classmethod
    def called(cls, slug: str) -> "PermissionNotFound":
        """Names the permission."""
        return cls(f"Permission '{slug[:128]}' was not found in this workspace.")


class RoleAlreadyExists(Conflict):
    """Another role has that name, or one that differs only in case."""

    code = "unkey/data/role_already_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"A role named '{name}' already exists in this workspace.")


class PermissionAlreadyExists(Conflict):
    """Another permission has that slug, or one that differs only in case."""

    code = "unkey/data/permission_already_exists"

    def __init__(self, slug: str) -> None:
        super().__init__(f"A permission with slug '{slug}' already exists in this workspace.")
