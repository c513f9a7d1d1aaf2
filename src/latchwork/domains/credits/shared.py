"""The ledger of a cluster: PostgreSQL's rows are the balances, and whatever is asked meanwhile is one transaction."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from zlib import crc32

from latchwork.domains.credits import store
from latchwork.domains.credits.records import Spending
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import PostgresDatabase
from latchwork.kernel.sql.lane import DEADLINE_S, Link, Lost

MOST_ASKS = 5_000
"""Asks in one transaction: some twenty milliseconds of it."""
_BUCKETS = 64
_LOCK_CLASS = 1_281_844_340  # of the advisory locks; any number that nobody else uses
_MOST_KNOWN = 200_000

Told = Callable[[Spending], None]


class _Ask:
    """A request for credits: of whom, how many, and who hears of it."""

    __slots__ = ("cost", "done", "subjects")

    def __init__(self, subjects: Sequence[str], cost: int, done: Told) -> None:
        self.subjects = subjects
        self.cost = cost
        self.done = done


class SharedLedger:
    """What every key and identity may still spend, on all nodes together; see `Accounts`.

    Nothing is given that PostgreSQL has not committed. When it cannot be found out whether a commit took place,
    the request is refused as `Unavailable`; what it asked for may then be taken all the same, and never the
    other way round. Belongs to one event loop.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._lane = database.lane()
        self._asked: deque[_Ask] = deque()
        self._flying: asyncio.Task[None] | None = None
        self._known: dict[str, int] = {}  # what was last seen, to ask for no more than that at once
        self._turn = asyncio.Lock()
        self._gate: Link | None = None

    async def open(self) -> None:
        """Begin; balances are read when they are asked for."""

    async def close(self) -> None:
        """Answer whoever has asked, and disconnect."""
        while self._flying is not None:
            await asyncio.wait([self._flying])
        await self._lane.close()
        await self._drop_gate()

    # Spending

    def ask(self, subjects: Sequence[str], cost: int, done: Told) -> None:
        """Take `cost` from every subject or from none, and tell `done` once, later, on the event loop.

        A cost of 0 only looks. A subject without a balance is unlimited. What is refused as `Unavailable`
        has not been given to anybody.
        """
        self._asked.append(_Ask(subjects, cost, done))
        if self._flying is None:
            self._flying = asyncio.get_running_loop().create_task(self._fly())

    async def spend(self, subject_id: str, cost: int) -> bool:
        """See `Accounts`."""
        return (await self._asking(subject_id, cost)).spent

    async def settled(self, subject_id: str) -> int | None:
        """See `Accounts`."""
        return (await self._asking(subject_id, 0)).remaining[0]

    async def _asking(self, subject_id: str, cost: int) -> Spending:
        told: asyncio.Future[Spending] = asyncio.get_running_loop().create_future()
        self.ask((subject_id,), cost, lambda spending: None if told.done() else told.set_result(spending))
        spending = await told
        if spending.error is not None:
            raise spending.error
        return spending

    async def _fly(self) -> None:
        try:
            while self._asked:
                asks = [self._asked.popleft() for _ in range(min(MOST_ASKS, len(self._asked)))]
                try:
                    again = await self._take(asks)
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                    asks += self._asked  # they would only wait as long for the same
                    self._asked.clear()
                    for ask in asks:
                        _tell(ask, Spending(spent=False, error=_public(error)))
                else:
                    self._asked.extendleft(reversed(again))
        finally:
            self._flying = None

    async def _take(self, asks: list[_Ask]) -> list[_Ask]:
        """One transaction: answers those that are decided, and returns the others, in order."""
        totals, hopeful = self._hopeful(asks)
        subjects = sorted(totals)
        costs = [totals[each] for each in subjects]
        try:
            rows = await self._lane.run(store.TAKE, subjects, costs, _buckets(subjects), _LOCK_CLASS)
        except Lost:
            after = await self._seen_after(subjects)
            before = {each: left + totals[each] for each, left in after.items()}
        else:
            before = {row[0]: row[1] for row in rows if row[0] is not None}
            if not rows[0][2]:
                self._know(subjects, before)
                return asks
        self._know(subjects, {each: left - totals[each] for each, left in before.items()})
        return [ask for ask in asks if not _answered(ask, ask in hopeful, before)]

    def _hopeful(self, asks: list[_Ask]) -> tuple[dict[str, int], set[_Ask]]:
        """What to take in all, by what was last seen of each subject, and for whom; the others only look."""
        left: dict[str, int | float] = {}
        totals: dict[str, int] = {}
        hopeful = set()
        for ask in asks:
            for each in ask.subjects:
                if each not in left:
                    left[each] = self._known.get(each, float("inf"))
                    totals[each] = 0
            if all(left[each] >= ask.cost for each in ask.subjects):
                hopeful.add(ask)
                for each in ask.subjects:
                    left[each] -= ask.cost
                    totals[each] += ask.cost
        return totals, hopeful

    async def _seen_after(self, subjects: list[str]) -> dict[str, int]:
        """What is left after a transaction whose answer is lost; others may have taken from it since."""
        costs = [0] * len(subjects)
        with suppress(Lost):
            rows = await self._lane.run(store.TAKE, subjects, costs, _buckets(subjects), _LOCK_CLASS)
            return {row[0]: row[1] for row in rows if row[0] is not None}
        raise Unavailable(private="PostgreSQL goes away with every answer")

    def _know(self, subjects: Iterable[str], left: dict[str, int]) -> None:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        for each in subjects:
            if each in left:
                self._known[each] = left[each]
            else:
                self._known.pop(each, None)

    # Administration

    @asynccontextmanager
    async def rewriting(self, subject_id: str) -> AsyncIterator[int]:
        """See `Accounts`; everything is in the row."""
        async with self.rewriting_all([subject_id]) as unfolded:
            yield unfolded[subject_id]

    @asynccontextmanager
    async def rewriting_all(self, subject_ids: Iterable[str]) -> AsyncIterator[dict[str, int]]:
        """See `Accounts`. Spends of the same buckets wait meanwhile, on all nodes.

        Units are serializable, so they would be right without this; but among the spends of a busy key they
        would hardly ever come to an end.
        """
        subjects = list(subject_ids)
        async with self._turn:
            await self._hold_off(_buckets(subjects))
            try:
                yield dict.fromkeys(subjects, 0)
            finally:
                await self._let_go()
                for each in subjects:
                    self._known.pop(each, None)

    def put(self, subject_id: str, remaining: int | None) -> None:
        """See `Accounts`; the row says it."""

    def available(self, subject_id: str) -> int | None:
        """See `Accounts`; memory never knows."""
        return None

    def remaining_of(self, subject_id: str, stored: int) -> int:
        """See `Accounts`."""
        return stored

    def forget(self, subject_id: str) -> bool:
        """See `Accounts`."""
        return True

    async def fold(self) -> None:
        """See `Accounts`; there is nothing to move."""

    async def _hold_off(self, buckets: list[int]) -> None:
        for is_last in (False, True):  # the connection may have gone since it was last used
            try:
                async with asyncio.timeout(DEADLINE_S):
                    if self._gate is None:
                        self._gate = await self._database.link()
                    await self._gate.driver.execute(store.HOLD_OFF, _LOCK_CLASS, buckets)
                return
            except Exception as error:
                await self._drop_gate()
                if is_last:
                    raise Unavailable(private=f"{type(error).__name__}: {error}") from error

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                assert self._gate is not None
                await self._gate.driver.execute(store.LET_GO)
        except Exception:  # noqa: BLE001 - the locks go with the connection
            await self._drop_gate()

    async def _drop_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            await gate.drop()


