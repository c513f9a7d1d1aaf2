"""Purses: who pays for the verifications of a metered key."""

from collections.abc import Container

from latchwork.domains.credits import Ledger

NEVER_MS = 2**63


class Purse:
    """The key, its identity, or both together: `payer` always pays, and `other` with it where there is one.

    Where both pay, `payer` is the key and `other` its identity. Until `plain_until_ms` nothing needs a look
    but whether the balance of `payer` is in memory. `stored` are the rows' balances, for the ledger.
    """

    __slots__ = ("identity_pays", "other", "payer", "plain_until_ms", "stored")

    def __init__(self, key: tuple[str, int] | None, identity: tuple[str, int] | None) -> None:
        """Of a key and an identity with what their rows say, at least one of them."""
        self.stored = tuple(each for each in (key, identity) if each is not None)
        self.payer = self.stored[0][0]
        self.other = self.stored[1][0] if len(self.stored) == 2 else None
        self.identity_pays = identity is not None
        self.plain_until_ms = NEVER_MS if self.other is None else -1

    @property
    def payers(self) -> tuple[str, ...]:
        """Everybody who pays."""
        return (self.payer,) if self.other is None else (self.payer, self.other)

    def is_at_hand(self, balances: Container[str]) -> bool:
        """Whether everything is in memory that `spend` needs."""
        return self.payer in balances and (self.other is None or self.other in balances)

    def spend(self, ledger: Ledger, cost: int) -> bool | None:
        """Take `cost` from all payers or from none; answers as `Ledger.try_spend`."""
        if self.other is None:
            return ledger.try_spend(self.payer, cost)
        return ledger.try_spend_both(self.payer, self.other, cost)

    def of_key(self, ledger: Ledger) -> int | None:
        """What the key has; `None` where only its identity pays."""
        return None if self.identity_pays and self.other is None else ledger.available(self.payer)

    def of_identity(self, ledger: Ledger) -> int | None:
        """What the identity has; `None` where only the key pays."""
        return ledger.available(self.other or self.payer) if self.identity_pays else None
