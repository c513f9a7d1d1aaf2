"""The family `permissions`: permissions, and the roles that bundle them."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.permissions import (
    PermissionAlreadyExists,
    PermissionChange,
    PermissionNotFound,
    RoleAlreadyExists,
    RoleChange,
    RoleNotFound,
)
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc.bodies import Body, Data, Empty
from latchwork.surfaces.rpc.procedures import Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import (
    Cursor,
    Limit,
    PermissionData,
    RoleData,
    RoleName,
    Search,
    Slug,
    Slugs,
    paged,
)

family: Family[Services] = Family(
    "permissions", "Permissions and roles: what keys may do. A change holds from the next verification on."
)

Name = Annotated[str, Meta(min_length=1, max_length=512, description="A name for people.")]
Description = Annotated[str, Meta(max_length=512, description="For people; empty is none.")]
PermissionRef = Annotated[
    str,
    Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_:\-\.\*]+$", description="Its id or slug."),
]
RoleRef = Annotated[str, Meta(min_length=1, max_length=255, description="Its id or name.")]


class CreatePermission(Body):
    """A new permission."""

    name: Name
    slug: Slug
    description: Description = ""


class CreatedPermission(Data):
    """The id of the new permission."""

    permission_id: str


@family.procedure(
    "createPermission",
    answers=CreatedPermission,
    summary="Create a permission",
    permission="rbac.*.create_permission",
    faults=[PermissionAlreadyExists],
    example={"name": "Read documents", "slug": "documents.read"},
)
async def create_permission(call: Request, body: CreatePermission) -> CreatedPermission:
    """Creates a permission. Slugs are unique without regard to case."""
    made = await call.platform.permissions.create(
        call.who, slug=body.slug, name=body.name, description=body.description
    )
    return CreatedPermission(permission_id=made.id)


class GetPermission(Body):
    """Which permission."""

    permission: PermissionRef


@family.procedure(
    "getPermission",
    answers=PermissionData,
    summary="Get a permission",
    permission="rbac.*.read_permission",
    faults=[PermissionNotFound],
    example={"permission": "documents.read"},
)
async def get_permission(call: Request, body: GetPermission) -> PermissionData:
    """Answers a permission by its id or slug."""
    return PermissionData.of(await call.platform.permissions.get(call.who, body.permission))


class ListPermissions(Body):
    """Which permissions, and which page of them."""

    limit: Limit = 100
    cursor: Cursor = ""
    search: Search = ""


@family.procedure(
    "listPermissions",
    answers=Page[PermissionData],
    summary="List permissions",
    permission="rbac.*.read_permission",
    example={"search": "documents", "limit": 50},
)
async def list_permissions(call: Request, body: ListPermissions) -> Page[PermissionData]:
    """Answers the workspace's permissions, oldest first; `search` looks in ids, slugs, names and descriptions."""
    found = await call.platform.permissions.page(
        call.who, search=body.search, cursor=body.cursor, limit=body.limit + 1
    )
    return paged([PermissionData.of(one) for one in found], body.limit, [one.id for one in found])


class UpdatePermission(Body):
    """What to change; what is absent stays."""

    permission: PermissionRef
    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET


@family.procedure(
    "updatePermission",
    answers=PermissionData,
    summary="Change a permission",
    permission="rbac.*.update_permission",
    faults=[PermissionNotFound, PermissionAlreadyExists],
    errors_as="json",
    example={"permission": "documents.read", "slug": "documents.view", "description": None},
)
async def update_permission(call: Request, body: UpdatePermission) -> PermissionData:
    """Changes what is given and answers the permission. A description of null or nothing is removed.

    Whoever has the permission has it under its new slug.
    """
    change = PermissionChange(name=body.name, slug=body.slug, description=body.description)
    return PermissionData.of(await call.platform.permissions.update(call.who, body.permission, change))


class DeletePermission(Body):
    """Which permission."""

    permission: PermissionRef


@family.procedure(
    "deletePermission",
    answers=Empty,
    summary="Delete a permission",
    permission="rbac.*.delete_permission",
    faults=[PermissionNotFound],
    example={"permission": "documents.read"},
)
async def delete_permission(call: Request, body: DeletePermission) -> Empty:
    """Deletes a permission and takes it from every role and key."""
    await call.platform.permissions.delete(call.who, body.permission)
    return Empty()


class CreateRole(Body):
    """A new role."""

    name: RoleName
    description: Description = ""
    permissions: Slugs = []


class CreatedRole(Data):
    """The id of the new role."""

    role_id: str


