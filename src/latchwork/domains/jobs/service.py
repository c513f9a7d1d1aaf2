"""The jobs' verbs, for the domains whose jobs they are."""

from collections.abc import Callable
from dataclasses import dataclass, field

from latchwork.domains.jobs import store
from latchwork.domains.jobs.faults import JobNotFound, TooManyJobs
from latchwork.domains.jobs.records import Failure, Job, Wanted
from latchwork.kernel.clock import Clock
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import Connection, Database
from latchwork.kernel.sql.changes import changed

MOST_UNFINISHED = 100
"""Jobs of one workspace that may wait or run: each may hold megabytes."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """Queues jobs and tells of them. The domain that asks has checked that its caller may."""

    db: Database
    clock: Clock
    _wakers: list[Callable[[], None]] = field(default_factory=list)

    def on_wake(self, waker: Callable[[], None]) -> None:
        """Call `waker` whenever there may be something to do."""
        self._wakers.append(waker)

    def queue(self, connection: Connection, who: Principal, wanted: Wanted) -> str:
        """Queue a job within the caller's unit of work, and give its id; `wake` after the commit.

        Raises `TooManyJobs`.
        """
        if store.count_unfinished(connection, who.workspace_id) >= MOST_UNFINISHED:
            raise TooManyJobs
        job_id = new_id("job")
        store.add(connection, job_id, who, wanted, self.clock.now_ms())
        changed(connection, ("jobs", who.workspace_id))  # for whichever node works on them
        return job_id

    def wake(self) -> None:
        """Have queued jobs begun."""
        for waker in self._wakers:
            waker()

    async def get(self, who: Principal, kind: str, job_id: str) -> tuple[Job, list[Failure]]:
        """The job of that kind in the caller's workspace, and its items that failed; raises `JobNotFound`."""

        def question(connection: Connection) -> tuple[Job, list[Failure]] | None:
            job = store.find(connection, who.workspace_id, kind, job_id)
            return None if job is None else (job, store.failures_of(connection, job))

        found = await self.db.read(question, who.workspace_id)
        if found is None:
            raise JobNotFound
        return found
