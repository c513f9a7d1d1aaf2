"""Explanation in the family `keys`: what a verification would answer, and why."""

from hashlib import sha256
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from latchwork.domains.permissions import QuerySyntaxError
from latchwork.domains.verification import Explanation, Outcome
from latchwork.kernel.faults import BadRequest, PreconditionFailed
from latchwork.surfaces.rpc import verification
from latchwork.surfaces.rpc.bodies import Body, Count, Data
from latchwork.surfaces.rpc.services import Request
from latchwork.surfaces.rpc.shapes import KeyId
from latchwork.surfaces.rpc.verification import CreditsOf, KeyText, MigrationId, SomeLimits, claim_of

family = verification.family  # explanation adds to it


class ExplainKey(Body):
    """A verification to explain: the key by its text or its id, and what it is to be used for."""

    key: KeyText | UnsetType = UNSET
    key_id: KeyId | UnsetType = UNSET
    at: Annotated[Count, Meta(description="As if it were that moment, in milliseconds.")] | UnsetType = UNSET
    ip: (
        Annotated[str, Meta(min_length=1, max_length=64, description="As if it came from there.")] | UnsetType
    ) = UNSET
    tags: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...], Meta(max_length=20)] = ()
    permissions: Annotated[str, Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    credits: CreditsOf | UnsetType = UNSET
    ratelimits: SomeLimits = ()
    migration_id: MigrationId | UnsetType = UNSET
    keyspaces: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=5)
    ] = ()


class StepData(Data):
    """One check, in the order in which a verification makes them."""

    check: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str
    rule: str | UnsetType = UNSET


class ExplanationData(Data):
    """What `verifyKey` would answer, why, and what would make it pass."""

    valid: bool
    code: Outcome
    checks: list[StepData]
    remedies: list[str]

    @classmethod
    def of(cls, explanation: Explanation) -> "ExplanationData":
        """The wire form."""
        steps = [
            StepData(
                check=step.check,
                outcome=step.outcome,  # type: ignore[arg-type]
                detail=step.detail,
                rule=step.rule or UNSET,
            )
            for step in explanation.steps
        ]
        return cls(
            valid=explanation.code is Outcome.VALID,
            code=explanation.code,
            checks=steps,
            remedies=explanation.remedies,
        )


@family.procedure(
    "explainKey",
    answers=ExplanationData,
    summary="Explain a verification",
    permission="api.<apiId>.verify_key and api.<apiId>.read_key (or with *)",
    faults=[QuerySyntaxError, PreconditionFailed],
    allows_nul=True,
    example={"key": "prod_2aFxQv7p1M5jZ8cR4kTnYe", "credits": {"cost": 5}},
)
async def explain_key(call: Request, body: ExplainKey) -> ExplanationData:
    """Tells what `verifyKey` would answer and every check behind it, also those after the first failure.

    Spends nothing, records nothing and takes no key over, whatever `migrationId` says. A key that you may not
    verify and read is NOT_FOUND.
    """
    services = call.platform
    if isinstance(body.key, UnsetType) == isinstance(body.key_id, UnsetType):
        raise BadRequest("Give either `key` or `keyId`.")
    if isinstance(body.key, UnsetType):
        digest = await services.explainer.digest_of(call.who, str(body.key_id))
    else:
        digest = sha256(body.key.encode()).digest()
    ip = call.remote_ip if isinstance(body.ip, UnsetType) else body.ip
    at_ms = call.now_ms if isinstance(body.at, UnsetType) else body.at
    claim = claim_of(body, digest, ip, call.request_id)
    supposed = not isinstance(body.at, UnsetType)
    return ExplanationData.of(await services.explainer.explain(call.who, claim, at_ms, is_supposed=supposed))
