"""The audit log: who did what to what, written with the deed, each row chained to the one before.

`record` belongs into the unit of work that it records; `Attempts` records what changed nothing; `AuditLog` lets
people read; `Chains` finds tampering.
"""

from latchwork.domains.audit.attempts import MOST_PER_MINUTE, Attempts
from latchwork.domains.audit.chains import Chains, Sealing
from latchwork.domains.audit.faults import SealsUnavailable
from latchwork.domains.audit.ports import Inherited
from latchwork.domains.audit.records import (
    Attempt,
    Break,
    Checked,
    Entry,
    Filter,
    Resource,
    Row,
    Seal,
)
from latchwork.domains.audit.rules import difference
from latchwork.domains.audit.seals import Seals
from latchwork.domains.audit.service import AuditLog
from latchwork.domains.audit.store import first_break, record

__all__ = [
    "MOST_PER_MINUTE",
    "Attempt",
    "Attempts",
    "AuditLog",
    "Break",
    "Chains",
    "Checked",
    "Entry",
    "Filter",
    "Inherited",
    "Resource",
    "Row",
    "Seal",
    "Sealing",
    "Seals",
    "SealsUnavailable",
    "difference",
    "first_break",
    "record",
]
