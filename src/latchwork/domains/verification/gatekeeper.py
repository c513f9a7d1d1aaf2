"""The gatekeeper: verifies keys of an API that the operator names, where nobody with a root key asks."""

from functools import lru_cache

from latchwork.domains.verification.operations import Operations
from latchwork.domains.verification.records import Claim, Outcome, Verdict
from latchwork.domains.verification.service import Verifier
from latchwork.domains.verification.snapshots import Grant


class Gatekeeper:
    """Decides as `Verifier` does, for the keys of one API; keys of any other are NOT_FOUND.

    An API belongs to one workspace, so naming it names the workspace; a key of another workspace is a key of
    another API. What a workspace may verify in a month holds here too; unknown keys are nobody's and not counted.
    """

    def __init__(self, verifier: Verifier, operations: Operations) -> None:
        self._verifier = verifier
        self._operations = operations
        self._found = verifier.keys.found
        self.waits_for_database = verifier.waits_for_database

    def attempt(self, api_id: str, claim: Claim, now_ms: int) -> Verdict | None:
        """The verdict if memory suffices, else `None` with nothing consumed; faults as `Verifier.verify`."""
        snapshot = self._found.get(claim.digest)
        if snapshot is None:
            return Verdict(Outcome.NOT_FOUND) if claim.digest in self._verifier.keys.missing else None
        place = snapshot.scope
        if place.live and place.api_id != api_id:
            return Verdict(Outcome.NOT_FOUND)
        if place.operations_per_month is not None:
            return None
        return self._verifier.attempt(_grant(place.workspace_id, api_id), claim, now_ms)

    async def verify(self, api_id: str, claim: Claim, now_ms: int) -> Verdict:
        """The verdict, with its spend durable; faults as `Verifier.verify`, and `TooManyRequests` of the workspace."""
        snapshot = await self._verifier.keys.fetch(claim.digest)
        if snapshot is None or snapshot.api_id != api_id:
            return Verdict(Outcome.NOT_FOUND)
        await self._operations.charge(snapshot.workspace_id, snapshot.scope.operations_per_month)
        return await self._verifier.verify(_grant(snapshot.workspace_id, api_id), claim, now_ms)


@lru_cache(maxsize=1_024)
def _grant(workspace_id: str, api_id: str) -> Grant:
    return Grant(workspace_id, verifies_all=False, verifies_apis=frozenset({api_id}))
