"""Purses: who pays for the verifications of a metered key, and when that is topped up."""

from collections.abc import Container, Mapping
from typing import NamedTuple

from latchwork.domains.credits import Ledger

NEVER_MS = 2**63
_NONE: Mapping[str, "Due"] = {}


class Due(NamedTuple):
    """A refill: to how much it raises a balance, and when it does so next."""

    amount: int
    due_ms: int


class Payer(NamedTuple):
    """A key or an identity with credits, and what its row says of them."""

    id: str
    stored: int
    refill: Due | None = None


class Purse:
    """The key, its identity, or both together: `payer` always pays, and `other` with it where there is one.

    Where both pay, `payer` is the key and `other` its identity. Until `plain_until_ms` nothing needs a look
    but whether the balance of `payer` is in memory. `stored` is what the rows say, for the ledger.
    """

    __slots__ = ("due_ms", "identity_pays", "other", "payer", "plain_until_ms", "refills", "stored")

    def __init__(self, key: Payer | None, identity: Payer | None) -> None:
        """Of a key and an identity, at least one of them."""
        payers = [each for each in (key, identity) if each is not None]
        self.payer = payers[0].id
        self.other = payers[1].id if len(payers) == 2 else None
        self.identity_pays = identity is not None
        self.stored = tuple((each.id, each.stored) for each in payers)
        self._expect({each.id: each.refill for each in payers if each.refill is not None})

    def renew(self, dues: Mapping[str, int]) -> None:
        """Note when each payer is due next, after a refill."""
        known = {payer: due_ms for payer, due_ms in dues.items() if payer in self.refills}
        self._expect({payer: Due(self.refills[payer].amount, due_ms) for payer, due_ms in known.items()})

    def _expect(self, refills: Mapping[str, Due]) -> None:
        self.refills = refills or _NONE
        self.due_ms = min((refill.due_ms for refill in refills.values()), default=NEVER_MS)
        self.plain_until_ms = self.due_ms if self.other is None else -1

    @property
    def payers(self) -> tuple[str, ...]:
        """Everybody who pays."""
        return (self.payer,) if self.other is None else (self.payer, self.other)

    def is_at_hand(self, balances: Container[str], now_ms: int) -> bool:
        """Whether everything is in memory that `spend` needs, and no refill has to happen first."""
        return (
            now_ms < self.due_ms and self.payer in balances and (self.other is None or self.other in balances)
        )

    def spend(self, ledger: Ledger, cost: int) -> bool | None:
        """Take `cost` from all payers or from none; answers as `Ledger.try_spend`."""
        if self.other is None:
            return ledger.try_spend(self.payer, cost)
        return ledger.try_spend_both(self.payer, self.other, cost)

    @property
    def key_id(self) -> str | None:
        """The key, where it pays."""
        return None if self.identity_pays and self.other is None else self.payer

    @property
    def identity_id(self) -> str | None:
        """The identity, where it pays."""
        return self.other or self.payer if self.identity_pays else None

    def foreseen(self, payer: str, remaining: int, at_ms: int) -> int:
        """What a payer that has `remaining` now will have at `at_ms` if nothing is spent."""
        refill = self.refills.get(payer)
        return remaining if refill is None or at_ms < refill.due_ms else max(remaining, refill.amount)

    def retry_ms(self, remaining: Mapping[str | None, int | None], cost: int) -> int | None:
        """When refills will have made enough of too little; `None` if they never will.

        `remaining` is what each payer has.
        """
        refills = [self.refills.get(payer) for payer in self.payers if (remaining.get(payer) or 0) < cost]
        enough = [refill.due_ms for refill in refills if refill is not None and refill.amount >= cost]
        return max(enough) if len(enough) == len(refills) else None
