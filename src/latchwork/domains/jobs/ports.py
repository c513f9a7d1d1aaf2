"""What a domain above brings to have its work done as jobs."""

from typing import Protocol

from latchwork.domains.jobs.records import Job, Portion
from latchwork.kernel.sql.database import Unit


class Kind(Protocol):
    """One kind of job."""

    @property
    def name(self) -> str:
        """Unique, and kept for ever: it is in the rows of queued jobs."""
        ...

    async def prepare(self, job: Job) -> Unit[Portion]:
        """Await what is needed for the next portion of `job`, and give the unit of work that does it.

        The unit runs in one transaction with the job's progress: what it does to the database is done
        exactly once. It must bring the job forward by one item at least. What happens outside the database,
        here, may happen again after an interruption. A `Fault` from here or from the unit fails the job with
        its detail; anything else lets it be tried again later.
        """
        ...
