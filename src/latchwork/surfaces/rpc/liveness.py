"""Whether the server answers at all."""

from typing import Any

from latchwork.surfaces.rpc.bodies import Data
from latchwork.surfaces.rpc.procedures import Family, Visit

liveness: Family[Any] = Family("liveness", "A question that anybody may ask.")


class Alive(Data):
    """The server is up."""

    message: str


@liveness.procedure(
    "liveness",
    path="/v2/liveness",
    methods=("GET",),
    open=True,
    urgency="free",
    answers=Alive,
    summary="Ask whether the server is alive",
)
async def are_you_there(visit: Visit[Any]) -> Alive:
    """Answers as long as the process serves requests; says nothing about the parts it depends on."""
    return Alive(message="alive and serving")
