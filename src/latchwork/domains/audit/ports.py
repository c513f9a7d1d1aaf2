"""What the audit log needs from a technology: a place that whoever changes the database does not reach."""

from collections.abc import Sequence
from typing import Protocol

from latchwork.domains.audit.records import Seal


class Seals(Protocol):
    """Keeps the latest seals of each workspace. Its verbs block."""

    def all(self) -> Sequence[Seal]:
        """What is kept, the oldest first."""
        ...

    def keep(self, seals: Sequence[Seal]) -> None:
        """Add some, durably."""
        ...
