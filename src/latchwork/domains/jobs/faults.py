"""What callers may be told about jobs."""

from latchwork.kernel.faults import NotFound, TooManyRequests


class JobNotFound(NotFound):
    """No job has that id in this workspace."""

    code = "unkey/data/job_not_found"
    default_detail = "The requested job does not exist."


class TooManyJobs(TooManyRequests):
    """The workspace has as many unfinished jobs as it may have."""

    default_detail = "Too many jobs of this workspace are waiting. Try again when some of them are done."
