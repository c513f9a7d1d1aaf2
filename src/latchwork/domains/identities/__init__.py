"""Identities: the users, teams or machines that keys are issued to.

Keys of one identity share its named limits and its credits; its `external_id` is the id its owner knows it by.
"""

from latchwork.domains.identities.allowances import Allowances
from latchwork.domains.identities.faults import IdentityAlreadyExists, IdentityNotFound
from latchwork.domains.identities.records import Identity, IdentityChange
from latchwork.domains.identities.service import Identities

__all__ = [
    "Allowances",
    "Identities",
    "Identity",
    "IdentityAlreadyExists",
    "IdentityChange",
    "IdentityNotFound",
]
