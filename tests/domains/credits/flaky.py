"""A database that fails when it is told to, and remembers what it was asked."""

import asyncio
from typing import Any, TypeVar

from sqlalchemy import TextClause

from latchwork.domains.credits import Ledger
from latchwork.kernel.faults import Unavailable
from latchwork.kernel.sql import Database
from latchwork.kernel.sql.database import Append, Done, Unit

T = TypeVar("T")


class FlakyDatabase:
    """Passes everything on to `real`, except the write that `fail_at` names."""

    def __init__(self, real: Database) -> None:
        self.real = real
        self.url = real.url
        self.invalidations = real.invalidations
        self.writes = 0
        self._fails_at: int | None = None
        self._answer_lost = False

    def fail_at(self, write: int, *, answer_lost: bool = False) -> None:
        """Fail the `write`-th write from now (1 is the next); with `answer_lost` it happens all the same."""
        self._fails_at, self._answer_lost = self.writes + write, answer_lost

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    async def read(self, unit: Unit[T], workspace_id: str) -> T:
        return await self.real.read(unit, workspace_id)

    async def write(self, unit: Unit[T], workspace_id: str) -> T:
        if not self._fails():
            return await self.real.write(unit, workspace_id)
        if self._answer_lost:
            await self.real.write(unit, workspace_id)
        raise Unavailable(private="told to fail")

    def appender(self, statement: TextClause) -> Append:
        append = self.real.appender(statement)

        def flaky(row: tuple[Any, ...], done: Done) -> None:
            if not self._fails():
                append(row, done)
            elif self._answer_lost:
                append(row, lambda _error: done(Unavailable(private="told to fail")))
            else:
                loop = asyncio.get_running_loop()
                loop.call_soon(done, Unavailable(private="told to fail"))

        return flaky

    def _fails(self) -> bool:
        self.writes += 1
        return self.writes == self._fails_at


def abandon(ledger: Ledger) -> None:
    """What a killed process does: nothing more."""
    if ledger._keeping is not None:
        ledger._keeping.cancel()