def _answered(ask: _Ask, took: bool, left: dict[str, int]) -> bool:
    """Tell an ask what became of it; false if it only looked and sees that there is enough.

    `left` is what is left of each subject that has a balance, to which this ask's turn has come.
    """
    has = [left.get(each) for each in ask.subjects]
    if took:
        for each in ask.subjects:
            if each in left:
                left[each] -= ask.cost
        has = [left.get(each) for each in ask.subjects]
    elif all(each is None or each >= ask.cost for each in has):
        return False
    _tell(ask, Spending(took, tuple(has)))
    return True


def _public(error: Exception) -> Exception:
    return (
        error if isinstance(error, Unavailable) else Unavailable(private=f"{type(error).__name__}: {error}")
    )


def _tell(ask: _Ask, spending: Spending) -> None:
    """One who fails on hearing it does not keep it from the others."""
    try:
        ask.done(spending)
    except Exception as failure:  # noqa: BLE001 - reported where the loop reports such things
        context = {"message": "an answer of the ledger was not taken", "exception": failure}
        asyncio.get_running_loop().call_exception_handler(context)


def _buckets(subjects: Iterable[str]) -> list[int]:
    """The locks of these subjects, in the order in which everybody takes them."""
    return sorted({crc32(each.encode()) % _BUCKETS for each in subjects})
