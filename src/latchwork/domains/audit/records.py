"""What an audit row says."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing that was touched; `meta` holds public facts, never secrets."""

    type: str
    id: str
    name: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def wire(self) -> dict[str, Any]:
        """The stored form."""
        return {"type": self.type, "id": self.id, "name": self.name, "meta": self.meta}


@dataclass(frozen=True, slots=True)
class Entry:
    """One event to record: its name (`key.create`), a sentence for people, and what it touched."""

    event: str
    display: str
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain no longer holds: the first sequence number that is wrong, and how."""

    seq: int
    reason: str
