"""What callers may be told about analytics."""

from latchwork.kernel.faults import BadRequest, Fault, PreconditionFailed, Unavailable


class AnalyticsNotConfigured(PreconditionFailed):
    """Analytics are switched off on this server."""

    code = "unkey/data/analytics_not_configured"
    default_detail = "Analytics are not configured on this server."


class AnalyticsUnavailable(Unavailable):
    """The database of the events fails; what is recorded meanwhile is kept for it."""

    code = "unkey/data/analytics_connection_failed"
    default_detail = "Analytics cannot be read right now. Please try again."


class BadQuestion(BadRequest):
    """The question contradicts itself, or asks for too much."""


class RangeExceedsRetention(BadRequest):
    """The time asked for is longer than events are kept."""

    code = "user/bad_request/query_range_exceeds_retention"


class QueryTimeout(Fault):
    """The question took too long and was stopped."""

    code = "user/unprocessable_entity/query_execution_timeout"
    status = 422
    title = "Unprocessable Entity"
    default_detail = "The query took longer than 10 seconds. Ask for a shorter time or fewer groups."
