"""Ports served by Redis or Valkey, so that all nodes of a cluster share what they count."""

from latchwork.adapters.redis.bus import Bus
from latchwork.adapters.redis.counters import RedisCounters

__all__ = ["Bus", "RedisCounters"]
