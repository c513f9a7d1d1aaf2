"""The audit log: who did what to what, written with the deed, each row chained to the one before.

`record` belongs into the unit of work that it records; `first_break` finds tampering.
"""

from latchwork.domains.audit.records import Break, Entry, Resource
from latchwork.domains.audit.store import first_break, record

__all__ = ["Break", "Entry", "Resource", "first_break", "record"]
