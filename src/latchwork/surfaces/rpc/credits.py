"""The family `credits`: holding them for work whose cost is known only afterwards."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.credits import HoldNotFound, Settlement, TooFewCredits
from latchwork.domains.keys import KeyNotFound
from latchwork.kernel.faults import BadRequest
from latchwork.surfaces.rpc.bodies import Body, Count, Data, Positive
from latchwork.surfaces.rpc.procedures import Family
from latchwork.surfaces.rpc.services import Request, Services
from latchwork.surfaces.rpc.shapes import KeyId

family: Family[Services] = Family(
    "credits", "Credits: hold them for work whose cost is known only afterwards, then spend what it cost."
)

_PERMISSION = "api.*.verify_key or api.<apiId>.verify_key"
ReservationId = Annotated[
    str, Meta(min_length=1, max_length=255, description="As `credits.reserve` answered it.")
]


class Reserve(Body):
    """How much to hold of which key's credits, and for how long; the key by its id or its text."""

    amount: Positive
    ttl_ms: Annotated[
        int, Meta(ge=1, le=86_400_000, description="After that it returns by itself; at most a day.")
    ]
    key_id: KeyId | UnsetType = UNSET
    key: Annotated[str, Meta(min_length=1, max_length=512, description="The whole key.")] | UnsetType = UNSET


class ReservationData(Data):
    """A hold. `remaining` is what is left beside it, to the key or to its identity, whichever has less."""

    reservation_id: str
    amount: int
    remaining: int
    expires_at: int


@family.procedure(
    "reserve",
    audited=False,  # it spends, as a verification does
    answers=ReservationData,
    summary="Hold credits",
    permission=_PERMISSION,
    faults=[KeyNotFound, TooFewCredits],
    example={"keyId": "key_1234567890", "amount": 500, "ttlMs": 60_000},
)
async def reserve(call: Request, body: Reserve) -> ReservationData:
    """Sets credits of a key aside, and as many of its identity's where that has any: of both or of neither.

    What is held cannot be spent by anything else. It is settled once, by `commit` or `release`; what is
    abandoned returns at its time, also after a restart. 412 when too few credits are left.
    """
    if isinstance(body.key, UnsetType) == isinstance(body.key_id, UnsetType):
        raise BadRequest("Give either `key` or `keyId`.")
    made = await call.platform.reservations.reserve(
        call.who,
        key_id=None if isinstance(body.key_id, UnsetType) else body.key_id,
        text=None if isinstance(body.key, UnsetType) else body.key,
        amount=body.amount,
        ttl_ms=body.ttl_ms,
    )
    held = made.hold
    return ReservationData(
        reservation_id=held.id, amount=held.amount, remaining=made.remaining, expires_at=held.expires_ms
    )


class Commit(Body):
    """Which hold, and what the work cost."""

    reservation_id: ReservationId
    amount: Annotated[Count, Meta(description="At most what is held.")]


class Release(Body):
    """Which hold."""

    reservation_id: ReservationId


class CommittedData(Data):
    """What was spent of the hold, what was given back, and what is left."""

    spent: int
    released: int
    remaining: int | UnsetType = UNSET


class ReleasedData(Data):
    """What was given back, and what is left."""

    released: int
    remaining: int | UnsetType = UNSET


@family.procedure(
    "commit",
    audited=False,  # it spends, as a verification does
    answers=CommittedData,
    summary="Spend what the work cost",
    permission=_PERMISSION,
    faults=[HoldNotFound],
    example={"reservationId": "res_1234567890", "amount": 320},
)
async def commit(call: Request, body: Commit) -> CommittedData:
    """Spends part or all of a hold and gives the rest back. `remaining` is absent where nothing is limited."""
    done = await call.platform.reservations.commit(call.who, body.reservation_id, body.amount)
    return CommittedData(spent=done.spent, released=done.released, remaining=_remaining(done))


@family.procedure(
    "release",
    audited=False,  # it spends, as a verification does
    answers=ReleasedData,
    summary="Give held credits back",
    permission=_PERMISSION,
    faults=[HoldNotFound],
    example={"reservationId": "res_1234567890"},
)
async def release(call: Request, body: Release) -> ReleasedData:
    """Gives a whole hold back."""
    done = await call.platform.reservations.release(call.who, body.reservation_id)
    return ReleasedData(released=done.released, remaining=_remaining(done))


def _remaining(done: Settlement) -> int | UnsetType:
    return UNSET if done.remaining is None else done.remaining
