"""The family `rootKeys`: keys to this API itself."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.root_keys import LastWayIn, RootKey, RootKeyChange, RootKeyNotFound
from latchwork.surfaces.rpc.bodies import Body, Data, Empty
from latchwork.surfaces.rpc.keys import CreatedKey
from latchwork.surfaces.rpc.procedures import Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import LATEST_MS, Cursor, Expiry, KeyId, Limit, paged

family: Family[Services] = Family("rootKeys", "Root keys: keys to this API itself.")

Name = Annotated[str, Meta(min_length=1, max_length=255, description="A name for people.")]
Permissions = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=512)]],
    Meta(
        max_length=1000,
        description="Tuples such as `api.*.create_key`, URNs, or `*` for all; none beyond the caller's own.",
    ),
]
Grace = Annotated[
    int,
    Meta(
        ge=0,
        le=LATEST_MS,
        description="Milliseconds that the old key goes on for; 0 ends it now, null leaves its own expiry.",
    ),
]


class CreateRootKey(Body):
    """What the new root key may do, and until when."""

    permissions: Permissions
    name: Name | UnsetType = UNSET
    expires: Expiry | UnsetType | None = UNSET


@family.procedure(
    "createKey",
    answers=CreatedKey,
    summary="Create a root key",
    permission="workspace.*.create_root_key or unkey:v1:<workspaceId>:rootKeys/*#write",
    example={"permissions": ["api.*.verify_key"], "name": "gateway"},
)
async def create_root_key(call: Request, body: CreateRootKey) -> CreatedKey:
    """Creates a root key that can do no more and lives no longer than the one that asks."""
    minted = await call.platform.root_keys.create(
        call.who,
        permissions=body.permissions,
        name=None if isinstance(body.name, UnsetType) else body.name,
        expires_ms=None if isinstance(body.expires, UnsetType) else body.expires,
    )
    return CreatedKey(key_id=minted.key_id, key=minted.key)


class ListRootKeys(Body):
    """Which page."""

    limit: Limit = 100
    cursor: Cursor = ""


class RootKeyData(Data):
    """A root key, without its text. `lastUsedAt` is 0 for one that was never used."""

    key_id: str
    name: str | None
    start: str
    end: str
    enabled: bool
    created_at: int
    last_used_at: int
    expires: int | None
    permissions: list[str]

    @classmethod
    def of(cls, key: RootKey) -> "RootKeyData":
        """The wire form; every member is always there."""
        return cls(
            key_id=key.id,
            name=key.name,
            start=key.start,
            end=key.end,
            enabled=key.enabled,
            created_at=key.created_ms,
            last_used_at=key.last_used_ms,
            expires=key.expires_ms,
            permissions=list(key.permissions),
        )


@family.procedure(
    "listKeys",
    answers=Page[RootKeyData],
    summary="List root keys",
    permission="workspace.*.read_root_key or unkey:v1:<workspaceId>:rootKeys/*#read",
    example={"limit": 50},
)
async def list_root_keys(call: Request, body: ListRootKeys) -> Page[RootKeyData]:
    """Answers the root keys that the caller may read, oldest first, disabled and expired ones too."""
    found = await call.platform.root_keys.page(call.who, cursor=body.cursor, limit=body.limit + 1)
    return paged([RootKeyData.of(key) for key in found], body.limit, [key.id for key in found])


class UpdateRootKey(Body):
    """What to change; what is absent stays."""

    key_id: KeyId
    name: Name | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


@family.procedure(
    "updateKey",
    answers=Empty,
    summary="Change a root key",
    permission="workspace.*.update_root_key or unkey:v1:<workspaceId>:rootKeys/<keyId>#write",
    faults=[RootKeyNotFound, LastWayIn],
    example={"keyId": "key_1234567890", "permissions": ["api.*.verify_key"], "enabled": True},
)
async def update_root_key(call: Request, body: UpdateRootKey) -> Empty:
    """Changes what is given, in force for that key's next request; `permissions` replaces the whole list.

    What the key may do afterwards must be the caller's own. The last key with `*` keeps it and stays enabled.
    """
    permissions = body.permissions
    change = RootKeyChange(
        name=body.name,
        enabled=body.enabled,
        permissions=permissions if isinstance(permissions, UnsetType) else tuple(permissions),
    )
    await call.platform.root_keys.update(call.who, body.key_id, change)
    return Empty()


class RerollRootKey(Body):
    """Which root key, and how long the old one goes on."""

    key_id: KeyId
    expiration: Grace | None


@family.procedure(
    "rerollKey",
    answers=CreatedKey,
    summary="Replace a root key by a new one",
    permission=(
        "workspace.*.create_root_key or unkey:v1:<workspaceId>:rootKeys/<keyId>#write, and delete_root_key or #delete "
        "where the old key ends"
    ),
    faults=[RootKeyNotFound],
    example={"keyId": "key_1234567890", "expiration": 3600000},
)
async def reroll_root_key(call: Request, body: RerollRootKey) -> CreatedKey:
    """Issues a key with the same name, permissions and expiry, all of which the caller must hold itself.

    The old key ends at once, after `expiration` rounded up to the next full minute, or as it would have.
    """
    minted = await call.platform.root_keys.reroll(call.who, body.key_id, grace_ms=body.expiration)
    return CreatedKey(key_id=minted.key_id, key=minted.key)


class DeleteRootKey(Body):
    """Which root key."""

    key_id: KeyId


@family.procedure(
    "deleteKey",
    answers=Empty,
    summary="Delete a root key",
    permission="workspace.*.delete_root_key or unkey:v1:<workspaceId>:rootKeys/<keyId>#delete",
    faults=[RootKeyNotFound, LastWayIn],
    example={"keyId": "key_1234567890"},
)
async def delete_root_key(call: Request, body: DeleteRootKey) -> Empty:
    """Deletes a root key; its next request is refused. The last key with `*` stays."""
    await call.platform.root_keys.delete(call.who, body.key_id)
    return Empty()
