"""Holds: credits set aside for work whose cost is known only afterwards."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from latchwork.domains.credits import rules, store
from latchwork.domains.credits.accounts import Accounts
from latchwork.domains.credits.faults import HoldNotFound, TooFewCredits
from latchwork.domains.credits.keeping import LONGEST_WAIT_MS, Keeping
from latchwork.domains.credits.records import Hold, Reservation, Settlement
from latchwork.kernel.clock import Clock
from latchwork.kernel.faults import BadRequest
from latchwork.kernel.ids import new_id
from latchwork.kernel.principal import Principal
from latchwork.kernel.sql import ALL_WORKSPACES, Connection, Database

_AT_ONCE = 500


class Holds:
    """Reserves, commits and releases; what is abandoned returns by itself at its time.

    Granted = available + held + spent, at every instant and after any end of the process. Whether the
    caller may use the subject is for whoever knows what the subject is; `find` tells which one it is.
    """

    def __init__(self, database: Database, ledger: Accounts, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._next_ms: int | None = None
        self._keeping = Keeping("returns of expired reservations", self.sweep, self._wait_ms)

    async def open(self) -> None:
        """Return what expired while nobody ran, and go on returning what expires."""
        await self._keeping.open()

    async def close(self) -> None:
        """Stop returning what expires; the next start does it."""
        await self._keeping.close()

    async def reserve(
        self, who: Principal, subject_id: str, amount: int, ttl_ms: int, *, with_id: str | None = None
    ) -> Reservation:
        """Set `amount` aside for `ttl_ms`, from the subject and from `with_id` together or from neither.

        One without a balance is unlimited and does not pay. Raises `TooFewCredits`, and `BadRequest` for a
        size or time out of bounds or where nobody pays.
        """
        rules.check_hold(amount, ttl_ms)
        asked = {subject_id} if with_id is None else {subject_id, with_id}
        held = Hold(new_id("res"), who.workspace_id, subject_id, (), amount, self._clock.now_ms() + ttl_ms)
        async with self._ledger.rewriting_all(asked) as unfolded:
            held, rests = await self._database.write(
                partial(_hold, held=held, unfolded=unfolded), who.workspace_id
            )
            if rests is not None:
                for payer, rest in rests.items():
                    self._ledger.put(payer, rest)
        if not held.payers:
            raise BadRequest("There is nothing to reserve: the credits are unlimited.")
        if rests is None:
            raise TooFewCredits
        if self._next_ms is None or held.expires_ms < self._next_ms:
            self._keeping.sooner()
        return Reservation(held, min(rests.values()))

    async def find(self, who: Principal, hold_id: str) -> Hold:
        """The hold, as long as it stands; raises `HoldNotFound`."""
        held = await self._database.read(
            partial(store.find_hold, workspace_id=who.workspace_id, hold_id=hold_id), who.workspace_id
        )
        if held is None or held.expires_ms <= self._clock.now_ms():
            raise HoldNotFound
        return held

    async def commit(self, who: Principal, hold_id: str, amount: int) -> Settlement:
        """Spend `amount` of the hold and release the rest; raises `HoldNotFound` and `BadRequest`."""
        held = await self.find(who, hold_id)
        if not 0 <= amount <= held.amount:
            raise BadRequest(f"Between 0 and {held.amount} credits of this reservation can be committed.")
        return await self._settle(held, amount)

    async def release(self, who: Principal, hold_id: str) -> Settlement:
        """Give the whole hold back; raises `HoldNotFound`."""
        return await self._settle(await self.find(who, hold_id), 0)

    async def sweep(self) -> None:
        """Return every hold whose time is up."""
        now_ms = self._clock.now_ms()
        while due := await self._database.read(
            partial(store.expired, now_ms=now_ms, limit=_AT_ONCE), ALL_WORKSPACES
        ):
            for held in due:
                with suppress(HoldNotFound):  # settled meanwhile
                    await self._settle(held, 0)
        self._next_ms = await self._database.read(store.next_expiry, ALL_WORKSPACES)

    async def _settle(self, held: Hold, spent: int) -> Settlement:
        async with self._ledger.rewriting_all(held.payers) as unfolded:
            unit = partial(store.settle, held=held, spent=spent, unfolded=unfolded)
            rests = await self._database.write(unit, held.workspace_id)
            if rests is not None:
                for payer in held.payers:
                    self._ledger.put(payer, rests.get(payer))
        if rests is None:
            raise HoldNotFound
        remaining = min(rests.values(), default=None)
        return Settlement(held.subject_id, spent, held.amount - spent, remaining)

    def _wait_ms(self) -> int:
        return LONGEST_WAIT_MS if self._next_ms is None else self._next_ms - self._clock.now_ms()


def _hold(
    connection: Connection, held: Hold, unfolded: Mapping[str, int]
) -> tuple[Hold, dict[str, int] | None]:
    """Set aside from those subjects that have a balance: the hold with who pays, and what they have left."""
    held = replace(held, payers=store.metered(connection, held.workspace_id, unfolded))
    return held, store.hold(connection, held, unfolded) if held.payers else None
