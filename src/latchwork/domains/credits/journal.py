"""The journal: what is spent at nearly the same time becomes durable as one row."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from latchwork.domains.credits import store
from latchwork.kernel.gathering import Gathering
from latchwork.kernel.sql import ALL_WORKSPACES, Database

MOST_SPENDS = 250_000
"""Journalled spends that call for folding at once: they are what a start has to replay."""
MOST_ROWS = 10_000
"""Journal rows that call for folding at once: they are deleted in one go, beside waiting spends."""

Callback = Callable[[Exception | None], None]
Spends = dict[str, int]


class Commit:
    """Spends that become durable together, and who waits for them to be durable."""

    __slots__ = ("_callbacks", "error", "settled", "spends")

    def __init__(self) -> None:
        self.spends: Spends = {}
        self.settled = False
        self.error: Exception | None = None
        self._callbacks: list[Callback] = []

    @property
    def awaited_by(self) -> int:
        """How many wait for it."""
        return len(self._callbacks)

    def then(self, callback: Callback) -> None:
        """Call `callback` once: with `None` when the spends are durable, or with why they did not happen."""
        if self.settled:
            callback(self.error)
        else:
            self._callbacks.append(callback)

    def __await__(self) -> Generator[object, None, None]:
        """Wait until the spends are durable; raises why they did not happen."""
        if not self.settled:
            landed = asyncio.get_running_loop().create_future()
            self.then(lambda _error: None if landed.done() else landed.set_result(None))
            yield from landed
        if self.error is not None:
            raise self.error

    def settle(self, error: Exception | None) -> None:
        """Tell everybody who waits; one who fails on hearing it does not keep it from the others."""
        self.settled, self.error = True, error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(error)
            except Exception as failure:  # noqa: BLE001 - reported where the loop reports such things
                context = {"message": "a callback of a commit failed", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(context)


NOTHING = Commit()
"""The commit of nothing at all: always durable."""
NOTHING.settle(None)


@dataclass(frozen=True, slots=True)
class Cut:
    """The journal at a moment when nothing was on its way: rows up to `seq` add up to `unfolded`."""

    seq: int
    unfolded: Spends


class Journal:
    """Collects spends and writes them, one row at a time; meanwhile the next row collects.

    A row costs as much as several verifications, whatever is in it: spends gather for it.

    `unfolded` is what the committed rows add up to. Spends whose row could not be written are handed
    to `refund` before anybody hears of it. A row that failed may still have arrived: its number is
    used again for the next row, which takes its place. `full` is set when it is time to fold.
    """

    def __init__(
        self, database: Database, refund: Callable[[Spends], None], most_rows: int = MOST_ROWS
    ) -> None:
        self.now = Commit()
        self.unfolded: Spends = {}
        self.full = asyncio.Event()
        self._database = database
        self._refund = refund
        self._most_rows = most_rows
        self._rows = 0
        self._spends = 0
        self._seq = 0
        self._flying: tuple[int, Commit] | None = None
        self._doubtful_seq: int | None = None
        self._cut: asyncio.Future[Cut] | None = None
        self._gathering = Gathering(self._gathered, self._flush_gathered)

    async def open(self) -> None:
        """Fold what the last process left behind; nothing may be spent before this returns."""
        await self._database.write(store.replay, ALL_WORKSPACES)
        self._loop = asyncio.get_running_loop()
        self._write = store.journalling(self._database)

    async def drain(self) -> None:
        """Wait until nothing collects and nothing is on its way; raises nothing."""
        while self._flying is not None or self.now.spends:
            with suppress(Exception):
                await (self.now if self._flying is None else self._flying[1])

    def begin(self) -> None:
        """Call before the first spend of a turn is entered into `now.spends`."""
        if self._flying is None:
            self._gathering.begin()

    def carries(self, subject_id: str) -> bool:
        """Whether a row with a spend of that subject is collecting or on its way."""
        flying = NOTHING if self._flying is None else self._flying[1]
        return subject_id in self.now.spends or subject_id in flying.spends

    @property
    def in_doubt(self) -> bool:
        """Whether the last row failed, and may have arrived all the same."""
        return self._doubtful_seq is not None

    async def without(self, subject_id: str) -> None:
        """Wait until no row with a spend of that subject is collecting or on its way."""
        for commit in (self._flying[1] if self._flying is not None else NOTHING, self.now):
            if subject_id in commit.spends:
                with suppress(Exception):
                    await commit

    def next_seq(self) -> int:
        """A number for a row that somebody else writes."""
        self._seq += 1
        return self._seq

    def account(self, spends: Mapping[str, int], sign: int = 1) -> None:
        """Enter a committed row into `unfolded`."""
        unfolded = self.unfolded
        for subject_id, amount in spends.items():
            total = unfolded.get(subject_id, 0) + sign * amount
            if total:
                unfolded[subject_id] = total
            else:
                unfolded.pop(subject_id, None)

    async def cut(self) -> Cut:
        """A cut at the next moment with nothing on its way; raises what keeps a row from being written.

        One at a time.
        """
        self._cut = self._loop.create_future()
        if self._flying is None:
            if self._doubtful_seq is None:
                self._deliver_cut()
            else:
                self._flush()  # with or without spends: the row in doubt must be replaced first
        return await self._cut

    def _gathered(self) -> int:
        return max(len(self.now.spends), self.now.awaited_by)

    def _flush_gathered(self) -> None:
        if self._flying is None:
            self._flush()

    def _flush(self) -> None:
        commit, self.now = self.now, Commit()
        seq = self.next_seq() if self._doubtful_seq is None else self._doubtful_seq
        self._flying = (seq, commit)
        try:
            self._write(seq, commit.spends, self._landed)
        except Exception as error:  # noqa: BLE001 - whoever spent is told
            self._loop.call_soon(self._landed, error)

    def _landed(self, error: Exception | None) -> None:
        assert self._flying is not None
        seq, commit = self._flying
        self._flying = None
        if error is None:
            self._doubtful_seq = None
            self._enter(commit.spends)
        else:
            self._doubtful_seq = seq
            self._refund(commit.spends)
        self._answer_cut(error)
        if self.now.spends:
            self._gathering.begin()
        commit.settle(error)

    def _enter(self, spends: Spends) -> None:
        self.account(spends)
        self._rows += 1
        self._spends += len(spends)
        if self._rows >= self._most_rows or self._spends >= MOST_SPENDS:
            self.full.set()

    def _answer_cut(self, error: Exception | None) -> None:
        if self._cut is None or self._cut.done():
            return
        if error is None:
            self._deliver_cut()
        else:
            self._cut.set_exception(error)

    def _deliver_cut(self) -> None:
        assert self._cut is not None
        self._cut.set_result(Cut(self._seq, dict(self.unfolded)))
        self._rows = self._spends = 0
        self.full.clear()
