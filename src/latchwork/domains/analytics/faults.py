"""What callers may be told about analytics."""

from latchwork.kernel.faults import BadRequest, Fault, PreconditionFailed, TooManyRequests, Unavailable


class AnalyticsNotConfigured(PreconditionFailed):
    """Analytics are switched off, or the server is one of several that share no place for events."""

    code = "unkey/data/analytics_not_configured"
    default_detail = "Analytics are not configured on this server."
    remedy = (
        "`GET /health` with a root key that may do everything says why. Set `LATCHWORK_ANALYTICS__ENABLED`, or for "
        "several servers `LATCHWORK_CLICKHOUSE_URL`."
    )


class AnalyticsUnavailable(Unavailable):
    """The database of the events fails; what is recorded meanwhile is kept for it."""

    code = "unkey/data/analytics_connection_failed"
    default_detail = "Analytics cannot be read right now. Please try again."


class BadQuestion(BadRequest):
    """The question contradicts itself, or asks for too much."""


class InvalidQuery(BadRequest):
    """The text is no query, or one that cannot be answered."""

    code = "user/bad_request/invalid_analytics_query"


class InvalidTable(BadRequest):
    """The query asks a table that there is not, or that is not for users."""

    code = "user/bad_request/invalid_analytics_table"


class InvalidFunction(BadRequest):
    """The query calls a function that may not be called."""

    code = "user/bad_request/invalid_analytics_function"


class InvalidQueryType(BadRequest):
    """The text does something else than ask."""

    code = "user/bad_request/invalid_analytics_query_type"
    default_detail = "Only SELECT is allowed."


class RangeExceedsRetention(BadRequest):
    """The time asked for is longer than events are kept."""

    code = "user/bad_request/query_range_exceeds_retention"


class Unprocessable(Fault):
    """The query is one, but answering it takes too much."""

    status = 422
    title = "Unprocessable Entity"


class QueryTimeout(Unprocessable):
    """The question took too long and was stopped."""

    code = "user/unprocessable_entity/query_execution_timeout"
    default_detail = "The query took longer than 10 seconds. Ask for a shorter time or fewer groups."


class QueryMemoryExceeded(Unprocessable):
    """The question needs more memory than it may have, or its answer is too large."""

    code = "user/unprocessable_entity/query_memory_limit_exceeded"
    default_detail = "The query needs too much memory. Ask for a shorter time or fewer groups."


class QueryRowsExceeded(Unprocessable):
    """The answer has more rows than it may have."""

    code = "user/unprocessable_entity/query_rows_limit_exceeded"
    default_detail = "The answer has too many rows. Use LIMIT, or ask for fewer groups."


class QueryQuotaExceeded(TooManyRequests):
    """The workspace has asked as much as it may for now."""

    code = "user/too_many_requests/query_quota_exceeded"