@family.procedure(
    "createRole",
    answers=CreatedRole,
    summary="Create a role",
    permission="rbac.*.create_role (and add_permission_to_role with permissions, create_permission for new ones)",
    faults=[RoleAlreadyExists],
    example={"name": "editor", "permissions": ["documents.read", "documents.write"]},
)
async def create_role(call: Request, body: CreateRole) -> CreatedRole:
    """Creates a role. Names are unique without regard to case; permissions that are missing are created."""
    made = await call.platform.roles.create(
        call.who, name=body.name, description=body.description, slugs=body.permissions
    )
    return CreatedRole(role_id=made.id)


class GetRole(Body):
    """Which role."""

    role: RoleRef


@family.procedure(
    "getRole",
    answers=RoleData,
    summary="Get a role",
    permission="rbac.*.read_role",
    faults=[RoleNotFound],
    example={"role": "editor"},
)
async def get_role(call: Request, body: GetRole) -> RoleData:
    """Answers a role with its permissions, by its id or name."""
    return RoleData.of(await call.platform.roles.get(call.who, body.role))


class ListRoles(Body):
    """Which roles, and which page of them."""

    limit: Limit = 100
    cursor: Cursor = ""
    search: Search = ""


@family.procedure(
    "listRoles",
    answers=Page[RoleData],
    summary="List roles",
    permission="rbac.*.read_role",
    example={"search": "edit", "limit": 50},
)
async def list_roles(call: Request, body: ListRoles) -> Page[RoleData]:
    """Answers the workspace's roles with their permissions, oldest first; `search` looks in ids, names and
    descriptions."""
    found = await call.platform.roles.page(
        call.who, search=body.search, cursor=body.cursor, limit=body.limit + 1
    )
    return paged([RoleData.of(one) for one in found], body.limit, [one.id for one in found])


class UpdateRole(Body):
    """What to change; what is absent stays."""

    role: RoleRef
    name: RoleName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET


class UpdatedRole(Data):
    """A role, without its permissions."""

    id: str
    name: str
    description: str | UnsetType = UNSET


@family.procedure(
    "updateRole",
    answers=UpdatedRole,
    summary="Change a role",
    permission="rbac.*.update_role",
    faults=[RoleNotFound, RoleAlreadyExists],
    errors_as="json",
    example={"role": "editor", "name": "author", "description": None},
)
async def update_role(call: Request, body: UpdateRole) -> UpdatedRole:
    """Changes what is given and answers the role. A description of null or nothing is removed."""
    change = RoleChange(name=body.name, description=body.description)
    role = await call.platform.roles.update(call.who, body.role, change)
    return UpdatedRole(id=role.id, name=role.name, description=role.description or UNSET)


class DeleteRole(Body):
    """Which role."""

    role: RoleRef


@family.procedure(
    "deleteRole",
    answers=Empty,
    summary="Delete a role",
    permission="rbac.*.delete_role",
    faults=[RoleNotFound],
    example={"role": "editor"},
)
async def delete_role(call: Request, body: DeleteRole) -> Empty:
    """Deletes a role and takes it from every key; its permissions stay."""
    await call.platform.roles.delete(call.who, body.role)
    return Empty()


class SetRolePermissions(Body):
    """What a role is to hold, and nothing else; exactly one of `role` and `roleId` says which."""

    permissions: Slugs
    role: RoleRef | UnsetType = UNSET
    role_id: (
        Annotated[
            str, Meta(min_length=3, max_length=255, pattern=r"^[a-zA-Z0-9_]+$", description="Its id alone.")
        ]
        | UnsetType
    ) = UNSET

    def which(self) -> tuple[str, bool]:
        """What names the role, and whether that may be its name; raises `BadRequest`."""
        if isinstance(self.role, UnsetType) == isinstance(self.role_id, UnsetType):
            raise BadRequest("Give exactly one of `role` (an id or a name) and `roleId`.")
        if isinstance(self.role_id, UnsetType):
            return str(self.role), True
        return self.role_id, False


@family.procedure(
    "setRolePermissions",
    answers=list[PermissionData],
    summary="Set the permissions of a role",
    permission="rbac.*.add_permission_to_role and rbac.*.remove_permission_from_role "
    "(and create_permission for new ones)",
    faults=[RoleNotFound],
    example={"role": "editor", "permissions": ["documents.read"]},
)
async def set_role_permissions(call: Request, body: SetRolePermissions) -> list[PermissionData]:
    """Replaces the permissions of a role and answers them, sorted by slug; those that are missing are created."""
    name, by_name = body.which()
    role = await call.platform.roles.set_permissions(call.who, name, body.permissions, by_name=by_name)
    return [PermissionData.of(permission) for permission in role.permissions]
