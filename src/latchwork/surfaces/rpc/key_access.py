"""Permissions and roles of a key, in the family `keys`."""

from typing import Annotated

from msgspec import Meta

from latchwork.domains.keys import KeyNotFound
from latchwork.domains.permissions import PermissionNotFound, RoleNotFound
from latchwork.surfaces.rpc import explanation
from latchwork.surfaces.rpc.bodies import Body
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import KeyId, PermissionData, RoleData, RoleName, Slug

family = explanation.family  # these add to it

MOST_DIRECT = 10_000  # permissions of one key
_UPDATE = "(api.*.update_key or api.<apiId>.update_key)"

SomeSlugs = Annotated[
    list[Slug],
    Meta(min_length=1, max_length=1000, description="Slugs of permissions."),
]
SomeRoles = Annotated[
    list[RoleName], Meta(min_length=1, max_length=100, description="Names of roles; an id counts as a name.")
]


class AddPermissions(Body):
    """Which permissions to give to which key."""

    key_id: KeyId
    permissions: SomeSlugs


@family.procedure(
    "addPermissions",
    answers=list[PermissionData],
    summary="Give permissions to a key",
    permission=f"{_UPDATE} and rbac.*.add_permission_to_key (and create_permission for new ones)",
    faults=[KeyNotFound],
    example={"keyId": "key_1234567890", "permissions": ["documents.read"]},
)
async def add_permissions(call: Request, body: AddPermissions) -> list[PermissionData]:
    """Gives permissions, creating those that are missing; answers all that the key has directly.

    A key has at most 10,000 so, and any number through its roles.
    """
    held = await call.platform.key_access.add_permissions(call.who, body.key_id, body.permissions)
    return [PermissionData.of(permission) for permission in held]


class SetPermissions(Body):
    """Which permissions a key is to have directly, and no others."""

    key_id: KeyId
    permissions: Annotated[
        list[Slug], Meta(max_length=MOST_DIRECT, description="Slugs of permissions; none takes all.")
    ]


@family.procedure(
    "setPermissions",
    answers=list[PermissionData],
    summary="Set the permissions of a key",
    permission=f"{_UPDATE} and rbac.*.add_permission_to_key and rbac.*.remove_permission_from_key "
    "(and create_permission for new ones)",
    faults=[KeyNotFound],
    example={"keyId": "key_1234567890", "permissions": ["documents.read", "documents.write"]},
)
async def set_permissions(call: Request, body: SetPermissions) -> list[PermissionData]:
    """Replaces the permissions that a key has directly and answers them; its roles stay."""
    held = await call.platform.key_access.set_permissions(call.who, body.key_id, body.permissions)
    return [PermissionData.of(permission) for permission in held]


class RemovePermissions(Body):
    """Which permissions, by slug or id, to take from which key."""

    key_id: KeyId
    permissions: SomeSlugs


@family.procedure(
    "removePermissions",
    answers=list[PermissionData],
    summary="Take permissions from a key",
    permission=f"{_UPDATE} and rbac.*.remove_permission_from_key",
    faults=[KeyNotFound, PermissionNotFound],
    example={"keyId": "key_1234567890", "permissions": ["documents.write"]},
)
async def remove_permissions(call: Request, body: RemovePermissions) -> list[PermissionData]:
    """Takes permissions that a key has directly, if it does, and answers those that remain."""
    held = await call.platform.key_access.remove_permissions(call.who, body.key_id, body.permissions)
    return [PermissionData.of(permission) for permission in held]


class AddRoles(Body):
    """Which roles to give to which key."""

    key_id: KeyId
    roles: SomeRoles


@family.procedure(
    "addRoles",
    answers=list[RoleData],
    summary="Give roles to a key",
    permission=f"{_UPDATE} and rbac.*.add_role_to_key",
    faults=[KeyNotFound, RoleNotFound],
    example={"keyId": "key_1234567890", "roles": ["editor"]},
)
async def add_roles(call: Request, body: AddRoles) -> list[RoleData]:
    """Gives roles, all or none, and answers all that the key has, which may be 1,000."""
    held = await call.platform.key_access.add_roles(call.who, body.key_id, body.roles)
    return [RoleData.of(role) for role in held]


class SetRoles(Body):
    """Which roles a key is to have, and no others."""

    key_id: KeyId
    roles: Annotated[list[RoleName], Meta(max_length=100, description="Names of roles; none takes all.")]


@family.procedure(
    "setRoles",
    answers=list[RoleData],
    summary="Set the roles of a key",
    permission=_UPDATE.strip("()"),
    faults=[KeyNotFound, RoleNotFound],
    example={"keyId": "key_1234567890", "roles": ["editor"]},
)
async def set_roles(call: Request, body: SetRoles) -> list[RoleData]:
    """Replaces the roles of a key and answers them; its direct permissions stay."""
    held = await call.platform.key_access.set_roles(call.who, body.key_id, body.roles)
    return [RoleData.of(role) for role in held]


class RemoveRoles(Body):
    """Which roles to take from which key."""

    key_id: KeyId
    roles: SomeRoles


@family.procedure(
    "removeRoles",
    answers=list[RoleData],
    summary="Take roles from a key",
    permission=_UPDATE.strip("()"),
    faults=[KeyNotFound, RoleNotFound],
    example={"keyId": "key_1234567890", "roles": ["editor"]},
)
async def remove_roles(call: Request, body: RemoveRoles) -> list[RoleData]:
    """Takes roles and answers those that remain. What the key does not have is passed over."""
    held = await call.platform.key_access.remove_roles(call.who, body.key_id, body.roles)
    return [RoleData.of(role) for role in held]
