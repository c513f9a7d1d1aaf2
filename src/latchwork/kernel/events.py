"""Events: what a domain announces to whoever stands above it."""

from dataclasses import dataclass, field
from typing import Any

from latchwork.kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a workspace: `name` is `<noun>.<verb>`; `data` holds ids, never secrets."""

    id: str
    workspace_id: str
    name: str
    time_ms: int
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def now(cls, workspace_id: str, name: str, time_ms: int, **data: Any) -> "Event":
        """A fresh event with an id of its own."""
        return cls(new_id("evt"), workspace_id, name, time_ms, data)
