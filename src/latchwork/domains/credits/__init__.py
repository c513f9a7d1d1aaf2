"""Credits: what a key or an identity may still spend.

Balances live in memory. What is spent in neighbouring turns of the event loop is one journal row, durable before
anybody is told; the journal is folded into the rows in the background and replayed at start. Stated
invariant: granted = available + held + spent.
"""

from latchwork.domains.credits.accounts import Accounts
from latchwork.domains.credits.faults import HoldNotFound, TooFewCredits
from latchwork.domains.credits.holds import Holds
from latchwork.domains.credits.journal import Commit
from latchwork.domains.credits.ledger import Ledger
from latchwork.domains.credits.records import (
    Balance,
    Change,
    Hold,
    Refill,
    Reservation,
    Settlement,
    Spending,
    facts_of,
)
from latchwork.domains.credits.refills import Refills
from latchwork.domains.credits.shared import SharedLedger

__all__ = [
    "Accounts",
    "Balance",
    "Change",
    "Commit",
    "Hold",
    "HoldNotFound",
    "Holds",
    "Ledger",
    "Refill",
    "Refills",
    "Reservation",
    "Settlement",
    "SharedLedger",
    "Spending",
    "TooFewCredits",
    "facts_of",
]
