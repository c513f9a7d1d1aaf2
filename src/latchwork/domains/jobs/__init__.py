"""Jobs: work that goes on after the request that asked for it was answered, and through restarts.

A job is a row; it is worked on in portions, each one unit of work that also writes how far the job has come,
so that what a portion does is done exactly once, whatever interrupts it. Kinds of jobs come from the domains
above.
"""

from latchwork.domains.jobs.faults import JobNotFound, TooManyJobs
from latchwork.domains.jobs.ports import Kind
from latchwork.domains.jobs.records import Failure, Job, Portion, State, Wanted
from latchwork.domains.jobs.runner import Runner
from latchwork.domains.jobs.service import Jobs

__all__ = [
    "Failure",
    "Job",
    "JobNotFound",
    "Jobs",
    "Kind",
    "Portion",
    "Runner",
    "State",
    "TooManyJobs",
    "Wanted",
]
