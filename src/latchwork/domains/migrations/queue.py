"""Keys taken over in the background: each by itself, so that one that does not fit holds up no other."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from latchwork.domains.jobs import Failure, Job, Portion, Wanted
from latchwork.domains.keys import Api, ApiNotFound
from latchwork.domains.keys import store as keys_store
from latchwork.domains.migrations import offers, taking
from latchwork.domains.migrations.records import ForeignKey
from latchwork.kernel.clock import Clock
from latchwork.kernel.sql import Connection
from latchwork.kernel.sql.database import Unit


@dataclass(frozen=True, slots=True)
class KeyQueue:
    """The kind of job that takes keys over; see `jobs.Kind`."""

    clock: Clock
    name: str = "migrations.keys"

    def job(self, api: Api, keys: Sequence[ForeignKey]) -> Wanted:
        """The job that takes `keys` over into `api`."""
        return Wanted(self.name, api.id, msgspec.to_builtins(keys), len(keys))

    async def prepare(self, job: Job) -> Unit[Portion]:
        """See `jobs.Kind`; raises `ApiNotFound` from the unit where the API is no more."""
        every = msgspec.convert(job.payload, list[ForeignKey])
        keys = next(taking.in_portions(every[job.position :], ForeignKey.rows))
        now_ms = self.clock.now_ms()

        def unit(connection: Connection) -> Portion:
            api = keys_store.find_api(connection, job.who.workspace_id, job.subject_id)
            if api is None:
                raise ApiNotFound
            faults = offers.faults_of(connection, job.who.workspace_id, keys)
            fit = [key for key, fault in zip(keys, faults, strict=True) if fault is None]
            taking.take_over(connection, job.who, api, fit, now_ms)
            failures = [
                Failure(job.position + place, fault.code, fault.detail)
                for place, fault in enumerate(faults)
                if fault is not None
            ]
            return Portion(job.position + len(keys), tuple(failures))

        return unit
