"""The family `identities`: the users, teams and machines that keys are issued to."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.identities import IdentityAlreadyExists, IdentityNotFound
from latchwork.surfaces.rpc.bodies import Body, Data, JsonObject, TolerantBody
from latchwork.surfaces.rpc.procedures import BULK_BYTES, Family
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import CreditsBody, ExternalId, IdentityData, Limits

family: Family[Services] = Family("identities", "Identities: whom keys are for; their keys share limits.")


class CreateIdentity(TolerantBody):
    """A new identity."""

    external_id: ExternalId
    meta: Annotated[JsonObject, Meta(description="At most 1 MiB of JSON.")] = {}
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

    identity: Annotated[str, Meta(min_length=1, max_length=255, description="Its id or external id.")]


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
