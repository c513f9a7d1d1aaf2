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
class Attempt:
    """A call that changed nothing: refused, failed, or made in vain.

    `what` is the procedure; `status` and `code` are what it was answered, `None` for a success; `detail` is told
    of denials only. `targets` are what it was about.
    """

    what: str
    status: int | None = None
    code: str | None = None
    detail: str | None = None
    targets: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the log as people read it, without the links of its chain."""

    id: str
    seq: int
    time_ms: int
    event: str
    display: str
    actor: dict[str, Any]
    remote_ip: str
    user_agent: str
    correlation_id: str
    resources: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: all of what is given must hold. `events` are names, or beginnings such as `key.*`.

    Times are from `start_ms` to before `end_ms`; nothing before `since_ms` may be read at all.
    """

    events: tuple[str, ...] = ()
    actor_id: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    correlation_id: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain no longer holds: the first sequence number that is wrong, and how."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A chain that was gone through: `rows` hold, the last with `digest` (in hex); `broken` says what does not.

    It was held against `seals` of them, which are in `sealed_in`; the last is of row `sealed_to`, 0 without any.
    """

    workspace_id: str
    rows: int
    digest: str
    broken: Break | None
    seals: int = 0
    sealed_in: str = ""
    sealed_to: int = 0


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of a workspace's chain at a moment, to be noted outside of the database; `digest` in hex."""

    workspace_id: str
    seq: int
    digest: str
    time_ms: int
