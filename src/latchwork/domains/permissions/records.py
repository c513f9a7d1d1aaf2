"""What permissions and roles are, and what may be changed of them."""

from dataclasses import dataclass

from msgspec import UNSET, UnsetType


@dataclass(frozen=True, slots=True)
class Permission:
    """A right by its `slug`, unique in its workspace without regard to case; `name` is for people."""

    id: str
    slug: str
    name: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """Permissions under one `name`, unique in its workspace without regard to case; sorted by slug."""

    id: str
    name: str
    description: str | None = None
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """What to change of a permission; what is unset stays, a description of `None` goes."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What to change of a role; what is unset stays, a description of `None` goes."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
