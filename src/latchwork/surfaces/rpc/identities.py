"""The family `identities`: the users, teams and machines that keys are issued to."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.identities import IdentityAlreadyExists, IdentityChange, IdentityNotFound
from latchwork.surfaces.rpc.bodies import Body, Data, JsonObject, TolerantBody
from latchwork.surfaces.rpc.procedures import BULK_BYTES, Family, Page
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import (
    CreditsBody,
    Cursor,
    ExternalId,
    IdentityData,
    Limit,
    Limits,
    Search,
    paged,
)

family: Family[Services] = Family("identities", "Identities: whom keys are for; their keys share limits.")


IdentityRef = Annotated[str, Meta(min_length=1, max_length=255, description="Its id or external id.")]
IdentityMeta = Annotated[JsonObject, Meta(description="At most 1 MiB of JSON.")]


class CreateIdentity(TolerantBody):
    """A new identity."""

    external_id: ExternalId
    meta: IdentityMeta = {}
    ratelimits: Limits = []
    credits: CreditsBody | UnsetType = UNSET


class CreatedIdentity(Data):
    """The id of the new identity."""

    identity_id: str


@family.procedure(
    "createIdentity",
    answers=CreatedIdentity,
    summary="Create an identity",
    permission="identity.*.create_identity",
    faults=[IdentityAlreadyExists],
    body_bytes=BULK_BYTES,
    example={"externalId": "user_42", "meta": {"plan": "pro"}},
)
async def create_identity(call: Request, body: CreateIdentity) -> CreatedIdentity:
    """Creates an identity with limits and credits that all its keys share."""
    identity = await call.platform.identities.create(
        call.who,
        external_id=body.external_id,
        meta=body.meta,
        limits=[limit.rule() for limit in body.ratelimits],
        credits=None if isinstance(body.credits, UnsetType) else body.credits.balance(),
    )
    return CreatedIdentity(identity_id=identity.id)


class GetIdentity(Body):
    """Which identity."""

    identity: IdentityRef


@family.procedure(
    "getIdentity",
    answers=IdentityData,
    summary="Get an identity",
    permission="identity.*.read_identity or identity.<identityId>.read_identity",
    faults=[IdentityNotFound],
    body_bytes=BULK_BYTES,
    example={"identity": "user_42"},
)
async def get_identity(call: Request, body: GetIdentity) -> IdentityData:
    """Answers an identity by its id or external id."""
    return IdentityData.of(await call.platform.identities.get(call.who, body.identity))


class ListIdentities(Body):
    """Which identities, and which page of them."""

    limit: Limit = 100
    cursor: Cursor = ""
    search: Search = ""


@family.procedure(
    "listIdentities",
    answers=Page[IdentityData],
    summary="List identities",
    permission="identity.*.read_identity or identity.<identityId>.read_identity of each",
    body_bytes=BULK_BYTES,
    example={"search": "user_", "limit": 50},
)
async def list_identities(call: Request, body: ListIdentities) -> Page[IdentityData]:
    """Answers the workspace's identities, oldest first; `search` looks in ids and external ids.

    The caller must be allowed to read every identity of the page.
    """
    found = await call.platform.identities.page(
        call.who, search=body.search, cursor=body.cursor, limit=body.limit
    )
    return paged([IdentityData.of(one) for one in found], body.limit, [one.id for one in found])


class UpdateIdentity(Body):
    """What to change; what is absent stays."""

    identity: IdentityRef
    meta: IdentityMeta | UnsetType = UNSET
    ratelimits: Annotated[Limits, Meta(description="Replace all limits; each name once.")] | UnsetType = UNSET


@family.procedure(
    "updateIdentity",
    answers=IdentityData,
    summary="Change an identity",
    permission="identity.*.update_identity",
    faults=[IdentityNotFound],
    body_bytes=BULK_BYTES,
    example={"identity": "user_42", "meta": {"plan": "team"}},
)
async def update_identity(call: Request, body: UpdateIdentity) -> IdentityData:
    """Changes what is given, in force for all keys of the identity from this answer on; answers the identity.

    A limit keeps its id and its counts where its name stays.
    """
    limits = body.ratelimits
    change = IdentityChange(
        meta=body.meta,
        limits=limits if isinstance(limits, UnsetType) else tuple(limit.rule() for limit in limits),
    )
    return IdentityData.of(await call.platform.identities.update(call.who, body.identity, change))


class DeleteIdentity(Body):
    """Which identity."""

    identity: IdentityRef


@family.procedure(
    "deleteIdentity",
    answers=None,
    summary="Delete an identity",
    permission="identity.*.delete_identity",
    faults=[IdentityNotFound],
    body_bytes=BULK_BYTES,
    errors_as="problem",
    example={"identity": "user_42"},
)
async def delete_identity(call: Request, body: DeleteIdentity) -> None:
    """Deletes an identity. Its keys stay and have none from then on; its external id may be given again."""
    await call.platform.identities.delete(call.who, body.identity)
