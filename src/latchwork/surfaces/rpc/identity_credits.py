"""Credits in the family `identities`: what all keys of an identity may spend together."""

from typing import Annotated

from msgspec import UNSET, Meta

from latchwork.domains.identities import IdentityNotFound
from latchwork.surfaces.rpc import identities
from latchwork.surfaces.rpc.bodies import Body
from latchwork.surfaces.rpc.procedures import BULK_BYTES
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import CreditsData, Operation, OperationValue, credits_change

family = identities.family  # this file adds to it


class UpdateIdentityCredits(Body):
    """What to do to an identity's credits."""

    identity: Annotated[str, Meta(min_length=1, max_length=255, description="Its id or external id.")]
    operation: Operation
    value: OperationValue = UNSET


@family.procedure(
    "updateCredits",
    answers=CreditsData,
    summary="Set, raise or lower an identity's credits",
    permission="identity.*.update_identity",
    faults=[IdentityNotFound],
    body_bytes=BULK_BYTES,
    example={"identity": "user_42", "operation": "set", "value": 10000},
)
async def update_credits(call: Request, body: UpdateIdentityCredits) -> CreditsData:
    """Changes what all keys of an identity may spend together, exactly, whatever is being spent meanwhile.

    A verification of one of them spends from the identity and, where the key has credits of its own, from
    the key too: from both or from neither. A decrement stops at 0.
    """
    change = credits_change(body.operation, body.value)
    return CreditsData.of(await call.platform.allowances.update(call.who, body.identity, change))
