"""What a job is, what is asked of a new one, and what a portion of it did."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from latchwork.kernel.principal import Principal


class State(StrEnum):
    """Where a job stands. A failed one was given up, with `error` saying why; single items may fail in any."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to be: `payload` is the kind's own JSON, `total` its number of items, `subject_id` what it is about.

    It is due at once, or at `due_ms`.
    """

    kind: str
    subject_id: str
    payload: Any
    total: int
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be done: its place among the job's items from 0, and what may be told of it."""

    position: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job. Items before `position` are behind it, so many `succeeded` and so many `failed`.

    `who` is on whose behalf it is done; what it may do was decided when it was queued, so `who` has no
    permissions. `payload` is `None` once the job is over.
    """

    id: str
    who: Principal
    kind: str
    subject_id: str
    state: State
    payload: Any
    total: int
    position: int
    succeeded: int
    failed: int
    attempts: int
    error: str | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None


@dataclass(frozen=True, slots=True)
class Portion:
    """What one unit of work did: the items up to `position`, all but `failures` of them well."""

    position: int
    failures: tuple[Failure, ...] = ()
