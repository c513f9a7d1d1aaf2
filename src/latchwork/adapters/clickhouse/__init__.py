"""ClickHouse: how it is asked what users ask."""

from latchwork.adapters.clickhouse.writer import SETTINGS, ClickHouseWriter

__all__ = ["SETTINGS", "ClickHouseWriter"]
