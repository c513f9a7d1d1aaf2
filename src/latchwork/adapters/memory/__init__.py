"""Ports served from this process's own memory: exact, and gone when it ends."""

from latchwork.adapters.memory.counters import MemoryCounters

__all__ = ["MemoryCounters"]
