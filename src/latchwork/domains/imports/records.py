"""What a run is, what its rows are, and what became of them."""

from dataclasses import dataclass
from enum import StrEnum

from latchwork.domains.migrations import ForeignKey


class RunState(StrEnum):
    """Where a run stands: rows are still to come, all are behind it, or what it added is (being) removed."""

    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class Outcome(StrEnum):
    """What became of a row.

    `present`: the API had that key already. `passed`: the other product itself does not use it any more.
    """

    ADDED = "added"
    PRESENT = "present"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: the kind of file, and a digest of the file and of how it is read."""

    kind: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Run:
    """One import. So many rows of the file are behind it (`position`), of which so many were added, ..."""

    id: str
    workspace_id: str
    api_id: str
    migration_id: str | None
    source: Source
    state: RunState
    position: int
    added: int
    present: int
    passed: int
    failed: int
    created_ms: int
    finished_ms: int | None


@dataclass(frozen=True, slots=True)
class Offered:
    """A row that is a key; `line` is where it stands in the file, from 1."""

    line: int
    key: ForeignKey


@dataclass(frozen=True, slots=True)
class Passed:
    """A row that is not to be taken, and why."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """A row that cannot be taken: which of its fields is wrong, and what is wrong with it."""

    line: int
    field: str
    detail: str


Row = Offered | Passed | Flaw


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row; `field` and `detail` where it failed or was passed over.

    `row` is its number in the file, from 1, where `line` is where it begins.
    """

    row: int
    line: int
    outcome: Outcome
    key_id: str | None = None
    field: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """What keys refer to and what does not exist yet, by external id, slug and name."""

    identities: tuple[str, ...]
    permissions: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What rows would become, without key ids for those that would be added, and what would be created."""

    results: tuple[Result, ...]
    created: Created
