"""Analytics: what was verified and limited, by whom, how it ended.

The hot path appends one tuple to a list; everything else happens beside it. Analytics may lag or
lose its last second; no decision depends on it.
"""

from latchwork.domains.analytics.batches import Batch
from latchwork.domains.analytics.faults import (
    AnalyticsNotConfigured,
    AnalyticsUnavailable,
    BadQuestion,
    InvalidFunction,
    InvalidQuery,
    InvalidQueryType,
    InvalidTable,
    QueryMemoryExceeded,
    QueryQuotaExceeded,
    QueryRowsExceeded,
    QueryTimeout,
    RangeExceedsRetention,
)
from latchwork.domains.analytics.ports import AnalyticsStore, BadBatch
from latchwork.domains.analytics.records import Counts, Health, Usage, VerificationsQuestion
from latchwork.domains.analytics.series import Series, SeriesQuestion
from latchwork.domains.analytics.service import Analytics

__all__ = [
    "Analytics",
    "AnalyticsNotConfigured",
    "AnalyticsStore",
    "AnalyticsUnavailable",
    "BadBatch",
    "BadQuestion",
    "Batch",
    "Counts",
    "Health",
    "InvalidFunction",
    "InvalidQuery",
    "InvalidQueryType",
    "InvalidTable",
    "QueryMemoryExceeded",
    "QueryQuotaExceeded",
    "QueryRowsExceeded",
    "QueryTimeout",
    "RangeExceedsRetention",
    "Series",
    "SeriesQuestion",
    "Usage",
    "VerificationsQuestion",
]
