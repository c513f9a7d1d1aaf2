"""Analytics in a DuckDB file of this process."""

from latchwork.adapters.duckdb.analytics import DuckDbAnalytics

__all__ = ["DuckDbAnalytics"]
