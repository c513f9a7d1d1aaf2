"""The family `rootKeys`: keys to this API itself."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.surfaces.rpc.bodies import Body
from latchwork.surfaces.rpc.keys import CreatedKey
from latchwork.surfaces.rpc.procedures import Family
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import Expiry

family: Family[Services] = Family("rootKeys", "Root keys: keys to this API itself.")


class CreateRootKey(Body):
    """What the new root key may do, and until when."""

    permissions: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=512)]],
        Meta(max_length=1000, description="Each must be one that the calling root key has."),
    ]
    name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    expires: Expiry | UnsetType | None = UNSET


@family.procedure(
    "createKey",
    answers=CreatedKey,
    summary="Create a root key",
    permission="*, workspace.*.create_root_key, or unkey:v1:<workspaceId>:rootKeys/*#write",
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
