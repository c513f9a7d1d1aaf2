"""What administration needs of balances, wherever they are spent from."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Accounts(Protocol):
    """The balances of keys and identities; one without a balance is unlimited.

    `Ledger` is that of one process, `SharedLedger` that of all nodes of a cluster.
    """

    async def open(self) -> None:
        """Begin; nothing may be spent before this returns."""
        ...

    async def close(self) -> None:
        """Make everything durable; nothing may be spent any more."""
        ...

    def rewriting(self, subject_id: str) -> AbstractAsyncContextManager[int]:
        """Hold a subject still while its row is changed; yields what of it is not in its row yet.

        Within, one unit of work calls `store.rewrite` with that amount, and after its commit `put` is called.
        """
        ...

    def rewriting_all(self, subject_ids: Iterable[str]) -> AbstractAsyncContextManager[dict[str, int]]:
        """`rewriting` of several subjects at once; yields that amount of each."""
        ...

    def put(self, subject_id: str, remaining: int | None) -> None:
        """Within `rewriting`, after the commit: what the subject has now, `None` for unlimited."""
        ...

    def available(self, subject_id: str) -> int | None:
        """What may be spent, where memory knows it; else `None`."""
        ...

    def remaining_of(self, subject_id: str, stored: int) -> int:
        """What is left of a balance whose row says `stored`."""
        ...

    def forget(self, subject_id: str) -> bool:
        """Drop a balance from memory if its row says the same; whether it is gone."""
        ...

    async def fold(self) -> None:
        """Move into the rows what of spends is not there yet; raises `Unavailable`."""
        ...

    async def settled(self, subject_id: str) -> int | None:
        """What the subject has when nothing is under way, `None` if unlimited; raises `Unavailable`."""
        ...

    async def spend(self, subject_id: str, cost: int) -> bool:
        """Take `cost`, durably; false if too little is left. Raises `Unavailable`, and then nothing was given."""
        ...
