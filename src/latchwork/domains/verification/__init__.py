"""Verification: may this key do this, now? The product's one question.

A decision is a pure walk over a snapshot of the key, cheapest check first. A refusal is a value, an
exception a broken platform. The same list of checks, told to record, is the explanation.
"""

from latchwork.domains.verification.cache import SnapshotCache
from latchwork.domains.verification.callers import Callers, Quota, principal_of
from latchwork.domains.verification.explain import Explainer, Explanation
from latchwork.domains.verification.faults import CallerDisabled, CallerExpired, CallerRefused
from latchwork.domains.verification.gatekeeper import Gatekeeper
from latchwork.domains.verification.local import LocalVerifier
from latchwork.domains.verification.operations import Operations, Recorded
from latchwork.domains.verification.records import Claim, LimitClaim, Outcome, Verdict
from latchwork.domains.verification.service import Usual, UsualAsk, Verifier
from latchwork.domains.verification.shared import SharedVerifier
from latchwork.domains.verification.snapshots import (
    BoundLimit,
    CallerSnapshot,
    Grant,
    KeySnapshot,
    KnownIdentity,
    Render,
)
from latchwork.domains.verification.store import load_caller, load_key

__all__ = [
    "BoundLimit",
    "CallerDisabled",
    "CallerExpired",
    "CallerRefused",
    "CallerSnapshot",
    "Callers",
    "Claim",
    "Explainer",
    "Explanation",
    "Gatekeeper",
    "Grant",
    "KeySnapshot",
    "KnownIdentity",
    "LimitClaim",
    "LocalVerifier",
    "Operations",
    "Outcome",
    "Quota",
    "Recorded",
    "Render",
    "SharedVerifier",
    "SnapshotCache",
    "Usual",
    "UsualAsk",
    "Verdict",
    "Verifier",
    "load_caller",
    "load_key",
    "principal_of",
]
