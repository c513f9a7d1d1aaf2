"""The ledger: balances in memory, spent without waiting, durable before anybody is told."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from weakref import WeakValueDictionary

from latchwork.domains.credits import store
from latchwork.domains.credits.folding import EVERY_S, Folding
from latchwork.domains.credits.journal import MOST_ROWS, NOTHING, Commit, Journal, Spends
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import ALL_WORKSPACES, Database

MOST_BALANCES = 1_000_000
"""Balances kept in memory; past that, those that were not spent from lately are forgotten."""
_FORGOTTEN_AT_ONCE = 5_000  # about a millisecond of the event loop


class _Parked:
    """A subject whose spends wait. `balance` is what it had, `None` if it was not in memory.

    One without an `owner` was left by a rewriting that did not end well: what it has now, only the
    database knows.
    """

    __slots__ = ("balance", "known", "opened", "owner", "put")

    def __init__(self, balance: int | None) -> None:
        self.balance = balance
        self.known = True
        self.put = False
        self.owner = True
        self.opened = asyncio.Event()


class Ledger:
    """What every key and identity may still spend, in the one process that spends it.

    Belongs to one event loop. A subject is a key or an identity; one without a balance is unlimited
    and never in memory. `balances` is for reading only. The journal is folded every `fold_every_s`
    seconds, and whenever it has `most_rows` rows.
    """

    def __init__(
        self, database: Database, *, fold_every_s: float = EVERY_S, most_rows: int = MOST_ROWS
    ) -> None:
        self.balances: dict[str, int] = {}
        self.epoch = 0
        self._database = database
        self._parked: dict[str, _Parked] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._journal = Journal(database, self._refund, most_rows)
        self._folding = Folding(database, self._journal, self._parked, self.settled, fold_every_s)
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Replay what the last process journalled; nothing may be read or spent before this returns."""
        await self._journal.open()
        self._keeping = asyncio.get_running_loop().create_task(self._folding.keep(self._shrink))

    async def close(self) -> None:
        """Make everything durable and fold it; nothing may be spent any more."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping
        self._keeping = None
        await self._journal.drain()
        with suppress(Unavailable):  # the next start replays what stays behind
            await self._folding.fold()

    async def fold(self) -> None:
        """Move what is journalled into the rows now instead of at its time; raises `Unavailable`."""
        await self._folding.fold()

    # Spending

    def try_spend(self, subject_id: str, cost: int) -> bool | None:
        """Take `cost` from the balance at once; `commit_of_now` tells when that is durable.

        False: too little is left, nothing was taken. `None`: not in memory, or being rewritten;
        `await settled(…)` and try again. A cost of 0 takes nothing and succeeds.
        """
        balance = self.balances.get(subject_id)
        if balance is None:
            return None
        if balance < cost:
            return False
        if cost:
            self.take(subject_id, balance, cost)
        return True

    def take(self, subject_id: str, balance: int, cost: int) -> Commit:
        """Take `cost`, at least 1, from a balance that was just seen and suffices; the commit that carries it."""
        self.balances[subject_id] = balance - cost
        journal = self._journal
        now = journal.now
        spends = now.spends
        if not spends:
            journal.begin()
        spends[subject_id] = spends.get(subject_id, 0) + cost
        return now

    def try_spend_both(self, one_id: str, other_id: str, cost: int) -> bool | None:
        """Take `cost` from two balances together or from neither; answers as `try_spend` does."""
        one, other = self.balances.get(one_id), self.balances.get(other_id)
        if one is None or other is None:
            return None
        if one < cost or other < cost:
            return False
        return self.try_spend(one_id, cost) and self.try_spend(other_id, cost)

    def commit_of_now(self) -> Commit:
        """The commit that carries everything spent in this turn of the event loop; `NOTHING` if nothing was.

        A failed commit has given everything back.
        """
        now = self._journal.now
        return now if now.spends else NOTHING

    async def settled(self, subject_id: str) -> int | None:
        """Wait until the subject can be spent from, reading it if need be; what it has, `None` if unlimited.

        Raises `Unavailable` when it has to be read and cannot.
        """
        while (balance := self.balances.get(subject_id)) is None:
            parked = self._parked.get(subject_id)
            if parked is not None and parked.owner:
                await parked.opened.wait()
            elif await self._read(subject_id) is None:
                return None
        return balance

    async def spend(self, subject_id: str, cost: int) -> bool:
        """Take `cost`, durably; false if too little is left. An unlimited subject always has enough.

        Raises `Unavailable`, and then nothing was taken.
        """
        while (spent := self.try_spend(subject_id, cost)) is None:
            if await self.settled(subject_id) is None:
                return True
        if spent:
            await self.commit_of_now()
        return spent

    # Reading

    def available(self, subject_id: str) -> int | None:
        """What may be spent, also while it is being rewritten; `None` if it is not in memory."""
        balance = self.balances.get(subject_id)
        if balance is None and (parked := self._parked.get(subject_id)) is not None:
            return parked.balance
        return balance

    def remaining_of(self, subject_id: str, stored: int) -> int:
        """What is left of a balance whose row says `stored`."""
        available = self.available(subject_id)
        return stored - self._journal.unfolded.get(subject_id, 0) if available is None else available

    # Memory

    def load(self, subject_id: str, stored: int, as_of: int | None = None) -> bool:
        """Bring a balance into memory, unless it is there; its row says `stored`.

        `as_of` is `epoch` from before the row was read: when something was forgotten since, the row may
        be older than that, and false asks to read it again.
        """
        if subject_id in self.balances or subject_id in self._parked:
            return True
        if as_of is not None and as_of != self.epoch:
            return False
        self.balances[subject_id] = stored - self._journal.unfolded.get(subject_id, 0)
        return True

    def forget(self, subject_id: str) -> bool:
        """Drop a balance from memory if its row says the same; whether it is gone."""
        journal = self._journal
        if subject_id in self._parked or subject_id in journal.unfolded or journal.carries(subject_id):
            return False
        if self.balances.pop(subject_id, None) is not None:
            self.epoch += 1
        return True

    async def _shrink(self) -> None:
        await self.shrink(MOST_BALANCES)

    async def shrink(self, most: int) -> None:
        """Forget balances that were not spent from since the last fold until `most` are left, or none is."""
        looked_at = 0
        while len(self.balances) > most and looked_at < len(self.balances):
            ids = list(islice(self.balances, min(len(self.balances) - most, _FORGOTTEN_AT_ONCE)))
            for subject_id in ids:
                if not self.forget(subject_id):
                    self.balances[subject_id] = self.balances.pop(subject_id)  # last in line again
                    looked_at += 1
            await asyncio.sleep(0)

    # Rewriting

    @asynccontextmanager
    async def rewriting(self, subject_id: str) -> AsyncIterator[int]:
        """Hold a subject still while its row is changed; yields its unfolded amount.

        Within, one unit of work calls `store.rewrite` with that amount, and after its commit `put` is
        called. Spends wait meanwhile; two rewritings of a subject follow each other. When the block
        raises, the balance is read again before it is next used: only the database knows whether the
        unit was committed. Take several subjects in the order of their ids.
        """
        turn = self._turns.setdefault(subject_id, asyncio.Lock())
        async with turn:
            parked = self._park(subject_id)
            try:
                await self._journal.without(subject_id)
                await self._folding.pause()
                known, parked.known = parked.known, False  # until the block ends well
                yield self._journal.unfolded.get(subject_id, 0)
                parked.known = known or parked.put
            finally:
                self._unpark(subject_id, parked)

    @asynccontextmanager
    async def rewriting_all(self, subject_ids: Iterable[str]) -> AsyncIterator[dict[str, int]]:
        """`rewriting` of several subjects at once; yields the unfolded amount of each."""
        async with AsyncExitStack() as stack:
            in_order = sorted(subject_ids)
            yield {each: await stack.enter_async_context(self.rewriting(each)) for each in in_order}

    def put(self, subject_id: str, remaining: int | None) -> None:
        """Within `rewriting`, after the commit: what the subject has now, `None` for unlimited."""
        parked = self._parked[subject_id]
        if remaining is None and parked.balance is not None:
            self.epoch += 1
        parked.balance, parked.put = remaining, True

    def _park(self, subject_id: str) -> _Parked:
        parked = self._parked.get(subject_id)
        if parked is None:
            parked = self._parked[subject_id] = _Parked(self.balances.pop(subject_id, None))
        parked.owner, parked.put = True, False
        return parked

    def _unpark(self, subject_id: str, parked: _Parked) -> None:
        parked.owner = False
        if parked.known:
            del self._parked[subject_id]
            if parked.balance is not None:
                self.balances[subject_id] = parked.balance
        parked.opened.set()
        parked.opened = asyncio.Event()

    async def _read(self, subject_id: str) -> int | None:
        """Read a balance behind whatever write of it is still under way."""
        async with self.rewriting(subject_id) as unfolded:
            stored = await self._database.write(partial(store.stored, subject_id=subject_id), ALL_WORKSPACES)
            remaining = None if stored is None else stored - unfolded
            self.put(subject_id, remaining)
        return remaining

    def _refund(self, spends: Spends) -> None:
        for subject_id, amount in spends.items():
            if subject_id in self.balances:
                self.balances[subject_id] += amount
            else:
                parked = self._parked[subject_id]
                assert parked.balance is not None
                parked.balance += amount
