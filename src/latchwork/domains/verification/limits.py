"""Which limits a verification asks for: the automatic ones, and those the request names."""

from collections.abc import Iterable

from latchwork.domains.ratelimits import LimitCheck, LimitRule
from latchwork.domains.verification.records import LimitClaim
from latchwork.domains.verification.snapshots import BoundLimit, KeySnapshot
from latchwork.kernel.faults import BadRequest, PreconditionFailed

SHORTEST_MS = 1000

Bound = tuple[BoundLimit, LimitCheck]


def chosen(snapshot: KeySnapshot, claims: Iterable[LimitClaim]) -> list[Bound]:
    """Every limit to check, once per name: what the request says replaces what is automatic.

    Raises `PreconditionFailed` naming a limit that neither the key nor its identity has.
    """
    limits: dict[str, Bound] = {bound.rule.name: (bound, bound.check) for bound in snapshot.auto}
    for claim in claims:
        limits[claim.name] = _own(snapshot, claim) if claim.is_its_own else _stored(snapshot, claim)
    return list(limits.values())


def _own(snapshot: KeySnapshot, claim: LimitClaim) -> Bound:
    """A limit that the request brings itself; it counts for the key alone."""
    assert claim.limit is not None and claim.duration_ms is not None
    if claim.duration_ms < SHORTEST_MS:
        raise BadRequest(
            f"`ratelimits`: the duration of '{claim.name}' is {claim.duration_ms} ms; "
            f"it must be at least {SHORTEST_MS}."
        )
    rule = LimitRule(
        id="", name=claim.name, limit=claim.limit, duration_ms=claim.duration_ms, auto_apply=False
    )
    bound = BoundLimit(rule, snapshot.workspace_id, snapshot.key_id)
    return bound, bound.costing(claim.cost)


def _stored(snapshot: KeySnapshot, claim: LimitClaim) -> Bound:
    bound = snapshot.limit(claim.name)
    if bound is None:
        raise PreconditionFailed(
            f"The limit '{claim.name}' was requested, but neither the key nor its identity has it. "
            "Give `limit` and `duration`, or create it first."
        )
    return bound, bound.costing(claim.cost)
