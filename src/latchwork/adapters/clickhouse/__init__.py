"""Analytics in a ClickHouse server, which the nodes of a cluster share."""

from latchwork.adapters.clickhouse.analytics import ClickHouseAnalytics

__all__ = ["ClickHouseAnalytics"]
