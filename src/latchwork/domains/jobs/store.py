"""The queries of jobs."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Update, bindparam, delete, func, insert, or_, select, update

from latchwork.domains.jobs.records import Failure, Job, Portion, State, Wanted
from latchwork.domains.jobs.tables import job_failures, jobs
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql.statements import OF, updating


class NotOurs(Exception):
    """Somebody else has brought the job forward meanwhile; whatever the unit of work did must not happen."""


_UNFINISHED = (State.QUEUED.value, State.RUNNING.value)
_QUEUED, _RUNS = jobs.c.state == State.QUEUED.value, jobs.c.state == State.RUNNING.value

# Asked at every step of every job, and so built once.
_ADD = insert(jobs)
_ONE = select(jobs).where(jobs.c.id == bindparam(OF))
_UNFINISHED_OF = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.workspace_id == bindparam("workspace_id"))
    .where(jobs.c.state.in_(_UNFINISHED))
)
_due = _QUEUED & (jobs.c.due_at_ms <= bindparam("now_ms"))
_free = jobs.c.workspace_id.not_in(select(jobs.c.workspace_id).where(_RUNS))
_left_behind = _RUNS & jobs.c.id.not_in(bindparam("in_hand", expanding=True))
_NEXT = (
    select(jobs)
    .where(jobs.c.kind.in_(bindparam("kinds", expanding=True)))
    .where(or_(_due & _free, _left_behind))
    .order_by(jobs.c.due_at_ms, jobs.c.id)
    .limit(1)
)
_DUE_AFTER = (
    select(func.min(jobs.c.due_at_ms))
    .where(_QUEUED)
    .where(jobs.c.due_at_ms > bindparam("after_ms"))
    .where(jobs.c.kind.in_(bindparam("kinds", expanding=True)))
)
_BEGIN = updating(jobs.c.id, ("state", "started_at_ms"))
_BRING_FORWARD = (
    update(jobs)
    .where(jobs.c.id == bindparam(OF))
    .where(_RUNS)
    .where(jobs.c.position == bindparam("stood_at"))
    .values({name: bindparam(name) for name in ("position", "failed", "succeeded")} | {"attempts": 0})
)
_END = _BRING_FORWARD.values(
    state=State.DONE.value, finished_at_ms=bindparam("finished_at_ms"), payload=bindparam("payload")
)
_OLD = (
    select(jobs.c.id)
    .where(jobs.c.finished_at_ms < bindparam("before_ms"))
    .order_by(jobs.c.finished_at_ms)
    .limit(bindparam("many"))
)


def add(connection: Connection, job_id: str, who: Principal, wanted: Wanted, now_ms: int) -> None:
    """Queue a job."""
    connection.execute(
        _ADD,
        {
            "id": job_id,
            "workspace_id": who.workspace_id,
            "kind": wanted.kind,
            "subject_id": wanted.subject_id,
            "state": State.QUEUED.value,
            "actor": msgspec.to_builtins(_Actor.of(who)),
            "payload": wanted.payload,
            "total": wanted.total,
            "position": 0,
            "succeeded": 0,
            "failed": 0,
            "attempts": 0,
            "due_at_ms": now_ms if wanted.due_ms is None else wanted.due_ms,
            "created_at_ms": now_ms,
        },
    )


def count_unfinished(connection: Connection, workspace_id: str) -> int:
    """How many jobs of the workspace wait or run."""
    return connection.execute(_UNFINISHED_OF, {"workspace_id": workspace_id}).scalar_one()


def find(connection: Connection, workspace_id: str, kind: str, job_id: str) -> Job | None:
    """The job of that kind with that id."""
    row = connection.execute(
        select(jobs)
        .where(jobs.c.workspace_id == workspace_id)
        .where(jobs.c.kind == kind)
        .where(jobs.c.id == job_id)
    ).one_or_none()
    return None if row is None else _job(row)


def failures_of(connection: Connection, job: Job) -> list[Failure]:
    """The items of a job that failed, in their order."""
    rows = connection.execute(
        select(job_failures).where(job_failures.c.job_id == job.id).order_by(job_failures.c.position)
    )
    return [Failure(row.position, row.code, row.detail) for row in rows]


def claim(connection: Connection, kinds: Iterable[str], in_hand: Iterable[str], now_ms: int) -> Job | None:
    """Start the next job, or go on with one that is running and in nobody's hands; `None` if there is none.

    The next one has been due the longest, of a workspace that has none running, and of a kind that is
    known here. `in_hand` are the ids of those that are being worked on.
    """
    asked = {"kinds": list(kinds), "in_hand": list(in_hand), "now_ms": now_ms}
    row = connection.execute(_NEXT, asked).one_or_none()
    if row is None:
        return None
    started_ms = now_ms if row.started_at_ms is None else row.started_at_ms
    begun = {OF: row.id, "state": State.RUNNING.value, "started_at_ms": started_ms}
    connection.execute(_BEGIN, begun)
    return _get(connection, row.id)


def next_due_ms(connection: Connection, kinds: Iterable[str], after_ms: int) -> int | None:
    """When the first queued job is due of those that are due later than `after_ms`; `None` if there is none."""
    asked = {"kinds": list(kinds), "after_ms": after_ms}
    due_ms: int | None = connection.execute(_DUE_AFTER, asked).scalar()
    return due_ms


def advance(connection: Connection, job: Job, portion: Portion, now_ms: int) -> Job:
    """Write what a portion did, and end the job with its last item; the job as it is then."""
    failed = job.failed + len(portion.failures)
    values: dict[str, Any] = {
        OF: job.id,
        "stood_at": job.position,
        "position": portion.position,
        "failed": failed,
        "succeeded": portion.position - failed,
    }
    step = _BRING_FORWARD
    if portion.position >= job.total:
        step, values = _END, values | {"finished_at_ms": now_ms, "payload": None}
    if not connection.execute(step, values).rowcount:
        raise NotOurs(f"job {job.id} is no longer at item {job.position}")
    _add_failures(connection, job, portion.failures)
    return _get(connection, job.id)


def put_back(connection: Connection, job: Job, due_ms: int) -> None:
    """Queue a job again, for another attempt at the same portion; one that is over stays so."""
    values = {"state": State.QUEUED.value, "due_at_ms": due_ms, "attempts": job.attempts + 1}
    connection.execute(_running(job).values(values))


def fail(connection: Connection, job: Job, error: str, now_ms: int) -> None:
    """Give a job up; one that is over stays as it is."""
    values = {"state": State.FAILED.value, "error": error, "finished_at_ms": now_ms, "payload": None}
    connection.execute(_running(job).values(values))


def _running(job: Job) -> Update:
    return update(jobs).where(jobs.c.id == job.id).where(jobs.c.state == State.RUNNING.value)


def forget(connection: Connection, before_ms: int, limit: int) -> None:
    """Remove jobs that ended before `before_ms`, the oldest first."""
    ids = list(connection.scalars(_OLD, {"before_ms": before_ms, "many": limit}))
    if ids:
        connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))


def _add_failures(connection: Connection, job: Job, failures: Sequence[Failure]) -> None:
    rows = [
        {
            "job_id": job.id,
            "position": failure.position,
            "workspace_id": job.who.workspace_id,
            "code": failure.code,
            "detail": failure.detail,
        }
        for failure in failures
    ]
    if rows:
        connection.execute(insert(job_failures), rows)


def _get(connection: Connection, job_id: str) -> Job:
    return _job(connection.execute(_ONE, {OF: job_id}).one())


class _Actor(msgspec.Struct):
    """A principal as a job remembers it: without what it was allowed to do."""

    subject_id: str
    subject_name: str | None
    subject_type: str
    remote_ip: str
    user_agent: str
    request_id: str

    @classmethod
    def of(cls, who: Principal) -> "_Actor":
        return cls(
            who.subject_id,
            who.subject_name,
            who.subject_type,
            who.remote_ip,
            who.user_agent,
            who.request_id,
        )

    def principal(self, workspace_id: str) -> Principal:
        return Principal(workspace_id=workspace_id, permissions=frozenset(), **msgspec.structs.asdict(self))


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        who=msgspec.convert(row.actor, _Actor).principal(row.workspace_id),
        kind=row.kind,
        subject_id=row.subject_id,
        state=State(row.state),
        payload=row.payload,
        total=row.total,
        position=row.position,
        succeeded=row.succeeded,
        failed=row.failed,
        attempts=row.attempts,
        error=row.error,
        created_ms=row.created_at_ms,
        started_ms=row.started_at_ms,
        finished_ms=row.finished_at_ms,
    )
