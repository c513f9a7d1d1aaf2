"""What the audit log needs of those who compose it."""

from collections.abc import Sequence
from typing import Protocol

from latchwork.domains.audit.records import Seal


class Inherited(Protocol):
    """Seals that an earlier version kept elsewhere."""

    async def all(self) -> Sequence[Seal]:
        """What is left of them, the oldest first."""
        ...

    async def forget(self) -> None:
        """They have been taken over."""
        ...
